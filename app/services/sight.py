"""Who has been able to see a project's model labels, and so can't answer blind in it any more.

Read from the audit log, which keeps every role that somebody has had, and from when on the project had a model.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.db.tables import AuditEvent, Membership, ModelVersion, Round

_ROLE_EVENTS = ("member.added", "member.role_changed", "member.removed")


def saw_model(session: Session, project_id: int, user_ids: list[int]) -> set[int]:
    """Those of them who were viewer, lead or admin while the project had a round or a model."""
    since = _model_since(session, project_id)
    if since is None or not user_ids:
        return set()
    rows = session.execute(
        select(AuditEvent.detail, AuditEvent.action, AuditEvent.created_at)
        .where(AuditEvent.project_id == project_id, AuditEvent.action.in_(_ROLE_EVENTS))
        .order_by(AuditEvent.id)
    ).all()
    present = session.execute(
        select(Membership.user_id, Membership.role).where(
            Membership.project_id == project_id, Membership.user_id.in_(user_ids), Membership.removed_at.is_(None)
        )
    )
    seen = {user_id for user_id, role in present if role != "expert"}
    for user_id in set(user_ids) - seen:
        events = [
            (at, None if action == "member.removed" else str(detail.get("role")))
            for detail, action, at in rows
            if detail.get("member") == user_id
        ]
        ends = [at for at, _ in events[1:]] + [None] * bool(events)
        if any(_sees(role) and (end is None or end > since) for (_, role), end in zip(events, ends, strict=True)):
            seen.add(user_id)
    return seen


def _sees(role: str | None) -> bool:
    return role not in (None, "expert")


def _model_since(session: Session, project_id: int) -> datetime | None:
    starts = [
        session.scalar(select(func.min(table.created_at)).where(table.project_id == project_id))
        for table in (Round, ModelVersion)
    ]
    return min((at for at in starts if at is not None), default=None)
