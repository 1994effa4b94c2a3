"""Which workers are alive, and what waits for one."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Import, Round, Worker


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


def forget_silent(session: Session, silence: timedelta, *, now: datetime | None = None) -> None:
    session.execute(delete(Worker).where(Worker.heartbeat_at < (now or utcnow()) - silence))


def rounds_in(session: Session, *states: str) -> list[Round]:
    return list(session.scalars(select(Round).where(Round.state.in_(states)).order_by(Round.id)))


def unfinished_imports(session: Session) -> list[int]:
    return list(session.scalars(select(Import.id).where(Import.state.in_(("queued", "running"))).order_by(Import.id)))
