"""Model versions and what they say about the pool."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from app.db.tables import ModelVersion, Prediction
from app.errors import NotFound
from app.services import predictions
from app.services.predictions import Span
from tests.factories import make_items, make_project


@pytest.fixture
def pool(db) -> tuple[int, list[int], int]:
    """(project, its 20 items, a version)"""
    with db.write() as session:
        project = make_project(session)
        make_items(session, make_project(session), 5)  # another project's, so that ids and ordinals differ
        items = [item.id for item in make_items(session, project, 20)]
        return project.id, items, version(session, project.id)


def version(session, project_id: int, **changes) -> int:
    settings = {"round_id": None, "kind": "prelabel", "engine": "few_shot", "config": {"scale": 1}, "seed": 0}
    return predictions.get_or_create_version(session, project_id=project_id, **{**settings, **changes}).id


def store(db, version_id: int, item_ids: list[int], scores) -> None:
    scores = np.asarray(scores, dtype=np.float32)
    with db.write() as session:
        predictions.store_predictions(session, version_id, item_ids, scores.argmax(axis=1), scores)


def test_the_pre_labeller_is_made_once(db, pool):
    with db.write() as session:
        assert version(session, pool[0]) == pool[2]
        assert session.get_one(ModelVersion, pool[2]).version == 0


def test_mended_settings_reach_a_version_that_is_still_being_built_and_drop_what_it_has_labelled(db, pool):
    project_id, items, version_id = pool
    store(db, version_id, items[:3], [[0.5, 0.5]] * 3)
    with db.write() as session:
        assert version(session, project_id, config={"scale": 2}) == version_id
        assert session.get_one(ModelVersion, version_id).config == {"scale": 2}
        assert session.scalars(select(Prediction)).all() == []


def test_a_ready_version_keeps_its_settings_and_its_labels(db, pool):
    project_id, items, version_id = pool
    store(db, version_id, items, [[0.5, 0.5]] * 20)
    with db.write() as session:
        assert predictions.mark_ready(session, version_id) == 20
        version(session, project_id, config={"scale": 2})
    with db.read() as session:
        kept = session.get_one(ModelVersion, version_id)
        assert (kept.config, kept.state, kept.predicted_items) == ({"scale": 1}, "ready", 20)
        assert len(session.scalars(select(Prediction)).all()) == 20


def test_stored_scores_come_back_by_ordinal_and_a_hole_is_marked(db, pool):
    _, items, version_id = pool
    scores = np.random.default_rng(0).dirichlet([1, 1], size=19).astype(np.float32)
    store(db, version_id, [item for item in reversed(items) if item != items[4]], scores)
    with db.read() as session:
        found = predictions.load_predictions(session, version_id, 2, 20)
    rows = [place for place in range(20) if place != 4]
    assert np.array_equal(found.scores[rows], scores[::-1])
    assert np.array_equal(found.labels[rows], scores[::-1].argmax(axis=1))
    assert found.labels[4] == -1
    assert np.isnan(found.scores[4]).all()


def test_a_shard_written_twice_leaves_the_second_writing_only(db, pool):
    _, items, version_id = pool
    store(db, version_id, items, [[0.9, 0.1]] * 20)
    store(db, version_id, items[:5], [[0.2, 0.8]] * 5)
    with db.read() as session:
        assert predictions.labels_of(session, version_id, items) == dict.fromkeys(items[:5], 1) | dict.fromkeys(
            items[5:], 0
        )


def test_more_items_than_a_statement_takes_parameters(db):
    with db.write() as session:
        project = make_project(session)
        items = [item.id for item in make_items(session, project, 2000)]
        version_id = version(session, project.id)
    for _ in range(2):
        store(db, version_id, items, [[0.4, 0.6]] * 2000)
    with db.read() as session:
        assert len(predictions.labels_of(session, version_id, items)) == 2000
        assert predictions.unlabelled(session, version_id, items) == []


def test_an_item_that_arrived_later_is_not_read(db, pool):
    _, items, version_id = pool
    store(db, version_id, items, [[0.4, 0.6]] * 20)
    with db.read() as session:
        assert len(predictions.load_predictions(session, version_id, 2, 15).labels) == 15
        assert predictions.missing_spans(session, version_id, 8, 20) == []


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(done=st.sets(st.integers(0, 19)), size=st.integers(1, 25), n=st.integers(0, 20))
def test_spans_cover_what_is_missing_and_nothing_beyond(db, pool, done, size, n):
    _, items, version_id = pool
    with db.write() as session:
        session.execute(delete(Prediction))
    if done:
        store(db, version_id, [items[place] for place in done], [[0.4, 0.6]] * len(done))
    with db.read() as session:
        spans = predictions.missing_spans(session, version_id, size, n)
    covered = [ordinal for span in spans for ordinal in range(span.start, span.stop)]
    assert len(covered) == len(set(covered))
    assert set(range(n)) - done <= set(covered) <= set(range(n))
    assert all(0 < span.stop - span.start <= size and span.start not in done for span in spans)


def test_items_between_two_ordinals_are_the_projects_own(db, pool):
    project_id, items, _ = pool
    with db.read() as session:
        assert [row.id for row in predictions.items_between(session, project_id, Span(3, 6))] == items[3:6]


def test_items_without_a_label_are_found_with_their_text(db, pool):
    _, items, version_id = pool
    store(db, version_id, items[:18], [[0.4, 0.6]] * 18)
    with db.read() as session:
        found = predictions.unlabelled(session, version_id, [items[19], items[0], items[18]])
    assert [(row.id, row.ordinal) for row in found] == [(items[18], 18), (items[19], 19)]
    assert found[0].text == "text number 18"


def test_an_answer_is_remembered_once_and_an_unreadable_one_too(db):
    first, second = b"a" * 32, b"b" * 32
    with db.write() as session:
        predictions.remember_scores(session, [(first, b"1234", None), (second, None, "maybe")])
    with db.write() as session:
        predictions.remember_scores(session, [(first, b"9999", None)])
        predictions.remember_scores(session, [])
    with db.read() as session:
        assert predictions.cached_scores(session, [first, second, b"c" * 32]) == {first: b"1234", second: None}


def test_a_version_that_is_not_there_is_said_to_be_so(db):
    with db.read() as session, pytest.raises(NotFound):
        predictions.get_version(session, 1)
