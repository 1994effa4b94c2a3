"""Labels that exist already: upload them, say which column is what, see how many found their item."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response, UploadFile

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.services import baselines, pool
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.pool import IMPORT_WORDS, Store
from app.web.render import form_errors, redirect, render
from app.web.rounds import no_worker

router = APIRouter(prefix="/p/{slug}/baseline")


@router.get("", name="baseline")
def baseline_page(request: Request, db: Db, access: ViewerAccess) -> Response:
    return _page(request, db, access, {})


def _page(request: Request, db: Db, access: ProjectAccess, errors: dict[str, str]) -> Response:
    with db.read() as session:
        jobs = baselines.list_baselines(session, access.project.id)
        current = baselines.current_baseline(session, access.project.id)
    return render(request, "baseline.html", jobs=jobs, current=current, errors=errors, import_words=IMPORT_WORDS)


@router.post("/uploads", name="upload_baseline")
def upload(
    request: Request, db: Db, access: AdminAccess, store: Store, settings: AppSettings, file: UploadFile
) -> Response:
    most = settings.max_upload_mb << 20
    with form_errors(lambda errors: _page(request, db, access, {"file": next(iter(errors.values()))})):
        found = pool.store_upload(store, access.project.id, file.filename or "upload", file.file, max_bytes=most)
        pool.preview_upload(store, found, limit=1)
    url = request.app.url_path_for("baseline_upload", slug=access.project.slug, token=found.token)
    return redirect(request, str(url))


@router.get("/uploads/{token}", name="baseline_upload")
def preview_page(request: Request, token: str, access: AdminAccess, db: Db, store: Store) -> Response:
    return _preview(request, access, db, store, token, None, {})


def _preview(
    request: Request,
    access: ProjectAccess,
    db: Db,
    store: ArtifactStore,
    token: str,
    typed: dict[str, Any] | None,
    errors: dict[str, str],
) -> Response:
    found = pool.find_upload(store, access.project.id, token)
    preview = pool.preview_upload(store, found)
    guess = baselines.guess_mapping(preview, access.project.labels)
    guess["values"] = "\n".join(f"{value} = {label}" for value, label in guess["values"].items())
    with db.read() as session:
        tried = baselines.best_match(session, access.project.id, preview, label=guess["label"])
    if tried is not None:
        guess |= {"match": tried.match, "key": tried.key}
    context: dict[str, Any] = {"upload": found, "preview": preview, "tried": tried}
    return render(request, "baseline_upload.html", values=typed or guess, errors=errors, **context)


@router.post("/uploads/{token}", name="start_baseline")
def start_matching(
    request: Request,
    token: str,
    access: AdminAccess,
    session: WriteSession,
    db: Db,
    store: Store,
    match: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
    label: Annotated[str, Form()] = "",
    values: Annotated[str, Form()] = "",
) -> Response:
    typed = {"match": match, "key": key, "label": label, "values": values}
    with form_errors(lambda errors: _preview(request, access, db, store, token, typed, errors)):
        found = pool.find_upload(store, access.project.id, token)
        mapping = {**typed, "values": _renamed(values)}
        job = baselines.register(session, found, mapping, user_id=access.user.id)
    url = request.app.url_path_for("baseline_job", slug=access.project.slug, baseline_id=job.id)
    return redirect(request, str(url))


def _renamed(text: str) -> dict[str, str]:
    """``value = label``, one a line. The last equals sign parts them, as labels hold none more often than values."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        value, equals, label = line.rpartition("=")
        if not equals or not value.strip():
            raise InvalidInput(f"'{line[:60]}' is not of the form value = label.", field="values")
        found[value.strip()] = label.strip()
    return found


@router.get("/{baseline_id}", name="baseline_job")
def job_page(
    request: Request, baseline_id: int, access: ViewerAccess, session: ReadSession, settings: AppSettings
) -> Response:
    job = baselines.get_baseline(session, access.project.id, baseline_id)
    unfinished = job.state in baselines.UNFINISHED
    return render(
        request,
        "baseline_job.html",
        fragment="_baseline_job.html",
        job=job,
        poll=1 if unfinished else None,
        no_worker=unfinished and no_worker(session, settings),
        import_words=IMPORT_WORDS,
    )
