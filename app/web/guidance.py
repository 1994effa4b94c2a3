"""Questions and proposals about the guideline, its versions, and answers that are asked for again."""

import secrets
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup
from sqlalchemy.orm import Session

from app.errors import InvalidInput
from app.services import guidance, projects
from app.services.guidance import MAX_TEXT, Line
from app.web.deps import Db, ExpertAccess, LeadAccess, ProjectAccess, ReadSession, WriteSession
from app.web.differing import marked_lines
from app.web.i18n import _
from app.web.label import Labeller
from app.web.render import form_errors, is_htmx, plural, redirect, render

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
    values: dict[str, Any] = {
        "key": secrets.token_hex(16),
        "receipt": False,
        "plain": False,
        "assignment": "",
    } | context
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
        asked_again=guidance.count_affected(session, access.project) if access.is_lead else [],
    )


def marked(lines: Sequence[Line]) -> list[tuple[str, Markup]]:
    return marked_lines([(line.kind, line.text) for line in lines])


@router.post("/guideline/seen", name="guideline_seen", status_code=204)
def seen(access: Labeller, session: WriteSession) -> None:
    guidance.note_seen(session, access.project.id, access.user)


@router.get("/guideline/again", name="choose_again")
def choose_page(request: Request, access: LeadAccess, db: Db) -> Response:
    return _choose(request, db, access)


def _choose(request: Request, db: Db, access: ProjectAccess, **context: Any) -> Response:
    """By label or text by text; what was chosen comes back with the number of answers to confirm."""
    with db.read() as session:
        counts = guidance.count_affected(session, access.project)
        items = guidance.affected_items(session, access.project)
        if "chosen" in context and not context.get("errors"):
            chosen = context["chosen"]
            context["expected"] = guidance.number_affected(session, access.project.id, **chosen)
    values: dict[str, Any] = {
        "counts": counts,
        "items": items,
        "chosen": {"labels": [], "items": []},
        "expected": None,
    } | context
    return render(request, "guideline_again.html", **values)


@router.post("/guideline/again", name="queue_again")
def queue_again(
    request: Request,
    access: LeadAccess,
    db: Db,
    session: WriteSession,
    labels: Annotated[list[int], Form(max_length=9)] = [],  # noqa: B006 - FastAPI copies it
    items: Annotated[list[int], Form(max_length=1000)] = [],  # noqa: B006 - as above
    expected: Annotated[int | None, Form()] = None,
) -> Response:
    """Without ``expected``, the number that a page showed for confirmation, that number is shown."""
    chosen = {"labels": labels, "items": items}
    if expected is None and (labels or items):
        return _choose(request, db, access, chosen=chosen)
    with form_errors(lambda errors: _choose(request, db, access, chosen=chosen, errors=errors)):
        count = guidance.queue_again(session, access.project, labels, items, user_id=access.user.id, expected=expected)
    url = request.url_for("guideline_versions", slug=access.project.slug).path
    return redirect(request, url, flash=f"{plural(count, 'answer')} asked for again.")
