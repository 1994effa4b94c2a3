"""After the review: consensus, split, and at the end figures and advice."""

from dbos import DBOS
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Round
from app.errors import RoundCancelled
from app.services import audit, decisions, evaluation, rounds, stages, webhooks
from app.workflows.context import begin_stage, context, pool_embeddings, round_facts


@DBOS.step(name="decide")
def decide(round_id: int, attempt: int) -> bool:
    """Consensus labels and the split. False when ties wait for a person; the round then stands at
    ``adjudicating``, and a workflow of its own takes it up when they are decided."""
    facts, here = round_facts(round_id), context()
    if not begin_stage(round_id, "decide", 0):
        return True
    embeddings = pool_embeddings(facts)

    def work(session: Session) -> bool:
        round_ = session.get_one(Round, round_id, with_for_update=True)
        if round_.state != "concluding" or round_.attempt != attempt:
            raise RoundCancelled("The round was cancelled, or another workflow goes on with it.")
        ties = decisions.decide(session, round_, len(facts.labels))
        if rounds.ties_left(session, round_) and not round_.ties_left_out:
            round_.state = "adjudicating"
            waiting = rounds.ties_left(session, round_)
            audit.record_turn(session, "ties.waiting", round_, items=waiting)
            webhooks.tell(session, round_, "ties.waiting", items=waiting)
            return False
        split = decisions.assign_splits(session, round_, embeddings)
        left_out = f"; {ties} ties left out" if ties else ""
        twins = f"; {split.left_out} twins of both sides left out" if split.left_out else ""
        message = f"{split.train} items for fine-tuning, {split.evaluation} for evaluation{left_out}{twins}."
        stages.finish(session, round_id, "decide", message=message)
        return True

    return here.db.run_write(work)


@DBOS.step(name="evaluate")
def evaluate(round_id: int) -> None:
    """Figures, advice and the end of the round, stored in one transaction."""
    here = context()
    if not begin_stage(round_id, "evaluate", 0):
        return
    with here.db.read() as session:
        scored = evaluation.score(session, session.get_one(Round, round_id))

    def work(session: Session) -> None:
        round_ = session.get_one(Round, round_id, with_for_update=True)
        if round_.state != "concluding":
            raise RoundCancelled("The round was cancelled.")
        evaluation.store(session, round_, scored)
        stages.finish(session, round_id, "evaluate", message=scored.advice.reason)
        round_.state, round_.finished_at, round_.paused_at = "done", utcnow(), None
        audit.record_turn(session, "round.done", round_, advice=round_.advice, reason=round_.advice_reason)
        webhooks.tell_of_end(session, round_)

    here.db.run_write(work)
