"""The registry of models: where each comes from, how good it is, its files, and what to do with it next."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.tables import Project
from app.errors import Conflict
from app.ml.artifacts import ArtifactStore
from app.services import accounts, model_files, model_sources, models, predict_requests, projects, rounds
from app.services.alignment import alignment
from app.services.model_card import model_card
from app.services.models import Registered
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.render import form_errors, redirect, render
from app.web.rounds import no_worker

router = APIRouter(prefix="/p/{slug}/models")

STATE_WORDS = {"ready": ("ready", "good"), "building": ("not finished", "info"), "unused": ("not used", "neutral")}
_POLL_SECONDS = 1


@router.get("", name="models")
def list_page(request: Request, access: ViewerAccess, session: ReadSession) -> Response:
    report = alignment(session, access.project.id)
    listed = models.list_models(session, access.project, report)
    return render(request, "models.html", models=listed, report=report, state_words=STATE_WORDS)


@router.get("/{version}", name="model")
def model_page(
    request: Request, version: int, access: ViewerAccess, session: ReadSession, settings: AppSettings
) -> Response:
    return render(request, "model.html", fragment="_predict.html", **_context(session, access, version, settings))


def _context(session: Session, access: ProjectAccess, version: int, settings: Settings) -> dict[str, Any]:
    project = access.project
    report = alignment(session, project.id)
    model = models.get_model(session, project, version, report)
    asked = predict_requests.newest_request(session, model.id, access.user.id)
    waits = asked is not None and asked.state in predict_requests.UNFINISHED
    targets = _targets(session, access) if access.is_admin and model.can_predict else []
    return {
        "model": model,
        "report": report,
        "card": model_card(project, model, report).partition("\n---\n")[2] if model.is_trained else "",
        "targets": [(found.slug, found.name) for found in targets],
        "obstacles": rounds.obstacles(session, project),
        "asked": asked,
        "answers": predict_requests.answers(asked, project.labels) if asked is not None else [],
        "poll": _POLL_SECONDS if waits else None,
        "no_worker": waits and no_worker(session, settings),
        "most_texts": predict_requests.MOST_TEXTS,
        "state_words": STATE_WORDS,
    }


def _targets(session: Session, access: ProjectAccess) -> list[Project]:
    """Projects of this person that it could pre-label."""
    mine = [project for project, role in accounts.projects_of(session, access.user) if role == "admin"]
    return model_sources.possible_targets(session, mine, access.project)


# --- its files -----------------------------------------------------------------------------------------------------


@router.get("/{version}/card.md", name="model_card")
def card(version: int, access: ViewerAccess, session: ReadSession) -> Response:
    return card_response(session, access.project, models.trained_model(session, access.project, version))


@router.get("/{version}/files.zip", name="model_files")
def files(version: int, access: ViewerAccess, session: ReadSession, settings: AppSettings) -> Response:
    return zip_response(session, settings, access.project, models.trained_model(session, access.project, version))


def card_response(session: Session, project: Project, model: Registered) -> Response:
    text = model_card(project, model, alignment(session, project.id))
    headers = {"Content-Disposition": f'attachment; filename="{model_files.folder_name(project, model)}-card.md"'}
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8", headers=headers)


def zip_response(session: Session, settings: Settings, project: Project, model: Registered) -> Response:
    """Sent as it is made. Nothing is read of the database once it has begun."""
    found = model_files.model_files(session, ArtifactStore(settings.resolved_artifacts_url), project, model)
    folder = model_files.folder_name(project, model)
    headers = {
        "Content-Disposition": f'attachment; filename="{folder}.zip"',
        "Content-Encoding": "identity",  # weights do not shrink: without this each block would be compressed in vain
    }
    blocks = model_files.zip_blocks(found, folder, model.created_at)
    return StreamingResponse(blocks, media_type="application/zip", headers=headers)


# --- what to do with it --------------------------------------------------------------------------------------------


@router.post("/{version}/try", name="try_model")
def try_model(
    request: Request,
    version: int,
    access: ViewerAccess,
    db: Db,
    session: WriteSession,
    settings: AppSettings,
    texts: Annotated[str, Form()] = "",
) -> Response:
    """One text a line. The page asks again until a worker has answered."""

    def again(errors: dict[str, str]) -> Response:
        with db.read() as fresh:
            context = _context(fresh, access, version, settings)
        return render(request, "model.html", **context, errors=errors, values={"texts": texts}, status=422)

    with form_errors(again):
        model = models.trained_model(session, access.project, version)
        lines = [line.strip() for line in texts.splitlines() if line.strip()]
        predict_requests.request(session, access.project, model, lines, user_id=access.user.id)
    return redirect(request, _address(request, access, version) + "#try")


@router.post("/{version}/prelabel", name="prelabel_with_model")
def prelabel(
    request: Request, version: int, access: AdminAccess, session: WriteSession, target: Annotated[str, Form()] = ""
) -> Response:
    use_as_prelabeller(session, access, version, target)
    flash = f"Model version {version} of {access.project.name} is this project's pre-labeller now."
    return redirect(request, str(request.app.url_path_for("project_settings", slug=target)), flash=flash)


def use_as_prelabeller(session: Session, access: ProjectAccess, version: int, target: str) -> Project:
    """Raises Conflict for a project that this person is no admin of, or that it does not fit."""
    model = models.trained_model(session, access.project, version)
    targets = {project.slug: project for project in _targets(session, access)}
    if (chosen := targets.get(target)) is None:
        raise Conflict("Choose a project of which you are an admin, with the same labels, and no round yet.")
    source = {"provider": "model", "project": access.project.slug, "version": model.version}
    settings = projects.settings_of(chosen).model_copy(update={"prelabel": source})
    projects.update_project(session, chosen, settings=settings, user_id=access.user.id)
    return chosen


@router.post("/{version}/round", name="start_round_from_model")
def start_round(request: Request, version: int, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.start_round(session, access.project, base_version=version, user_id=access.user.id)
    address = str(request.app.url_path_for("round", slug=access.project.slug, number=round_.number))
    flash = f"Round {round_.number} has started. It mines the labels of model version {version}."
    return redirect(request, address, flash=flash)


def _address(request: Request, access: ProjectAccess, version: int) -> str:
    return str(request.app.url_path_for("model", slug=access.project.slug, version=version))
