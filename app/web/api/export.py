"""Everything that is known of the pool, as one file."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import Query
from fastapi.responses import StreamingResponse

from app.services import exports
from app.web.api.common import api_router
from app.web.deps import AdminAccess, Db

router = api_router("Export")
Format = Annotated[Literal["jsonl", "csv", "parquet"], Query()]
WhichItems = Annotated[Literal["all", "labelled"], Query(description="All items, or those that experts have answered.")]
Names = Annotated[bool, Query(description="Experts by name, not as `expert-<id>`.")]


@router.get(
    "/export",
    summary="Items with their labels, as JSON Lines, CSV or Parquet",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "The file, sent as it is made; docs/export.md describes its columns.",
            "content": {known.media_type.partition(";")[0]: {} for known in exports.FORMATS.values()},
        }
    },
)
def export(
    access: AdminAccess, db: Db, format: Format = "jsonl", scope: WhichItems = "all", names: Names = False
) -> StreamingResponse:
    kind = exports.find_format(format)

    def blocks() -> Iterator[bytes]:
        # A session of its own: the request's would end before the first block is sent.
        with db.read() as session:
            yield from exports.export(session, access.project, format, scope, names=names)

    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}.{kind.suffix}"'}
    return StreamingResponse(blocks(), media_type=kind.media_type, headers=headers)
