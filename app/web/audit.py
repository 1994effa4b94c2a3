"""The record of who changed what, to read, search and take away."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import AuditEvent
from app.services import audit
from app.services.exports.files import defuse
from app.web.deps import AdminAccess, Db, ReadSession, SiteAdmin
from app.web.render import render

router = APIRouter()
Words = Annotated[str, Query(max_length=200)]
Before = Annotated[int | None, Query(ge=1, lt=2**31)]
_PAGE = 50
_BLOCK = 1000
COLUMNS = ("id", "when", "who", "project", "action", "subject", "detail")


@router.get("/p/{slug}/audit", name="audit")
def page(request: Request, access: AdminAccess, session: ReadSession, q: Words = "", before: Before = None) -> Response:
    here = [str(request.app.url_path_for(name, slug=access.project.slug)) for name in ("audit", "audit_csv")]
    return _page(request, session, access.project.id, here, q, before)


@router.get("/audit", name="whole_audit")
def whole_page(request: Request, _: SiteAdmin, session: ReadSession, q: Words = "", before: Before = None) -> Response:
    """Accounts, backups and every project, for those who run the installation."""
    here = [str(request.app.url_path_for(name)) for name in ("whole_audit", "whole_audit_csv")]
    return _page(request, session, None, here, q, before)


def _page(
    request: Request, session: Session, project_id: int | None, here: list[str], search: str, before: int | None
) -> Response:
    found = audit.entries(session, project_id, search=search, before=before, limit=_PAGE)
    more = found[-1].event.id if len(found) == _PAGE else None
    place: dict[str, Any] = {"address": here[0], "csv": here[1], "whole": project_id is None, "in_words": in_words}
    return render(request, "audit.html", entries=found, search=search, more=more, before=before, **place)


@router.get("/p/{slug}/audit.csv", name="audit_csv")
def as_csv(access: AdminAccess, db: Db, q: Words = "") -> Response:
    return _csv(db, access.project.id, q, f"{access.project.slug}-audit")


@router.get("/audit.csv", name="whole_audit_csv")
def whole_as_csv(_: SiteAdmin, db: Db, q: Words = "") -> Response:
    return _csv(db, None, q, "linecall-audit")


def _csv(db: Database, project_id: int | None, search: str, name: str) -> Response:
    """All that the search finds, in blocks: memory stays flat."""

    def blocks() -> Iterator[str]:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        before: int | None = None
        while True:
            with db.read() as session:
                found = audit.entries(session, project_id, search=search, before=before, limit=_BLOCK)
            writer.writerows([defuse(value) for value in _row(entry)] for entry in found)
            yield out.getvalue()
            out.seek(0)
            out.truncate()
            if len(found) < _BLOCK:
                return
            before = found[-1].event.id

    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(blocks(), media_type="text/csv; charset=utf-8", headers=headers)


def in_words(event: AuditEvent) -> str:
    """The details for a reader: "role: expert", "round_size: 100 → 60"."""
    return ", ".join(
        f"{name}: {_value(value, changed=event.action == 'project.changed')}" for name, value in event.detail.items()
    )


def _value(value: Any, *, changed: bool = False) -> str:
    if changed:
        return " → ".join(map(_value, value))  # as it was, and as it is
    if value is None or value in ("", []):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value)


def _row(entry: audit.Entry) -> tuple[str, ...]:
    event = entry.event
    detail = json.dumps(event.detail, ensure_ascii=False) if event.detail else ""
    when, who, where = event.created_at.isoformat(), entry.person or "", entry.project or ""
    return str(event.id), when, who, where, event.action, event.subject, detail
