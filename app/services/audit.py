"""The record of who changed what. Rows are only ever added, in the same transaction as the change they tell of."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Text, cast, or_, select
from sqlalchemy.orm import Session

from app.db.tables import AuditEvent, Project, Round, User


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


def record_turn(
    session: Session, action: str, round_: Round, *, user_id: int | None = None, **detail: Any
) -> AuditEvent:
    """A round has come to another state; without a ``user_id``, by its own course."""
    subject = f"round {round_.number}"
    return record(session, action, user_id=user_id, project_id=round_.project_id, subject=subject, **detail)


@dataclass(frozen=True)
class Entry:
    """An event with the name of who did it (None: the software itself, or the command line) and the slug of the
    project that it is about (None: the installation)."""

    event: AuditEvent
    person: str | None
    project: str | None


def entries(
    session: Session, project_id: int | None, *, search: str = "", before: int | None = None, limit: int = 50
) -> list[Entry]:
    """The newest events first, those with a smaller id than ``before``: a project's, or with None all of the
    installation's. ``search`` looks in action, subject, details and the person's name, letter case aside."""
    query = (
        select(AuditEvent, User.name, Project.slug)
        .outerjoin(User, User.id == AuditEvent.user_id)
        .outerjoin(Project, Project.id == AuditEvent.project_id)
        .order_by(AuditEvent.id.desc())
        .limit(limit)
    )
    if project_id is not None:
        query = query.where(AuditEvent.project_id == project_id)
    if before is not None:
        query = query.where(AuditEvent.id < before)
    if words := search.strip():
        columns = (AuditEvent.action, AuditEvent.subject, User.name, cast(AuditEvent.detail, Text))
        # JSON may be stored with its other characters escaped.
        tried = {words, json.dumps(words)[1:-1], json.dumps(words, ensure_ascii=False)[1:-1]}
        query = query.where(or_(*(column.icontains(word, autoescape=True) for column in columns for word in tried)))
    return [Entry(*row) for row in session.execute(query)]
