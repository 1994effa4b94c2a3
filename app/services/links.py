"""Links that end before their time, because what they rested on has changed."""

from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Invitation


def end_sign_in_links(session: Session, user_id: int, *, now: datetime | None = None) -> list[int]:
    """Those that sign this person in: whoever holds one was let in to what the account was until now. Their ids."""
    return _end(session, now, Invitation.purpose == "sign_in", Invitation.user_id == user_id)


def end_invitations_by(
    session: Session, user_id: int, project_id: int | None = None, *, now: datetime | None = None
) -> list[int]:
    """Those that this person made, into one project or into any: by their own they could come back. Their ids."""
    where = [Invitation.purpose == "invite", Invitation.created_by_id == user_id]
    if project_id is not None:
        where.append(Invitation.project_id == project_id)
    return _end(session, now, *where)


def end_all(session: Session) -> list[int]:
    return _end(session, None)


def _end(session: Session, now: datetime | None, *where: ColumnElement[bool]) -> list[int]:
    now = now or utcnow()
    standing = (Invitation.used_at.is_(None), Invitation.expires_at > now, *where)
    ended = session.scalars(update(Invitation).where(*standing).values(expires_at=now).returning(Invitation.id))
    return sorted(ended)
