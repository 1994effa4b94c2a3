"""Trying the pre-labeller on twenty items: what it says beside each text, and what the whole pool would take."""

from typing import Any

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.config import Settings
from app.db.tables import DryRun
from app.services import dry_runs, projects
from app.services.guided_start import PROVIDERS
from app.web.deps import AdminAccess, AppSettings, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.pool import IMPORT_WORDS
from app.web.render import redirect, render
from app.web.rounds import duration, no_worker

router = APIRouter(prefix="/p/{slug}/dry-runs")


@router.get("", name="dry_runs")
def newest_page(request: Request, access: ViewerAccess, session: ReadSession, settings: AppSettings) -> Response:
    return _page(request, access, session, settings, dry_runs.newest_run(session, access.project.id))


@router.post("", name="request_dry_run")
def request_run(request: Request, access: AdminAccess, session: WriteSession) -> Response:
    project = projects.get_project(session, access.project.slug)
    run = dry_runs.request(session, project, user_id=access.user.id)
    return redirect(request, str(request.app.url_path_for("dry_run", slug=access.project.slug, run_id=run.id)))


@router.get("/{run_id}", name="dry_run")
def run_page(
    request: Request, run_id: int, access: ViewerAccess, session: ReadSession, settings: AppSettings
) -> Response:
    return _page(request, access, session, settings, dry_runs.get_run(session, access.project.id, run_id))


def _page(
    request: Request, access: ProjectAccess, session: Session, settings: Settings, run: DryRun | None
) -> Response:
    unfinished = run is not None and run.state in dry_runs.UNFINISHED
    config = run.config if run is not None else projects.settings_of(access.project).prelabel
    context: dict[str, Any] = {
        "run": run,
        "runs": dry_runs.list_runs(session, access.project.id),
        "answers": dry_runs.answers(session, access.project, run) if run is not None else [],
        "outlook": dry_runs.outlook(session, access.project, run),
        "provider": PROVIDERS.get(str(config.get("provider")), ""),
        "model": config.get("model", ""),
        "changed": run is not None and config != projects.settings_of(access.project).prelabel,
        "poll": 1 if unfinished else None,
        "no_worker": unfinished and no_worker(session, settings),
    }
    words: dict[str, Any] = {"import_words": IMPORT_WORDS, "providers": PROVIDERS, "duration": duration}
    return render(request, "dry_run.html", fragment="_dry_run.html", **context, **words)
