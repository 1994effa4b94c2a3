"""Files before anything is done with them: what is in one, and bringing it into the pool once that is known."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import File, Path, Query, UploadFile, status
from pydantic import BaseModel, ConfigDict, Field

from app.db.tables import Import
from app.services import pool
from app.services.pool import ColumnMapping, Preview, Upload
from app.web.api import schemas
from app.web.api.common import api_router, errors
from app.web.deps import AdminAccess, AppSettings, ReadSession, ViewerAccess, WriteSession
from app.web.pool import Store

router = api_router("Pool")
Token = Annotated[str, Path(max_length=40, description="As the upload's answer names it.")]
Cell = str | int | float | bool | None


class GuessedMapping(BaseModel):
    text: str
    id: str | None
    meta: list[str]
    language: str | None


class NewImport(schemas.Mapping):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"text": "headline", "id": "ref", "meta": ["source"], "skip_bad_rows": True}],
        },
    )

    skip_bad_rows: bool = Field(False, description="False: one bad row, and nothing is stored.")


class Uploaded(BaseModel):
    token: str = Field(description="What to name it by; unguessable.")
    filename: str
    format: Literal["csv", "jsonl", "parquet"]
    columns: list[str]
    rows: list[dict[str, Cell]] = Field(description="The first twenty.")
    problems: list[str] = Field(description="Of those rows.")
    mapping: GuessedMapping | None = Field(description="A guess at what the columns are; null when none holds text.")


@router.post(
    "/uploads",
    summary="Upload a file and see what is in it",
    status_code=status.HTTP_201_CREATED,
    responses=errors(413),
)
def upload_file(
    access: AdminAccess, store: Store, settings: AppSettings, file: Annotated[UploadFile, File()]
) -> Uploaded:
    """CSV, JSON Lines or Parquet. Nothing of it is stored in the project until one of the two next steps: texts for
    the pool, or labels to compare with."""
    most = settings.max_upload_mb << 20
    found = pool.store_upload(store, access.project.id, file.filename or "upload", file.file, max_bytes=most)
    return _shown(found, pool.preview_upload(store, found))


@router.get("/uploads/{token}", summary="What is in an uploaded file")
def show_upload(token: Token, access: AdminAccess, store: Store) -> Uploaded:
    found = pool.find_upload(store, access.project.id, token)
    return _shown(found, pool.preview_upload(store, found))


def _shown(upload: Upload, preview: Preview) -> Uploaded:
    return Uploaded(
        token=upload.token,
        filename=upload.filename,
        format=upload.format,
        columns=[storable(name) for name in preview.columns],
        rows=[{storable(name): _cell(value) for name, value in row.items()} for row in preview.rows],
        problems=[storable(problem) for problem in preview.problems],
        mapping=None if preview.mapping is None else _guessed(preview.mapping),
    )


def _guessed(mapping: ColumnMapping) -> GuessedMapping:
    return GuessedMapping(
        text=storable(mapping.text),
        id=None if mapping.id is None else storable(mapping.id),
        meta=[storable(name) for name in mapping.meta],
        language=None if mapping.language is None else storable(mapping.language),
    )


def storable(text: str) -> str:
    """What was no UTF-8 in the file has no place in JSON either."""
    return text.encode("utf-8", "replace").decode()


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return storable(str(value))


@router.post(
    "/uploads/{token}/import",
    summary="Bring an uploaded file into the pool",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=schemas.ImportState,
)
def import_upload(token: Token, access: AdminAccess, session: WriteSession, store: Store, body: NewImport) -> Import:
    """A worker checks every row and then stores them; ask for the import's state until it is `done` or `failed`."""
    found = pool.find_upload(store, access.project.id, token)
    mapping = body.model_dump(exclude={"skip_bad_rows"})
    return pool.register_import(session, found, mapping, skip_bad_rows=body.skip_bad_rows, user_id=access.user.id)


@router.get("/imports", summary="Imports, the newest first", response_model=list[schemas.ImportState])
def list_imports(
    access: ViewerAccess, session: ReadSession, limit: Annotated[int, Query(ge=1, le=200)] = 50
) -> Sequence[Import]:
    """The `summary` of the newest that is done describes the pool as a whole."""
    return pool.list_imports(session, access.project.id, limit=limit)
