import numpy as np
import pytest
from sqlalchemy import select

from app.db.tables import Item, ModelVersion, Project, Round, RoundItem
from app.services import decisions, projects
from app.workflows import training
from app.workflows.context import round_facts
from tests.workflows.loop import EXAMPLES, make_loop, run_round


@pytest.mark.slow
def test_a_round_trains_with_a_sample_of_its_pool_and_the_examples_and_again_gives_the_same_weights(db, worker):
    project_id = make_loop(db, items=36)
    round_id = run_round(db, project_id)
    with db.read() as session:
        version = session.scalars(select(ModelVersion).where(ModelVersion.kind == "trained")).one()
        items = decisions.training_items(session, session.get_one(Round, round_id), 2)
    assert version.config["pool_size"] == 36
    assert version.config["training_item_ids"] == [item.item_id for item in items]
    assert version.metrics["threshold_source"] == "pool"
    assert version.metrics["example_items"] == sum(len(texts) for texts in EXAMPLES.values())
    data = training._training_set(round_facts(round_id), items)
    assert len(set(data.pool.texts)) == 36
    assert np.allclose(data.soft.sum(axis=1), 1)
    again = training.engine("linear").fit(data, 2, version.config["engine_config"], version.seed, training.runtime())
    stored = training.load_model(version)
    assert np.array_equal(again.coef, stored.coef)
    assert np.array_equal(again.intercept, stored.intercept)
    assert again.threshold == stored.threshold


@pytest.mark.slow
def test_an_example_is_neither_chosen_nor_trained_on_where_a_model_is_judged_by_it(db, worker):
    """Only new texts teach: not the evaluation set's, nor nearly those, nor a fine-tuning item a second time."""
    project_id = make_loop(db, items=36)
    run_round(db, project_id)
    new = "A new text: she lifted the lid and could not believe it."
    with db.write() as session:
        project, texts = session.get_one(Project, project_id), dict[str | None, str]()
        chosen = select(Item.text, RoundItem.split).join(RoundItem, RoundItem.item_id == Item.id)
        for text, split in session.execute(chosen):
            texts[split] = text
        rest = session.scalars(select(Item).where(Item.id.not_in(select(RoundItem.item_id))).order_by(Item.id)).all()
        unchosen = rest[:12]  # of 24, so that chance alone would hardly leave out all of them
        near = texts["evaluation"].upper() + "  "  # the encoder looks at small letters
        shown = [texts["evaluation"], near, texts["train"], *(item.text for item in unchosen), new]
        projects.publish_guideline(session, project, text="Rule.", examples={"fine": [], "clickbait": shown})
    second = run_round(db, project_id)
    with db.read() as session:
        chosen = session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == second)).all()
        items = decisions.training_items(session, session.get_one(Round, second), 2)
    assert not {item.id for item in unchosen} & set(chosen)
    examples = training._training_set(round_facts(second), items).examples
    assert examples.texts == [*(item.text for item in unchosen), new]
