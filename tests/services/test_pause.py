"""A paused round gives nothing out, nobody works on it, and it goes on where it was; a retry may go back further."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from app.db.tables import Annotation, ModelVersion, Prediction, Round, StageRun
from app.errors import Conflict, InvalidInput, RoundPaused
from app.services import overview, predictions, queue, rounds, stages, workers
from tests.services.review_factories import Review, open_review


@pytest.fixture
def review(db) -> Review:
    return open_review(db)


def do(db, action, review, **options):
    def work(session):
        action(session, session.get_one(Round, review.round_id), **options)

    return db.run_write(work)


def stand(db, review, state: str, **more) -> None:
    with db.write() as session:
        session.execute(update(Round).where(Round.id == review.round_id).values(state=state, **more))


def claim(db, review):
    return db.run_write(lambda s: queue.claim(s, review.project_id, review.experts[0], lease=timedelta(minutes=5)))


def test_a_paused_review_gives_nothing_out_and_says_why(db, review):
    do(db, rounds.pause, review)
    assert claim(db, review) is None
    with db.read() as session:
        assert queue.explain_empty(session, review.project_id).reason == "paused"
        lines = {
            line.stage: line.state for line in overview.stage_lines(session, session.get_one(Round, review.round_id))
        }
        assert lines["review"] in ("paused", "waiting")
    do(db, rounds.resume, review)
    assert claim(db, review) is not None


def test_a_worker_lets_go_and_begins_the_stage_anew(db, review):
    stand(db, review, "preparing")
    db.run_write(lambda s: stages.begin(s, review.round_id, "embed", total=10, worker_id="w"))
    do(db, rounds.pause, review)
    with db.read() as session:
        assert workers.rounds_in(session, "preparing") == []
    with pytest.raises(Conflict, match="not stopped yet"):
        do(db, rounds.resume, review)
    for report in (
        lambda s: stages.advance(s, review.round_id, "embed", 5, 10),
        lambda s: stages.begin(s, review.round_id, "embed", total=10, worker_id="w"),
    ):
        with pytest.raises(RoundPaused):
            db.run_write(report)
    db.run_write(lambda s: stages.halt(s, review.round_id))
    with db.read() as session:
        line = overview.stage_lines(session, session.get_one(Round, review.round_id))[0]
        assert (line.stage, line.state) == ("embed", "paused")
    do(db, rounds.resume, review)
    with db.read() as session:
        assert [r.attempt for r in workers.rounds_in(session, "preparing")] == [2]
    assert db.run_write(lambda s: stages.begin(s, review.round_id, "embed", total=10, worker_id="w"))
    with db.read() as session:
        assert session.scalars(select(StageRun.attempt)).all() == [1, 2]


@pytest.mark.parametrize("state", ["done", "cancelled", "failed", "adjudicating"])
def test_what_does_not_run_is_not_paused(db, review, state):
    stand(db, review, state)
    with pytest.raises(Conflict):
        do(db, rounds.pause, review)
    with pytest.raises(Conflict):
        do(db, rounds.resume, review)


def test_a_cancelled_round_is_paused_no_more(db, review):
    do(db, rounds.pause, review)
    do(db, rounds.cancel, review)
    with db.read() as session:
        assert session.get_one(Round, review.round_id).paused_at is None
        texts = [line.text for line in overview.round_log(session, session.get_one(Round, review.round_id))]
        assert texts[-2:] == ["The round was paused.", "The round was cancelled."]


@pytest.fixture
def failed(db, review) -> Review:
    """A round that trained, labelled two items with the new model, and then failed at 'predict'."""
    stand(db, review, "failed", failed_state="concluding")
    with db.write() as session:
        for stage, state in (("embed", "done"), ("decide", "done"), ("train", "done"), ("predict", "failed")):
            session.add(StageRun(round_id=review.round_id, stage=stage, attempt=1, state=state))
        version = ModelVersion(
            project_id=review.project_id,
            round_id=review.round_id,
            version=1,
            kind="trained",
            engine="linear",
            config={},
        )
        session.add(version)
        session.flush()
        predictions.store_predictions(session, version.id, review.items[:2], [0, 1], [[0.9, 0.1], [0.2, 0.8]])
    return review


def stage_states(db) -> dict[str, str]:
    with db.read() as session:
        return dict(session.execute(select(StageRun.stage, StageRun.state)).all())


def test_a_retry_from_training_labels_the_pool_anew(db, failed):
    do(db, rounds.retry, failed, from_stage="train")
    assert stage_states(db) == {"embed": "done", "decide": "done", "train": "cancelled", "predict": "failed"}
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 0
        assert session.get_one(Round, failed.round_id).state == "concluding"


def test_a_retry_where_it_failed_keeps_what_is_done(db, failed):
    with db.read() as session:
        assert rounds.stages_to_retry(session, session.get_one(Round, failed.round_id)) == [
            "decide",
            "train",
            "predict",
        ]
    do(db, rounds.retry, failed)
    assert stage_states(db)["train"] == "done"
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Prediction)) == 2


@pytest.mark.parametrize("stage", ["embed", "review", "evaluate", "nonsense"])
def test_a_retry_from_elsewhere_is_refused_and_changes_nothing(db, failed, stage):
    with pytest.raises(InvalidInput, match="decide, train, predict"):
        do(db, rounds.retry, failed, from_stage=stage)
    with db.read() as session:
        assert session.get_one(Round, failed.round_id).state == "failed"
    assert stage_states(db)["train"] == "done"


def test_progress_by_expert_counts_comparisons_with_colleagues(db, review):
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        rows = [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0), (2, 0, 1)]
        from app.db.tables import Assignment

        for n, (item, expert, label) in enumerate(rows):
            slot = session.scalars(
                select(Assignment).where(Assignment.item_id == review.items[item], Assignment.slot == expert)
            ).one()
            slot.state, slot.expert_id = "done", review.experts[expert]
            session.add(
                Annotation(
                    round_id=round_.id,
                    item_id=review.items[item],
                    assignment_id=slot.id,
                    kind="blind",
                    label=label,
                    expert_id=review.experts[expert],
                    idempotency_key=str(n),
                    seconds=4.0 + n,
                    guideline_version_id=round_.guideline_version_id,
                )
            )
        session.flush()
        people = {p.expert_id: p for p in overview.review_progress(session, round_).experts}
    assert [(people[e].same, people[e].compared) for e in review.experts] == [(1, 2), (1, 2)]
    assert [people[e].median_seconds for e in review.experts] == [None, None]
