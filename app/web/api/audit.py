"""The record of who changed what, page by page and as a file: of a project, and of the whole installation."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from pydantic import Field
from sqlalchemy.orm import Session

from app.services import audit
from app.web import audit as pages
from app.web.api.common import a_file, api_router
from app.web.api.schemas import LARGEST_ID, Given
from app.web.deps import AdminAccess, Db, ReadSession, SiteAdmin

router = api_router("People")
whole_router = api_router("People", "/audit")

Searched = Annotated[str, Query(max_length=200)]
Before = Annotated[int | None, Query(ge=1, le=LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=1000)]
CSV = a_file("text/csv", "All that the search finds, newest first.")


class AuditEntry(Given):
    id: int
    when: datetime
    who: str | None = Field(description="Null: the software itself, or the command line.")
    project: str | None = Field(description="Its slug; null: something of the installation, such as an account.")
    action: str
    subject: str
    detail: dict[str, Any]


class AuditPage(Given):
    entries: list[AuditEntry]
    next_before: int | None = Field(description="Send it as `before` for the next page; null on the last one.")


@router.get("/audit", summary="The record of who changed what, newest first")
def list_audit(
    access: AdminAccess, session: ReadSession, search: Searched = "", before: Before = None, limit: Limit = 100
) -> AuditPage:
    """``search`` looks in action, subject, details and name."""
    return _audit_page(session, access.project.id, search, before, limit)


@whole_router.get("", summary="The record of the whole installation (site admins)")
def list_whole_audit(
    _: SiteAdmin, session: ReadSession, search: Searched = "", before: Before = None, limit: Limit = 100
) -> AuditPage:
    """Accounts, backups and every project. ``search`` looks in action, subject, details and name."""
    return _audit_page(session, None, search, before, limit)


def _audit_page(session: Session, project_id: int | None, search: str, before: int | None, limit: int) -> AuditPage:
    found = audit.entries(session, project_id, search=search, before=before, limit=limit)
    entries = [
        AuditEntry(
            id=entry.event.id,
            when=entry.event.created_at,
            who=entry.person,
            project=entry.project,
            action=entry.event.action,
            subject=entry.event.subject,
            detail=entry.event.detail or {},
        )
        for entry in found
    ]
    return AuditPage(entries=entries, next_before=entries[-1].id if len(entries) == limit else None)


@router.get(
    "/audit/file", summary="The record of who changed what, as CSV", response_class=StreamingResponse, responses=CSV
)
def audit_file(access: AdminAccess, db: Db, search: Searched = "") -> Response:
    return pages.as_csv(access, db, search)


@whole_router.get(
    "/file",
    summary="The record of the whole installation, as CSV (site admins)",
    response_class=StreamingResponse,
    responses=CSV,
)
def whole_audit_file(site_admin: SiteAdmin, db: Db, search: Searched = "") -> Response:
    return pages.whole_as_csv(site_admin, db, search)
