"""Which workers are alive, and what waits for one."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Import, Round, Worker

_TAKE_OVER_LOCK = 4_751_001  # any number that nothing else in this database locks


def heartbeat(session: Session, worker_id: str, host: str, pid: int, *, now: datetime | None = None) -> None:
    worker = session.get(Worker, worker_id)
    if worker is None:
        session.add(Worker(id=worker_id, host=host, pid=pid, started_at=now or utcnow(), heartbeat_at=now or utcnow()))
    else:
        worker.heartbeat_at = now or utcnow()


def remove(session: Session, worker_id: str) -> None:
    session.execute(delete(Worker).where(Worker.id == worker_id))


def alive(session: Session, silence: timedelta, *, now: datetime | None = None) -> list[Worker]:
    """Workers heard of within ``silence``."""
    since = (now or utcnow()) - silence
    return list(session.scalars(select(Worker).where(Worker.heartbeat_at >= since).order_by(Worker.started_at)))


def list_workers(session: Session) -> list[Worker]:
    return list(session.scalars(select(Worker).order_by(Worker.started_at)))


def forget_silent(session: Session, silence: timedelta, *, now: datetime | None = None) -> None:
    session.execute(delete(Worker).where(Worker.heartbeat_at < (now or utcnow()) - silence))


def take_turns(session: Session) -> None:
    """Hold what follows in this write transaction apart from other workers' (on SQLite, writers are apart anyway)."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_TAKE_OVER_LOCK)))


def rounds_in(session: Session, *states: str) -> list[Round]:
    """Those that are not paused."""
    return list(
        session.scalars(select(Round).where(Round.state.in_(states), Round.paused_at.is_(None)).order_by(Round.id))
    )


def fail_import(session: Session, import_id: int) -> bool:
    """End an import whose worker gave up on it; what it has stored stays. False if it has ended otherwise."""
    job = session.get_one(Import, import_id, with_for_update=True, populate_existing=True)
    if job.state not in ("queued", "running"):
        return False
    message = "The worker could not go on with this file, and its log has the details. Import it again."
    job.state, job.finished_at = "failed", utcnow()
    job.errors = [*job.errors, {"row": None, "field": None, "message": message}]
    return True
