"""Everything that is known of the pool, as one file."""

from typing import Annotated

from fastapi import Query, Response
from fastapi.responses import StreamingResponse

from app.services import exports
from app.web.api.common import api_router
from app.web.deps import AdminAccess, Db
from app.web.export import Format, WhichItems, download

router = api_router("Export")
_MEDIA_TYPES = [known.media_type.partition(";")[0] for known in exports.FORMATS.values()]


@router.get(
    "/export",
    summary="Items with their labels, as JSON Lines, CSV or Parquet, or zipped for the datasets library",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file, sent as it is made; docs/export.md describes its columns.",
            "content": {media_type: {} for media_type in [*_MEDIA_TYPES, "application/zip"]},
        }
    },
)
def export(
    access: AdminAccess,
    db: Db,
    format: Annotated[Format, Query()] = "jsonl",
    scope: Annotated[WhichItems, Query(description="All items, or those that experts have answered.")] = "all",
    names: Annotated[bool, Query(description="Experts by name, not as `expert-<id>`.")] = False,
) -> Response:
    return download(db, access, format, scope, names=names)
