"""The guided start: one page that takes an admin from an empty project to the first round."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from markupsafe import Markup

from app.services import guided_start, projects, rounds
from app.services.guideline_template import guideline_template
from app.web import project_forms
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, WriteSession
from app.web.people import ROLE_WORDS
from app.web.projects import lines_of, typed_form
from app.web.render import form_errors, is_htmx, redirect, render
from app.web.rounds import no_worker

router = APIRouter(prefix="/p/{slug}/start")
Typed = Annotated[dict[str, str], Depends(typed_form)]
STATE_WORDS = {
    "done": ("done", "good"),
    "missing": ("to do", "warn"),
    "optional": ("optional", "neutral"),
    "running": ("running", "info"),
    "ready": ("ready", "accent"),
}
_POLL_SECONDS = 2
ROUND_FIELDS = ("overlap", "round_size", "control_share", "evaluation_share", "strategy")


@router.get("", name="start")
def start_page(request: Request, db: Db, access: AdminAccess, settings: AppSettings) -> Response:
    return _page(request, db, access, settings)


def _page(
    request: Request,
    db: Db,
    access: ProjectAccess,
    settings: AppSettings,
    typed: Mapping[str, Any] | None = None,
    errors: dict[str, str] | None = None,
) -> Response:
    with db.read() as session:
        project = projects.get_project(session, access.project.slug)
        guideline = projects.current_guideline(session, project.id)
        context: dict[str, Any] = {
            "steps": guided_start.steps(session, project),
            "review": guided_start.review_time(session, project),
            "obstacles": rounds.obstacles(session, project),
            "begun": bool(rounds.list_rounds(session, project.id)),
        }
        waits = any(step.state == "running" for step in context["steps"])
        context |= {"poll": _POLL_SECONDS if waits else None, "no_worker": waits and no_worker(session, settings)}
    context["oob"] = Markup(' hx-swap-oob="true"') if is_htmx(request) else ""
    values = project_forms.shown(projects.settings_of(project)) | {
        "text": guideline.text or guideline_template(project.labels),
        "examples": ["\n".join(guideline.examples.get(label, [])) for label in project.labels],
    }
    words: dict[str, Any] = {"state_words": STATE_WORDS, "role_words": ROLE_WORDS}
    forms: dict[str, Any] = {
        "prelabel_fields": project_forms.PRELABEL,
        "round_fields": _round_fields(),
        "values": values | dict(typed or {}),
    }
    more: dict[str, Any] = {"errors": errors or {}, "from_template": not guideline.text}
    return render(request, "start.html", fragment="_start_news.html", **more, **words, **forms, **context)


def _round_fields() -> list[project_forms.FieldWords]:
    every = {words.name: words for words in (*project_forms.REVIEW, *project_forms.METHOD)}
    return [every[name] for name in ROUND_FIELDS]


def _back(request: Request, access: ProjectAccess, step: str, flash: str) -> Response:
    url = str(request.app.url_path_for("start", slug=access.project.slug))
    return redirect(request, f"{url}#{step}", flash=flash)


@router.post("/guideline", name="start_guideline")
def save_guideline(
    request: Request,
    db: Db,
    access: AdminAccess,
    settings: AppSettings,
    session: WriteSession,
    text: Annotated[str, Form()] = "",
    examples: Annotated[list[str], Form()] = [],  # noqa: B006 - FastAPI copies it
) -> Response:
    typed = {"text": text, "examples": [*examples, *[""] * len(access.project.labels)]}
    with form_errors(lambda errors: _page(request, db, access, settings, typed, errors)):
        by_label = dict(zip(access.project.labels, map(lines_of, typed["examples"]), strict=False))
        version = projects.publish_guideline(
            session, access.project, text=text, examples=by_label, user_id=access.user.id
        )
    return _back(request, access, "guideline", f"Version {version.version} of the guideline is published.")


@router.post("/settings", name="start_settings")
def save_settings(
    request: Request, db: Db, access: AdminAccess, settings: AppSettings, session: WriteSession, typed: Typed
) -> Response:
    """Some of the settings: those that the form does not have stay as they are."""
    step = "prelabel" if "prelabel.provider" in typed else "round"
    with form_errors(lambda errors: _page(request, db, access, settings, typed, errors)):
        project = projects.get_project(session, access.project.slug)
        present = projects.settings_of(project)
        unchanged = {name: str(value) for name, value in project_forms.shown(present).items()}
        chosen = project_forms.read(unchanged | typed, present)
        projects.update_project(session, project, settings=chosen, user_id=access.user.id)
    return _back(request, access, step, "Saved.")
