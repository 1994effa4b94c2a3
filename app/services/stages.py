"""The book that workers keep of a round's stages: what runs, how far it is, what failed and why."""

from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Round, StageRun
from app.errors import RoundCancelled, RoundPaused
from app.services import audit, webhooks

_MAX_MESSAGE = 2000


def begin(
    session: Session, round_id: int, stage: str, *, total: int, worker_id: str, now: datetime | None = None
) -> bool:
    """Enter a stage, or enter it again after a crash. False if it is done already.

    Raises RoundCancelled when an admin has stopped the round.
    """
    require_open(session, round_id)
    runs = {
        run.state: run
        for run in session.scalars(
            select(StageRun).where(StageRun.round_id == round_id, StageRun.stage == stage).order_by(StageRun.attempt)
        )
    }
    if "done" in runs:
        return False
    run = runs.get("running")
    if run is None:
        attempts = session.scalar(
            select(func.max(StageRun.attempt)).where(StageRun.round_id == round_id, StageRun.stage == stage)
        )
        run = StageRun(round_id=round_id, stage=stage, attempt=(attempts or 0) + 1, started_at=now or utcnow())
        session.add(run)
    run.worker_id, run.progress_total = worker_id, total
    session.flush()
    return True


def require_open(session: Session, round_id: int) -> None:
    """Raises RoundCancelled for a cancelled round, RoundPaused for a paused one. It locks the round's row, so that
    either comes wholly before or wholly after what the caller goes on to write."""
    found = session.execute(select(Round.state, Round.paused_at).where(Round.id == round_id).with_for_update()).first()
    state, paused_at = found or (None, None)
    if state is None or state == "cancelled":
        raise RoundCancelled("The round was cancelled.")
    if paused_at is not None:
        raise RoundPaused("The round is paused.")


def advance(session: Session, round_id: int, stage: str, done: int, total: int) -> None:
    """Report progress; raises RoundCancelled when the stage has been stopped meanwhile, RoundPaused when it shall
    stop."""
    if session.scalar(select(Round.paused_at).where(Round.id == round_id)) is not None:
        raise RoundPaused("The round is paused.")
    running = session.execute(
        update(StageRun)
        .where(StageRun.round_id == round_id, StageRun.stage == stage, StageRun.state == "running")
        .values(progress_done=done, progress_total=total)
        .returning(StageRun.id)
        .execution_options(synchronize_session=False)
    ).first()
    if running is None:
        raise RoundCancelled("The round was cancelled.")


def finish(session: Session, round_id: int, stage: str, *, message: str = "", now: datetime | None = None) -> None:
    session.execute(
        update(StageRun)
        .where(StageRun.round_id == round_id, StageRun.stage == stage, StageRun.state == "running")
        .values(
            state="done",
            progress_done=StageRun.progress_total,
            message=message[:_MAX_MESSAGE],
            finished_at=now or utcnow(),
        )
        .execution_options(synchronize_session=False)
    )


def fail(
    session: Session, round_id: int, message: str, *, phase: str, attempt: int, now: datetime | None = None
) -> bool:
    """The running stage failed: the round keeps its place and says why. False, and nothing written, unless the round
    still stands at ``phase`` ('preparing' or 'concluding') in this ``attempt``: what was cancelled, retried or has gone
    on in the meantime is not stopped by late news."""
    message = message[:_MAX_MESSAGE]
    failed = session.execute(
        update(Round)
        .where(Round.id == round_id, Round.state == phase, Round.attempt == attempt)
        .values(failed_state=phase, state="failed", error=message)
        .returning(Round.id)
        .execution_options(synchronize_session=False)
    ).first()
    if failed is None:
        return False
    session.execute(
        update(StageRun)
        .where(StageRun.round_id == round_id, StageRun.state == "running")
        .values(state="failed", message=message, finished_at=now or utcnow())
        .execution_options(synchronize_session=False)
    )
    round_ = session.get_one(Round, round_id, populate_existing=True)
    audit.record_turn(session, "round.failed", round_, error=message)
    webhooks.tell(session, round_, "round.failed", phase=phase)
    return True


def halt(session: Session, round_id: int, *, now: datetime | None = None) -> None:
    """The worker has let go of a paused round: its running stage is begun anew when the round is resumed."""
    session.execute(
        update(StageRun)
        .where(StageRun.round_id == round_id, StageRun.state == "running")
        .values(state="cancelled", message="Paused.", finished_at=now or utcnow())
        .execution_options(synchronize_session=False)
    )


def list_runs(session: Session, round_id: int) -> list[StageRun]:
    return list(session.scalars(select(StageRun).where(StageRun.round_id == round_id).order_by(StageRun.id)))
