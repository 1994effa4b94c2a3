"""The record of who changed what. Rows are only ever added, in the same transaction as the change they tell of."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.db.tables import AuditEvent, User


def record(
    session: Session,
    action: str,
    *,
    user_id: int | None = None,
    project_id: int | None = None,
    subject: str = "",
    **detail: Any,
) -> AuditEvent:
    """Add one event; it is saved, or rolled back, with what the caller does in the same session.

    ``action`` reads "noun.verb" ("import.created"), ``subject`` names the thing for a person, ``detail`` is
    JSON-serialisable. A subject longer than its column is cut: a name is never a reason to refuse a change.
    """
    limit = AuditEvent.subject.type.length
    event = AuditEvent(project_id=project_id, user_id=user_id, action=action, subject=subject[:limit], detail=detail)
    session.add(event)
    return event


@dataclass(frozen=True)
class Entry:
    """An event with the name of who did it; None: the software itself, or the command line."""

    event: AuditEvent
    person: str | None


def entries(
    session: Session, project_id: int, *, search: str = "", before: int | None = None, limit: int = 50
) -> list[Entry]:
    """The newest events first, those with a smaller id than ``before``; ``search`` in action, subject and name."""
    query = (
        select(AuditEvent, User.name)
        .outerjoin(User, User.id == AuditEvent.user_id)
        .where(AuditEvent.project_id == project_id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(AuditEvent.id < before)
    if words := search.strip():
        columns = (AuditEvent.action, AuditEvent.subject, User.name)
        query = query.where(or_(*(column.icontains(words, autoescape=True) for column in columns)))
    return [Entry(event, name) for event, name in session.execute(query)]
