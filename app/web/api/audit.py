"""The record of who changed what, as a file."""

from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from app.web import audit as pages
from app.web.api.common import api_router
from app.web.deps import AdminAccess, Db

router = api_router("People")


@router.get(
    "/audit/file",
    summary="The record of who changed what, as CSV",
    response_class=StreamingResponse,
    responses={200: {"description": "All that the search finds, newest first.", "content": {"text/csv": {}}}},
)
def audit_file(access: AdminAccess, db: Db, search: Annotated[str, Query(max_length=200)] = "") -> Response:
    return pages.as_csv(access, db, search)
