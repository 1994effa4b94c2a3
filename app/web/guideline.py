"""The guideline's editor: what a new version would look like, what it changes, and publishing it."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.services import guidance, projects
from app.web.deps import Db, LeadAccess, ProjectAccess, ViewerAccess, WriteSession
from app.web.guidance import marked
from app.web.projects import Text, Texts, lines_of
from app.web.render import form_errors, redirect, render

router = APIRouter(prefix="/p/{slug}/guideline")
Summary = Annotated[str, Form(max_length=500)]
Labels = Annotated[list[int], Form(max_length=9)]
Typed = dict[str, Any]


@router.get("", name="guideline")
def page(request: Request, access: ViewerAccess, db: Db) -> Response:
    return _page(request, db, access, None, {})


def _page(request: Request, db: Db, access: ProjectAccess, typed: Typed | None, errors: dict[str, str]) -> Response:
    """With what was typed comes what it would change."""
    project, preview = access.project, None
    with db.read() as session:
        guideline = projects.current_guideline(session, project.id)
        counts = guidance.count_affected(session, project, by_next_version=True) if access.is_lead else []
        if typed is not None:
            by_label = _by_label(project.labels, typed["examples"])
            changes = guidance.draft_changes(session, project, typed["text"], by_label)
            preview = {"text": typed["text"], "examples": by_label, "changes": marked(changes)}
    examples = ["\n".join(guideline.examples.get(label, [])) for label in project.labels]
    values = typed or {"text": guideline.text, "examples": examples, "summary": "", "again": []}
    return render(
        request,
        "guideline.html",
        fragment="_guideline_preview.html" if not errors else None,
        guideline=guideline,
        counts=counts,
        preview=preview,
        values=values,
        errors=errors,
    )


def _by_label(labels: list[str], examples: list[str]) -> dict[str, list[str]]:
    return dict(zip(labels, map(lines_of, examples), strict=False))


@router.post("/preview", name="preview_guideline")
def preview(
    request: Request,
    access: LeadAccess,
    db: Db,
    text: Text = "",
    summary: Summary = "",
    examples: Texts = [],  # noqa: B006 - FastAPI copies it
    again: Labels = [],  # noqa: B006 - as above
) -> Response:
    return _page(request, db, access, _typed(access, text, summary, examples, again), {})


@router.post("", name="publish_guideline")
def publish(
    request: Request,
    db: Db,
    access: LeadAccess,
    session: WriteSession,
    text: Text = "",
    summary: Summary = "",
    examples: Texts = [],  # noqa: B006 - FastAPI copies it
    again: Labels = [],  # noqa: B006 - as above
    based_on: Annotated[int | None, Form()] = None,
) -> Response:
    typed = _typed(access, text, summary, examples, again)
    by_label = _by_label(access.project.labels, typed["examples"])
    by, asked = access.user.id, 0
    with form_errors(lambda errors: _page(request, db, access, typed, errors)):
        version = guidance.publish(
            session, access.project, text=text, examples=by_label, summary=summary, user_id=by, based_on=based_on
        )
        if again:
            asked = guidance.queue_again(session, access.project, again, user_id=by)
    flash = f"Version {version.version} is published." + (f" Answers asked for again: {asked}." if again else "")
    url = str(request.app.url_path_for("guideline_versions", slug=access.project.slug))
    return redirect(request, url, flash=flash)


def _typed(access: ProjectAccess, text: str, summary: str, examples: list[str], again: list[int]) -> Typed:
    padded = [*examples, *[""] * len(access.project.labels)]
    return {"text": text, "summary": summary, "examples": padded, "again": again}
