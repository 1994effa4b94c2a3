"""Labels that exist already (a crowd's, say), to compare with: upload them, and see how many found their item."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import File, Form, UploadFile, status
from pydantic import BaseModel, ConfigDict, Field, Json, JsonValue

from app.db.tables import Baseline
from app.services import baselines, pool
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors
from app.web.api.uploads import Token, storable
from app.web.deps import AdminAccess, AppSettings, Db, ReadSession, ViewerAccess, WriteSession
from app.web.pool import Store

router = api_router("Baseline")
_MAPPING: dict[str, JsonValue] = {
    "match": "text",
    "key": "headline",
    "label": "verdict",
    "values": {"0": "fine", "1": "clickbait"},
}


class BaselineMapping(schemas.Body):
    """Which column finds the item, and which holds the label."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_MAPPING]})

    match: Literal["id", "text"] = Field(description="Rows find their items by the item's id, or by its text.")
    key: str = Field(min_length=1, max_length=1000, description="The column that holds the id or the text.")
    label: str = Field(min_length=1, max_length=1000, description="The column that holds the label.")
    values: dict[str, str] = Field(
        default_factory=dict, description="Which label a value stands for, where it is not the label's own name."
    )


class BaselineState(schemas.Given):
    id: int
    filename: str
    format: Literal["csv", "jsonl", "parquet"]
    mapping: dict[str, Any]
    state: Literal["queued", "running", "done", "failed"]
    rows_total: int
    rows_matched: int
    rows_unmatched: int = Field(description="No item of the pool has this id or text.")
    rows_rejected: int = Field(description="No label, or one that the project does not have.")
    items_labelled: int
    items_tied: int = Field(description="Their rows contradict each other, without a majority.")
    counts: dict[str, int] = Field(description="Items by label.")
    errors: list[schemas.RowProblem] = Field(description="The first hundred.")
    created_at: datetime
    finished_at: datetime | None


class Baselines(BaseModel):
    current: int | None = Field(description="The one that figures are compared with; null before one is done.")
    baselines: list[BaselineState] = Field(description="The newest first, twenty at most.")


class BaselineGuess(BaseModel):
    mapping: dict[str, Any] = Field(description="A guess, to be sent back as it is or mended.")
    rows: int = Field(description="How many first rows were tried.")
    found: int = Field(description="Of those, how many find an item of the pool in this way.")


@router.get("/baselines", summary="Files of labels, the newest first")
def list_baselines(access: ViewerAccess, session: ReadSession) -> Baselines:
    current = baselines.current_baseline(session, access.project.id)
    found = baselines.list_baselines(session, access.project.id)
    return Baselines(current=current.id if current else None, baselines=_shown(found))


def _shown(found: Sequence[Baseline]) -> list[BaselineState]:
    return [BaselineState.model_validate(job) for job in found]


@router.get("/baselines/{baseline_id}", summary="How far a baseline is", response_model=BaselineState)
def show_baseline(access: ViewerAccess, session: ReadSession, baseline_id: Id) -> Baseline:
    return baselines.get_baseline(session, access.project.id, baseline_id)


@router.post(
    "/baselines",
    summary="Upload a file of labels that you have already",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=BaselineState,
    responses=errors(413),
)
def create_baseline(
    access: AdminAccess,
    db: Db,
    store: Store,
    settings: AppSettings,
    file: Annotated[UploadFile, File()],
    mapping: Annotated[
        Json[BaselineMapping],
        Form(
            description="JSON: which column finds the item, and which holds the label.",
            examples=['{"match": "text", "key": "headline", "label": "verdict"}'],
        ),
    ],
) -> Baseline:
    """A worker matches it; ask for its state until it is `done` or `failed`. It is never shown to experts and never
    taught to the model."""
    most = settings.max_upload_mb << 20
    upload = pool.store_upload(store, access.project.id, file.filename or "upload", file.file, max_bytes=most)
    with db.write() as session:
        return baselines.register(session, upload, mapping.model_dump(), user_id=access.user.id)


@router.get("/uploads/{token}/baseline", summary="What an uploaded file would be as a baseline")
def check_baseline(token: Token, access: AdminAccess, session: ReadSession, store: Store) -> BaselineGuess:
    """Tried on the pool itself, so that a file of another pool is noticed before anything is matched."""
    preview = pool.preview_upload(store, pool.find_upload(store, access.project.id, token))
    guess = baselines.guess_mapping(preview, access.project.labels)
    tried = baselines.best_match(session, access.project.id, preview, label=guess["label"])
    if tried is not None:
        guess |= {"match": tried.match, "key": tried.key}
    shown = {name: storable(value) if isinstance(value, str) else value for name, value in guess.items()}
    return BaselineGuess(mapping=shown, rows=len(preview.rows), found=tried.found if tried else 0)


@router.post(
    "/uploads/{token}/baseline",
    summary="Make an uploaded file the baseline",
    status_code=status.HTTP_202_ACCEPTED,
    response_model=BaselineState,
)
def start_baseline(
    token: Token, access: AdminAccess, session: WriteSession, store: Store, body: BaselineMapping
) -> Baseline:
    """As `POST /baselines`, for a file that you have looked into first."""
    found = pool.find_upload(store, access.project.id, token)
    return baselines.register(session, found, body.model_dump(), user_id=access.user.id)
