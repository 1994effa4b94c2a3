import numpy as np
import pytest
from sqlalchemy import select

from app.db.tables import ModelVersion, Round
from app.services import decisions
from app.workflows import training
from app.workflows.context import round_facts
from tests.workflows.loop import EXAMPLES, answer_all, make_loop, start, wait_for


@pytest.mark.slow
def test_a_round_trains_with_a_sample_of_its_pool_and_the_examples_and_again_gives_the_same_weights(db, worker):
    project_id = make_loop(db, items=36)
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    answer_all(db, round_id)
    wait_for(db, round_id, "done")
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
