"""The book of stages: entered once, left once, and closed to what was cancelled or has gone on."""

import pytest
from sqlalchemy import select, update

from app.db.tables import AuditEvent, Round, StageRun
from app.errors import RoundCancelled
from app.services import rounds, stages
from tests.services.review_factories import open_review


@pytest.fixture
def round_id(db) -> int:
    round_id = open_review(db).round_id
    put(db, round_id, "preparing")
    return round_id


def put(db, round_id: int, state: str) -> None:
    with db.write() as session:
        session.execute(update(Round).where(Round.id == round_id).values(state=state))


def begin(db, round_id: int, stage: str = "embed", total: int = 10) -> bool:
    return db.run_write(lambda s: stages.begin(s, round_id, stage, total=total, worker_id="worker"))


def runs(db, round_id: int) -> list[tuple]:
    with db.read() as session:
        found = stages.list_runs(session, round_id)
        return [(run.stage, run.attempt, run.state, run.progress_done, run.progress_total) for run in found]


def test_a_stage_entered_again_after_a_crash_is_the_same_attempt(db, round_id):
    assert begin(db, round_id)
    assert begin(db, round_id, total=12)
    assert runs(db, round_id) == [("embed", 1, "running", 0, 12)]


def test_a_finished_stage_is_not_entered_again(db, round_id):
    begin(db, round_id)
    db.run_write(lambda s: stages.advance(s, round_id, "embed", 4, 10))
    assert runs(db, round_id)[0][3:] == (4, 10)
    db.run_write(lambda s: stages.finish(s, round_id, "embed", message="Done."))
    assert not begin(db, round_id)
    assert runs(db, round_id) == [("embed", 1, "done", 10, 10)]


def test_a_failed_stage_gets_a_new_attempt(db, round_id):
    begin(db, round_id)
    assert db.run_write(lambda s: stages.fail(s, round_id, "No disk.", phase="preparing", attempt=1))
    with db.write() as session:
        rounds_row = session.get_one(Round, round_id)
        rounds_row.state = "preparing"
    begin(db, round_id)
    assert [run[:3] for run in runs(db, round_id)] == [("embed", 1, "failed"), ("embed", 2, "running")]


def test_work_on_a_cancelled_round_is_told_so_at_its_next_report(db, round_id):
    begin(db, round_id)
    with db.write() as session:
        rounds.cancel(session, session.get_one(Round, round_id))
    with pytest.raises(RoundCancelled):
        db.run_write(lambda s: stages.advance(s, round_id, "embed", 5, 10))
    with pytest.raises(RoundCancelled):
        begin(db, round_id, "prelabel")


def test_a_failure_is_in_the_audit_log_with_its_reason(db, round_id):
    begin(db, round_id)
    assert db.run_write(lambda s: stages.fail(s, round_id, "No model.", phase="preparing", attempt=1))
    with db.read() as session:
        (event,) = session.scalars(select(AuditEvent))
    assert (event.action, event.subject, event.detail) == ("round.failed", "round 1", {"error": "No model."})


@pytest.mark.parametrize(
    ("state", "phase", "attempt"),
    [
        ("cancelled", "preparing", 1),
        ("review", "preparing", 1),
        ("concluding", "preparing", 1),
        ("preparing", "preparing", 0),
    ],
)
def test_late_news_of_a_failure_changes_nothing(db, round_id, state, phase, attempt):
    begin(db, round_id)
    put(db, round_id, state)
    assert not db.run_write(lambda s: stages.fail(s, round_id, "Late.", phase=phase, attempt=attempt))
    with db.read() as session:
        assert session.get_one(Round, round_id).state == state
        assert session.scalars(select(StageRun.state)).all() == ["running"]


def test_a_long_message_is_cut_and_not_refused(db, round_id):
    begin(db, round_id)
    db.run_write(lambda s: stages.fail(s, round_id, "x" * 5000, phase="preparing", attempt=1))
    with db.read() as session:
        assert len(session.get_one(Round, round_id).error) == 2000


@pytest.mark.postgres_only
def test_a_cancellation_and_a_failure_at_once_do_not_lock_each_other_out(db, round_id):
    """Both lock the round before its stages; the other order was a deadlock."""
    import threading

    begin(db, round_id)
    ends = []
    with db.write() as session:
        rounds_row = session.get_one(Round, round_id)
        session.refresh(rounds_row, with_for_update=True)
        thread = threading.Thread(
            target=lambda: ends.append(
                db.run_write(lambda s: stages.fail(s, round_id, "Broke.", phase="preparing", attempt=1))
            )
        )
        thread.start()
        thread.join(0.3)
        assert thread.is_alive()
        rounds.cancel(session, rounds_row)
    thread.join(10)
    assert ends == [False]
    assert [run[2] for run in runs(db, round_id)] == ["cancelled"]
