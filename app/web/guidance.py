"""Questions and proposals about the guideline, its versions, and answers that are asked for again."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from app.errors import Conflict, InvalidInput
from app.services import guidance, projects
from app.services.guidance import MAX_TEXT, Line
from app.web import i18n
from app.web.deps import Db, ExpertAccess, LeadAccess, ProjectAccess, ReadSession, WriteSession
from app.web.differing import marked_lines
from app.web.i18n import _
from app.web.label import Labeller
from app.web.render import form_errors, is_htmx, redirect, render

router = APIRouter(prefix="/p/{slug}")
Words = Annotated[str, Form(max_length=MAX_TEXT)]
Key = Annotated[str, Form(min_length=8, max_length=40)]


@router.get("/suggestions", name="suggestions")
def page(request: Request, access: ExpertAccess, db: Db) -> Response:
    return _page(request, db, access)


def _page(request: Request, db: Db, access: ProjectAccess, **context: Any) -> Response:
    """An expert sees their own and what became of them; the others see all."""
    mine = access.user.id if access.role == "expert" else None
    with db.read() as session:
        found = guidance.asked(session, access.project.id, author_id=mine)
    values = {"asked": found, "key": secrets.token_hex(16), "wrong": None} | context
    return render(request, "suggestions.html", **values)


@router.post("/suggestions", name="suggest")
def suggest(
    request: Request,
    access: Labeller,
    db: Db,
    key: Key,
    kind: Words = "question",
    text: Words = "",
    assignment: Annotated[int | None, Form()] = None,
    label: Annotated[int | None, Form()] = None,
) -> Response:
    """From the labelling page htmx sends it, and gets the form back with a receipt."""
    i18n.use_language_of(request)
    typed = {"kind": kind, "text": text, "label": label, "assignment": assignment}

    def again(errors: dict[str, str]) -> Response:
        if is_htmx(request):
            return _form(request, errors=errors, values=typed, key=key)
        return _page(request, db, access, errors=errors, values=typed)

    def work(session: Session) -> None:
        guidance.suggest(
            session, access.project, access.user.id, kind, text, key=key, assignment_id=assignment, label=label
        )

    with form_errors(again):
        db.run_write(work)
    if is_htmx(request):
        return _form(request, receipt=True)
    url = request.url_for("suggestions", slug=access.project.slug).path
    return redirect(request, url, flash=_("Sent. You find the answer here."))


def _form(request: Request, **context: Any) -> Response:
    values: dict[str, Any] = {"key": secrets.token_hex(16), "receipt": False} | context
    return render(request, "_suggest.html", **values)


@router.post("/suggestions/{suggestion_id}", name="answer_suggestion")
def answer(
    request: Request,
    suggestion_id: int,
    access: LeadAccess,
    db: Db,
    session: WriteSession,
    action: Words = "answer",
    answer: Words = "",
) -> Response:
    def again(errors: dict[str, str]) -> Response:
        return _page(request, db, access, errors=errors, values={"answer": answer}, wrong=suggestion_id)

    with form_errors(again):
        flash = _carry_out(session, access, suggestion_id, action, answer)
    url = request.url_for("suggestions", slug=access.project.slug).path
    return redirect(request, url, flash=flash)


def _carry_out(session: Session, access: ProjectAccess, suggestion_id: int, action: str, answer: str) -> str:
    project, by = projects.get_project(session, access.project.slug), access.user.id
    if action == "take_up":
        version = guidance.take_up(session, project, suggestion_id, user_id=by, answer=answer)
        return f"The guideline's version {version.version} has the example."
    if action not in ("answer", "decline"):
        raise InvalidInput("Answer, decline or take up.", field="action")
    guidance.reply(session, project, suggestion_id, answer, user_id=by, decline=action == "decline")
    return "Declined." if action == "decline" else "Answered."


@router.get("/guideline/versions", name="guideline_versions")
def versions_page(request: Request, access: ExpertAccess, session: ReadSession) -> Response:
    return render(
        request,
        "guideline_versions.html",
        versions=guidance.versions(session, access.project),
        marked=marked,
        asked_again=[
            len(guidance.affected(session, access.project.id, [label])) for label in range(len(access.project.labels))
        ]
        if access.is_lead
        else [],
    )


def marked(lines: Sequence[Line]) -> list[tuple[str, Markup]]:
    return marked_lines([(line.kind, line.text) for line in lines])


@router.post("/guideline/seen", name="guideline_seen", status_code=204)
def seen(access: Labeller, session: WriteSession) -> None:
    guidance.note_seen(session, access.project.id, access.user)


@router.post("/guideline/again", name="queue_again")
def queue_again(
    request: Request,
    access: LeadAccess,
    session: WriteSession,
    labels: Annotated[list[int], Form()] = [],  # noqa: B006 - FastAPI copies it
    expected: Annotated[int, Form()] = -1,
) -> Response:
    """``expected`` is the count that the page showed: had it grown since, more would be asked than was confirmed."""
    project = projects.get_project(session, access.project.slug)
    if expected >= 0 and len(guidance.affected(session, project.id, labels)) > expected:
        raise Conflict("More answers have come in since. Look at the numbers again.")
    count = guidance.queue_again(session, project, labels, user_id=access.user.id)
    url = request.url_for("guideline_versions", slug=project.slug).path
    return redirect(request, url, flash=f"{count} answers are asked for again.")
