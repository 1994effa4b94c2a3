"""A project: making one, where it stands and what to do next, its settings, its guideline."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from sqlalchemy.orm import Session

from app.db.tables import Project
from app.services import accounts, alignment, overview, projects, queue, rounds, rulings
from app.services.overview import Setup
from app.web import project_forms
from app.web.deps import (
    AdminAccess,
    AppSettings,
    Db,
    ExpertAccess,
    ProjectAccess,
    ReadSession,
    SiteAdmin,
    WriteSession,
)
from app.web.render import form_errors, redirect, render
from app.web.rounds import STATE_WORDS, WORKED_ON, no_worker

router = APIRouter()
Text = Annotated[str, Form()]
Texts = Annotated[list[str], Form()]
MOST_LABELS = 9


# --- making one ----------------------------------------------------------------------------------------------------


@router.get("/projects/new", name="new_project")
def new_project(request: Request, _: SiteAdmin) -> Response:
    return _new_form(request, {}, {})


def _new_form(request: Request, values: dict[str, Any], errors: dict[str, str]) -> Response:
    rows = values.get("rows") or []
    rows = [*rows, *[("", "")] * (MOST_LABELS - len(rows))]
    return render(request, "project_new.html", values=values, errors=errors, rows=rows)


@router.post("/projects", name="create_project")
def create_project(
    request: Request,
    user: SiteAdmin,
    session: WriteSession,
    name: Text = "",
    guideline: Text = "",
    label: Texts = [],  # noqa: B006 - FastAPI copies it
    examples: Texts = [],  # noqa: B006 - as above
) -> Response:
    rows = list(zip(label, [*examples, *[""] * len(label)], strict=False))[:MOST_LABELS]
    values = {"name": name, "guideline": guideline, "rows": rows}
    with form_errors(lambda errors: _new_form(request, values, errors)):
        named = [(title.strip(), lines_of(text)) for title, text in rows if title.strip()]
        titles = projects.clean_labels([title for title, _ in named])
        project = projects.create_project(
            session, name=name, labels=titles, guideline=guideline, examples=dict(named), user_id=user.id
        )
        accounts.add_member(session, project.id, user.id, "admin", by_user_id=user.id)
    return _to(request, "start", project.slug, "The project is there. These are the steps to its first round.")


def lines_of(text: str) -> list[str]:
    """One example a line."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def _to(request: Request, name: str, slug: str, flash: str) -> Response:
    return redirect(request, str(request.app.url_path_for(name, slug=slug)), flash=flash)


# --- where it stands -----------------------------------------------------------------------------------------------


@router.get("/p/{slug}", name="project")
def overview_page(request: Request, access: ExpertAccess, session: ReadSession, settings: AppSettings) -> Response:
    guideline = projects.current_guideline(session, access.project.id)
    if access.role == "expert":
        progress = queue.progress(session, access.project.id, access.user.id)
        voting = rulings.waits_for_votes(session, access.project.id)
        return render(request, "project_expert.html", guideline=guideline, progress=progress, voting=voting)
    setup = overview.setup(session, access.project)
    return render(
        request,
        "project.html",
        guideline=guideline,
        setup=setup,
        report=alignment.alignment(session, access.project.id),
        next_step=next_step(session, access.project, setup),
        rounds=rounds.list_rounds(session, access.project.id),
        state_words=STATE_WORDS,
        no_worker=waits_for_worker(session, access.project) and no_worker(session, settings),
    )


def waits_for_worker(session: Session, project: Project) -> bool:
    open_ = rounds.open_round(session, project.id)
    return open_ is not None and open_.state in WORKED_ON


def next_step(session: Session, project: Project, setup: Setup) -> tuple[str, str, str, str]:
    """What the admin does next: title, reason, route, and the button's words."""
    open_ = rounds.open_round(session, project.id)
    if open_ is not None:
        title, text, action = _OPEN_ROUND[open_.state]
        return title.format(open_.number), text, "round", action
    if not setup.has_guideline:
        return "Write the guideline", "Experts read it beside every item.", "guideline", "Write the guideline"
    if setup.items == 0:
        return "Fill the pool", "Upload the texts: CSV, JSON Lines or Parquet.", "pool", "Upload texts"
    problems = rounds.obstacles(session, project)
    if problems:
        route, action = _where_to_mend(problems[0])
        return "Before a round can start", problems[0], route, action
    return _start_or_stop(session, project)


_OPEN_ROUND = {
    "preparing": ("Round {} is being prepared", "The worker embeds, pre-labels and chooses items.", "Watch it"),
    "review": ("Round {} is with the experts", "They answer; you can watch or close the review.", "See the review"),
    "adjudicating": ("Decide the ties of round {}", "The experts are split on some items.", "To the round"),
    "concluding": ("Round {} is being learned from", "The worker trains and scores the model.", "Watch it"),
    "failed": ("Round {} has failed", "See why, mend it, and retry.", "See why"),
}


def _where_to_mend(problem: str) -> tuple[str, str]:
    for mark, route, action in (
        ("examples", "guideline", "Add examples"),
        ("import", "pool", "See the import"),
        ("pool", "pool", "Upload texts"),
        ("experts", "people", "Invite experts"),
    ):
        if mark in problem:
            return route, action
    return "rounds", "To the rounds"


def _start_or_stop(session: Session, project: Project) -> tuple[str, str, str, str]:
    done = [round_ for round_ in rounds.list_rounds(session, project.id) if round_.state == "done"]
    if not done:
        return "Start the first round", "Everything that it needs is there.", "rounds", "To the start"
    reason = done[-1].advice_reason or ""
    if done[-1].advice == "disagree":
        return "Mend the guideline", reason, "guideline", "To the guideline"
    if done[-1].advice in ("match", "plateau"):
        return "You can stop here", reason, "alignment", "See the alignment"
    return "Start the next round", reason, "rounds", "To the start"


# --- settings ------------------------------------------------------------------------------------------------------


async def typed_form(request: Request) -> dict[str, str]:
    """Every text field of the form."""
    return {name: value for name, value in (await request.form()).items() if isinstance(value, str)}


Typed = Annotated[dict[str, str], Depends(typed_form)]


@router.get("/p/{slug}/settings", name="project_settings")
def settings_page(request: Request, db: Db, access: AdminAccess) -> Response:
    return _settings_form(request, db, access, None, {})


def _settings_form(
    request: Request, db: Db, access: ProjectAccess, typed: Mapping[str, str] | None, errors: dict[str, str]
) -> Response:
    values: Mapping[str, Any] | None = typed
    if values is None:
        project = access.project
        values = project_forms.shown(projects.settings_of(project)) | {"name": project.name}
        values = values | {"labels": "\n".join(project.labels)}
    with db.read() as session:
        fixed = projects.has_model_or_round(session, access.project.id)
    groups = project_forms.GROUPS
    return render(request, "project_settings.html", values=values, errors=errors, groups=groups, labels_fixed=fixed)


@router.post("/p/{slug}/settings", name="save_settings")
def save_settings(request: Request, db: Db, access: AdminAccess, session: WriteSession, typed: Typed) -> Response:
    with form_errors(lambda errors: _settings_form(request, db, access, typed, errors)):
        project = projects.get_project(session, access.project.slug)
        settings = project_forms.read(typed, projects.settings_of(project))
        labels = typed["labels"].splitlines() if "labels" in typed else None
        name = typed.get("name", "")
        projects.update_project(session, project, name=name, settings=settings, labels=labels, user_id=access.user.id)
    flash = "Saved. A round that is open keeps the settings it began with."
    return _to(request, "project_settings", access.project.slug, flash)
