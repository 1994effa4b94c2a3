"""The record of who changed what, to read, search and take away."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.services import audit
from app.services.exports.files import defuse
from app.web.deps import AdminAccess, Db, ReadSession
from app.web.render import render

router = APIRouter(prefix="/p/{slug}/audit")
Words = Annotated[str, Query(max_length=200)]
_PAGE = 50
_BLOCK = 1000
COLUMNS = ("id", "when", "who", "action", "subject", "detail")


@router.get("", name="audit")
def page(
    request: Request,
    access: AdminAccess,
    session: ReadSession,
    q: Words = "",
    before: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> Response:
    found = audit.entries(session, access.project.id, search=q, before=before, limit=_PAGE)
    more = found[-1].event.id if len(found) == _PAGE else None
    return render(request, "audit.html", entries=found, search=q, more=more, before=before)


@router.get(".csv", name="audit_csv")
def as_csv(access: AdminAccess, db: Db, q: Words = "") -> Response:
    """All that the search finds, in blocks: memory stays flat."""

    def blocks() -> Iterator[str]:
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        before: int | None = None
        while True:
            with db.read() as session:
                found = audit.entries(session, access.project.id, search=q, before=before, limit=_BLOCK)
            writer.writerows([defuse(value) for value in _row(entry)] for entry in found)
            yield out.getvalue()
            out.seek(0)
            out.truncate()
            if len(found) < _BLOCK:
                return
            before = found[-1].event.id

    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}-audit.csv"'}
    return StreamingResponse(blocks(), media_type="text/csv; charset=utf-8", headers=headers)


def _row(entry: audit.Entry) -> tuple[str, ...]:
    event = entry.event
    detail = json.dumps(event.detail, ensure_ascii=False) if event.detail else ""
    return str(event.id), event.created_at.isoformat(), entry.person or "", event.action, event.subject, detail
