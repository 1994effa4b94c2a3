"""The pool: its items, and files on their way into it."""

from typing import Annotated

from fastapi import File, Form, Query, UploadFile, status
from pydantic import Json

from app.db.tables import Import, Item
from app.ml.artifacts import ArtifactStore
from app.services import pool
from app.services.pool.browse import BrowsePage, Differs, Filters, Order, Split, browse
from app.services.pool.history import ItemHistory, item_history
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors, label_index
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


@router.get(
    "/items/search", summary="Items by words, prediction, answers and why chosen", response_model=schemas.Browsed
)
def search_items(
    access: ViewerAccess,
    session: ReadSession,
    q: Annotated[str, Query(max_length=500, description='Words: all, whole; `refund*`; `"in this order"`.')] = "",
    version: Annotated[int | None, Query(ge=0, le=schemas.LARGEST_ID, description="Default: the newest.")] = None,
    label: Annotated[str | None, Query(max_length=200, description="What that version predicts, by name.")] = None,
    low: Annotated[float | None, Query(ge=0, le=1, description="The least score of the predicted label.")] = None,
    high: Annotated[float | None, Query(ge=0, le=1)] = None,
    round: Annotated[int | None, Query(ge=1, le=schemas.LARGEST_ID, description="Chosen in this round.")] = None,
    reason: Annotated[str, Query(max_length=20, description="Chosen as: `boundary`, `control`, …")] = "",
    expert_label: Annotated[str | None, Query(max_length=200, description="The consensus, by name.")] = None,
    split: Annotated[Split, Query(description="Used for fine-tuning or evaluation.")] = "",
    differs: Annotated[Differs, Query(description="Where experts differ among themselves, or from what.")] = "",
    order: Annotated[Order, Query(description="Words are found in the pool's order only.")] = "pool",
    after: Annotated[str, Query(max_length=60, description="`next` of the page before.")] = "",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> BrowsePage:
    """Pages go on where the last one ended: the thousandth takes as long as the first."""
    names = access.project.labels
    filters = Filters(
        words=q.strip(),
        version=version,
        label=None if label is None else label_index(names, label),
        low=low,
        high=high,
        round=round,
        reason=reason,
        expert_label=None if expert_label is None else label_index(names, expert_label),
        split=split,
        differs=differs,
        order=order,
    )
    return browse(session, access.project, filters, after=after, limit=limit)


@router.get("/items/{item_id}", summary="One item's whole history", response_model=schemas.ItemHistory)
def show_item(access: ViewerAccess, session: ReadSession, item_id: Id) -> ItemHistory:
    """Labels are indices into the project's; experts are named."""
    return item_history(session, access.project, item_id)


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
