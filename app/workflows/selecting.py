"""Mining: from embeddings and the base model's labels to an open review."""

import numpy as np
from dbos import DBOS
from sqlalchemy.orm import Session

from app.curation.loop import LoopSettings, plan_round
from app.db.tables import Round
from app.services import example_items, predictions, selection, stages
from app.workflows.context import begin_stage, context, pool_embeddings, round_facts


@DBOS.step(name="mine")
def mine(round_id: int) -> None:
    """Plan the round from what is stored and its seed, and open the review."""
    facts, here = round_facts(round_id), context()
    if not begin_stage(round_id, "mine", facts.item_count):
        return
    if facts.base_model_id is None:
        raise RuntimeError("no model has labelled the pool for this round")
    embeddings = pool_embeddings(facts)
    with here.db.read() as session:
        model = predictions.load_predictions(session, facts.base_model_id, len(facts.labels), len(embeddings))
        taken = selection.chosen_before(session, facts.project_id)
        history = selection.decided_before(session, facts.project_id)
        taken += example_items.ordinals_on_show(session, facts.project_id)
    excluded = model.labels < 0
    excluded[taken] = True
    plan = plan_round(
        embeddings,
        np.maximum(model.labels, 0),
        model.scores,
        excluded,
        loop_settings(facts.settings),
        np.random.default_rng([facts.seed, 1]),
        history=history,
    )

    def open_review(session: Session) -> None:
        stages.require_open(session, round_id)
        selection.open_review(session, session.get_one(Round, round_id), plan, model)
        message = f"Chose {len(plan.items)} items, {len(plan.pairs.left)} pairs among them. {plan.note}".strip()
        stages.finish(session, round_id, "mine", message=message)

    here.db.run_write(open_review)


def loop_settings(settings: dict[str, object]) -> LoopSettings:
    names = ("round_size", "control_share", "evaluation_share", "strategy", "split_mode")
    return LoopSettings(**{name: settings[name] for name in names})  # type: ignore[arg-type]
