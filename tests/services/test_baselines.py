"""Matching a crowd's file to the pool, on both databases."""

import io

import pytest
from sqlalchemy import select

from app.db.tables import BaselineLabel, Item
from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.services import baselines, pool
from tests.factories import make_project


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(str(tmp_path))


@pytest.fixture
def project_id(db, store):
    """A pool of four texts with ids a to d."""
    with db.write() as session:
        project_id = make_project(session).id
    file = io.BytesIO(b"text,id\nOne  text,a\nTwo,b\nThree,c\nFour,d\n")
    with db.write() as session:
        job = pool.create_import(session, store, project_id, "pool.csv", file, {"text": "text", "id": "id"})
    pool.run_import(db, store, job.id)
    return project_id


def match(db, store, project_id, text, **mapping):
    upload = pool.store_upload(store, project_id, "crowd.csv", io.BytesIO(text.encode()))
    mapping = {"match": "text", "key": "text", "label": "label"} | mapping
    with db.write() as session:
        baseline_id = baselines.register(session, upload, mapping).id
    baselines.run(db, store, baseline_id)
    with db.read() as session:
        return baselines.get_baseline(session, project_id, baseline_id)


def stored(db, job):
    with db.read() as session:
        rows = session.execute(
            select(Item.text, BaselineLabel.label, BaselineLabel.votes, BaselineLabel.votes_total)
            .join(Item, Item.id == BaselineLabel.item_id)
            .where(BaselineLabel.baseline_id == job.id)
            .order_by(Item.ordinal)
        )
        return [tuple(row) for row in rows]


def test_rows_are_matched_by_text_whatever_its_white_space_and_the_labels_case(db, store, project_id):
    job = match(db, store, project_id, "text,label\none text,benign\nOne text,Clickbait\nTwo,benign\n")
    assert job.state == "done"
    assert (job.rows_total, job.rows_matched, job.rows_unmatched) == (3, 2, 1)
    assert stored(db, job) == [("One  text", 1, 1, 1), ("Two", 0, 1, 1)]
    assert job.counts == {"benign": 1, "clickbait": 1}


def test_rows_are_matched_by_id_and_values_may_stand_for_labels(db, store, project_id):
    file = "key,label\na,0\nb,1\nz,1\nc,2\nd,\n"
    values = {"0": "benign", "1": "clickbait"}
    job = match(db, store, project_id, file, match="id", key="key", values=values)
    assert (job.rows_matched, job.rows_unmatched, job.rows_rejected, job.items_labelled) == (2, 1, 2, 2)
    assert [(error["row"], error["field"]) for error in job.errors] == [(5, "label"), (6, "label"), (4, "key")]
    assert "'2' is none of 'benign', 'clickbait'." in job.errors[0]["message"]


def test_the_majority_of_a_crowd_counts_and_a_tie_gives_no_label(db, store, project_id):
    file = "key,label\na,benign\na,clickbait\na,clickbait\nb,benign\nb,clickbait\n"
    job = match(db, store, project_id, file, match="id", key="key")
    assert stored(db, job) == [("One  text", 1, 2, 3)]
    assert (job.items_labelled, job.items_tied) == (1, 1)


def test_a_second_run_leaves_the_same(db, store, project_id):
    job = match(db, store, project_id, "text,label\nTwo,benign\n")
    with db.write() as session:
        baselines.get_baseline(session, project_id, job.id).state = "running"
    baselines.run(db, store, job.id)
    assert stored(db, job) == [("Two", 0, 1, 1)]


def test_a_missing_column_fails_with_the_columns_that_there_are(db, store, project_id):
    job = match(db, store, project_id, "text,verdict\nTwo,benign\n")
    assert job.state == "failed"
    assert "no column 'label'. Its columns: 'text', 'verdict'" in job.errors[0]["message"]
    with db.read() as session:
        assert baselines.current_baseline(session, project_id) is None


@pytest.mark.parametrize(
    ("mapping", "field"),
    [
        ({"match": "luck"}, "match"),
        ({"key": ""}, "key"),
        ({"label": "text"}, "label"),
        ({"values": {"1": "spam"}}, "values"),
    ],
)
def test_a_wrong_mapping_names_its_field(mapping, field):
    given = {"match": "text", "key": "text", "label": "label"} | mapping
    with pytest.raises(InvalidInput) as refused:
        baselines.parse_mapping(given, ["benign", "clickbait"])
    assert refused.value.detail["field"] == field


def test_the_mapping_is_guessed_from_values_and_names():
    preview = pool.preview(io.BytesIO(b"headline,verdict\nA long headline,benign\n"), "csv")
    guess = baselines.guess_mapping(preview, ["benign", "clickbait"])
    assert guess == {"match": "text", "key": "headline", "label": "verdict", "values": {}}
    numbered = pool.preview(io.BytesIO(b"id,label\n7,1\n"), "csv")
    assert baselines.guess_mapping(numbered, ["benign", "clickbait"])["values"] == {"0": "benign", "1": "clickbait"}
    raised = pool.preview(io.BytesIO("id,label\n7,²\n".encode()), "csv")
    assert baselines.guess_mapping(raised, ["benign", "clickbait"])["values"] == {}
