"""The pool: its items, and files on their way into it."""

from typing import Annotated

from fastapi import File, Form, Query, UploadFile, status
from pydantic import Json

from app.db.tables import Import, Item
from app.ml.artifacts import ArtifactStore
from app.services import pool
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors
from app.web.deps import AdminAccess, AppSettings, Db, ReadSession, ViewerAccess

router = api_router("Pool")
MappingText = Annotated[
    Json[schemas.Mapping],
    Form(
        description="JSON: which column is the text, which the id, and which to keep.", examples=['{"text": "title"}']
    ),
]


@router.get("/items", summary="Items, page by page", response_model=schemas.ItemPage)
def list_items(
    access: ViewerAccess,
    session: ReadSession,
    after: Annotated[int, Query(ge=-1, le=schemas.LARGEST_ID, description="The last ordinal you have seen.")] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, list[Item] | int | None]:
    """Not for experts: the further columns may hold labels, and they answer without seeing any."""
    found = list(pool.list_items(session, access.project.id, after_ordinal=after, limit=limit + 1))
    page = found[:limit]
    return {"items": page, "next_after": page[-1].ordinal if len(found) > limit else None}


@router.post(
    "/imports",
    summary="Upload a file of texts (CSV, JSON Lines, Parquet)",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=schemas.ImportState,
    responses=errors(413),
)
def create_import(
    access: AdminAccess,
    db: Db,
    settings: AppSettings,
    file: Annotated[UploadFile, File()],
    mapping: MappingText,
    skip_bad_rows: Annotated[bool, Form(description="False: one bad row, and nothing is stored.")] = False,
) -> Import:
    """A worker checks every row and then stores them; ask for the import's state until it is `done` or `failed`."""
    store = ArtifactStore(settings.resolved_artifacts_url)
    largest = settings.max_upload_mb * 1024 * 1024
    upload = pool.store_upload(store, access.project.id, file.filename or "", file.file, max_bytes=largest)
    with db.write() as session:
        return pool.register_import(
            session, upload, mapping.model_dump(), skip_bad_rows=skip_bad_rows, user_id=access.user.id
        )


@router.get("/imports/{import_id}", summary="How far an import is", response_model=schemas.ImportState)
def show_import(access: ViewerAccess, session: ReadSession, import_id: Id) -> Import:
    return pool.import_status(session, access.project.id, import_id)
