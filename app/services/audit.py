"""The record of who changed what. Rows are only ever added, in the same transaction as the change they tell of."""

from typing import Any

from sqlalchemy.orm import Session

from app.db.tables import AuditEvent


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
