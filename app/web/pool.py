"""The pool: upload a file, say what its columns are, watch the import."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response, UploadFile

from app.ml.artifacts import ArtifactStore
from app.services import pool
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.render import form_errors, redirect, render
from app.web.rounds import no_worker

router = APIRouter(prefix="/p/{slug}/pool")
IMPORT_WORDS = {
    "queued": ("waiting for a worker", "neutral"),
    "running": ("running", "info"),
    "done": ("done", "good"),
    "failed": ("failed", "bad"),
}
_FIRST = 5
_IMPORTS = 5


async def artifact_store(settings: AppSettings) -> ArtifactStore:
    return ArtifactStore(settings.resolved_artifacts_url)


Store = Annotated[ArtifactStore, Depends(artifact_store)]


@router.get("", name="pool")
def pool_page(request: Request, db: Db, access: ViewerAccess) -> Response:
    return _page(request, db, access)


def _page(request: Request, db: Db, access: ProjectAccess, errors: dict[str, str] | None = None) -> Response:
    with db.read() as session:
        items = pool.list_items(session, access.project.id, limit=_FIRST)
        imports = pool.list_imports(session, access.project.id, limit=_IMPORTS)
        summary = pool.newest_summary(session, access.project.id)
    context: dict[str, Any] = {"items": items, "imports": imports, "summary": summary}
    return render(request, "pool.html", import_words=IMPORT_WORDS, errors=errors or {}, **context)


@router.post("/uploads", name="upload_pool")
def upload(
    request: Request, db: Db, access: AdminAccess, store: Store, settings: AppSettings, file: UploadFile
) -> Response:
    most = settings.max_upload_mb << 20
    with form_errors(lambda errors: _page(request, db, access, errors={"file": next(iter(errors.values()))})):
        found = pool.store_upload(store, access.project.id, file.filename or "upload", file.file, max_bytes=most)
        pool.preview_upload(store, found, limit=1)  # a file that can't be read is said beside the field, now
    url = request.app.url_path_for("pool_upload", slug=access.project.slug, token=found.token)
    return redirect(request, str(url))


@router.get("/uploads/{token}", name="pool_upload")
def preview_page(request: Request, token: str, access: AdminAccess, store: Store) -> Response:
    return _preview(request, access, store, token, None, {})


def _preview(
    request: Request,
    access: ProjectAccess,
    store: ArtifactStore,
    token: str,
    typed: dict[str, Any] | None,
    errors: dict[str, str],
) -> Response:
    found = pool.find_upload(store, access.project.id, token)
    preview = pool.preview_upload(store, found)
    guess = preview.mapping.as_json() if preview.mapping else {"text": "", "id": None, "meta": []}
    return render(request, "pool_upload.html", upload=found, preview=preview, values=typed or guess, errors=errors)


@router.post("/uploads/{token}", name="start_import")
def start_import(
    request: Request,
    token: str,
    access: AdminAccess,
    session: WriteSession,
    store: Store,
    text: Annotated[str, Form()] = "",
    id_column: Annotated[str, Form(alias="id")] = "",
    language: Annotated[str, Form()] = "",
    meta: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
    skip_bad_rows: Annotated[bool, Form()] = False,
) -> Response:
    kept = [name for name in meta if name not in (text, id_column)]
    typed = {"text": text, "id": id_column or None, "language": language or None, "meta": kept}
    with form_errors(lambda errors: _preview(request, access, store, token, typed, errors)):
        found = pool.find_upload(store, access.project.id, token)
        job = pool.register_import(session, found, typed, skip_bad_rows=skip_bad_rows, user_id=access.user.id)
    url = request.app.url_path_for("pool_import", slug=access.project.slug, import_id=job.id)
    return redirect(request, str(url))


@router.get("/imports/{import_id}", name="pool_import")
def import_page(
    request: Request, import_id: int, access: ViewerAccess, session: ReadSession, settings: AppSettings
) -> Response:
    job = pool.import_status(session, access.project.id, import_id)
    unfinished = job.state in ("queued", "running")
    return render(
        request,
        "pool_import.html",
        fragment="_pool_import.html",
        job=job,
        poll=1 if unfinished else None,
        no_worker=unfinished and no_worker(session, settings),
        import_words=IMPORT_WORDS,
    )
