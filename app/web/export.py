"""The page from which an admin takes a project's items away, and the download itself, which the API sends too."""

from collections.abc import Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.engine import Database
from app.db.tables import Project
from app.services import exports
from app.services.report import report
from app.services.zips import zip_blocks
from app.web.deps import AdminAccess, Db, ProjectAccess
from app.web.render import render
from app.web.report import dataset_card

router = APIRouter(prefix="/p/{slug}/export")
Format = Literal["jsonl", "csv", "parquet", "datasets"]
WhichItems = Literal["all", "labelled"]
FORMAT_WORDS = (
    ("csv", "CSV, for a spreadsheet"),
    ("jsonl", "JSON Lines, for scripts"),
    ("parquet", "Parquet, one file"),
    ("datasets", "a folder for the datasets library (zip)"),
)
SCOPE_WORDS = (("all", "all items of the pool"), ("labelled", "only items that experts have answered"))
NAME_WORDS = (("false", "by number, such as expert-3"), ("true", "by name"))
COLUMN_GROUPS = (
    ("The item", ("ordinal", "external_id", "text", "meta")),
    ("The newest model version", ("model_version", "model_label", "model_score", "model_scores")),
    ("The round that chose it", ("round", "reason", "reason_detail", "split")),
    ("The experts", ("annotations", "consensus_label", "consensus_source")),
)
_COMPRESSED = {"parquet", exports.DATASET}


@router.get("", name="export")
def page(request: Request, _: AdminAccess) -> Response:
    return render(
        request,
        "export.html",
        format_words=FORMAT_WORDS,
        scope_words=SCOPE_WORDS,
        name_words=NAME_WORDS,
        column_groups=COLUMN_GROUPS,
    )


@router.get("/file", name="export_file")
def file(
    access: AdminAccess,
    db: Db,
    format: Annotated[Format, Query()] = "csv",
    scope: Annotated[WhichItems, Query()] = "all",
    names: Annotated[bool, Query()] = False,
) -> Response:
    return download(db, access, format, scope, names=names)


def download(db: Database, access: ProjectAccess, format: Format, scope: WhichItems, *, names: bool) -> Response:
    """The audit event is saved before the first byte is sent."""
    with db.write() as session:
        exports.record(session, access.project, format, scope, names=names, user_id=access.user.id)

    def blocks() -> Iterator[bytes]:
        # A session of its own: the request's would end before the first block is sent.
        with db.read() as session:
            if format == exports.DATASET:
                yield from _dataset(session, access.project, scope, names=names)
            else:
                yield from exports.export(session, access.project, format, scope, names=names)

    media_type, suffix = "application/zip", "zip"
    if format != exports.DATASET:
        media_type, suffix, _ = exports.find_format(format)
    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}.{suffix}"'}
    if format in _COMPRESSED:
        headers["Content-Encoding"] = "identity"  # or the whole file would be compressed once more
    return StreamingResponse(blocks(), media_type=media_type, headers=headers)


def _dataset(session: Session, project: Project, scope: str, *, names: bool) -> Iterator[bytes]:
    card = dataset_card(report(session, project))
    files = exports.export_dataset(session, project, card, scope, names=names)
    return zip_blocks(files, f"{project.slug}-dataset", utcnow())
