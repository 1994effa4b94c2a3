"""The practice: for an expert one text after another with an explanation, for a lead the list of its texts."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request, Response

from app.services import practice, preferences, projects
from app.web.deps import Db, ExpertAccess, LeadAccess, ProjectAccess, WriteSession
from app.web.label import OnlyExpert
from app.web.render import form_errors, redirect, render

router = APIRouter(prefix="/p/{slug}/practice")
Words = Annotated[str, Form(max_length=practice.MAX_TEXT)]


@router.get("", name="practice")
def page(
    request: Request,
    access: ExpertAccess,
    db: Db,
    shown: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    again: bool = False,
) -> Response:
    """``shown`` is the text that the expert has just answered: its explanation comes before the next one."""
    if access.role != "expert":
        return _manage(request, db, access)
    with db.read() as session:
        attempt = practice.attempt(session, access.project, access.user.id, again=again)
        guideline = projects.current_guideline(session, access.project.id)
    answered = next((item for item in attempt.items if item.id == shown and item.id in attempt.given), None)
    keys = preferences.get(access.user).all_keys
    return render(request, "practice.html", attempt=attempt, answered=answered, guideline=guideline, keys=keys)


def _manage(request: Request, db: Db, access: ProjectAccess, **context: Any) -> Response:
    with db.read() as session:
        found = practice.items(session, access.project.id)
        share = projects.settings_of(access.project).practice_pass_share
    return render(request, "practice_items.html", items=found, share=share, **context)


@router.post("", name="answer_practice")
def answer(
    request: Request,
    access: OnlyExpert,
    db: Db,
    item: Annotated[int, Form(ge=1, lt=2**31)],
    label: Annotated[int, Form()],
    attempt: Annotated[int, Form(ge=1, lt=2**31)] = 1,
) -> Response:
    project, expert = access.project, access.user.id
    db.run_write(lambda session: practice.answer(session, project, expert, item, label, number=attempt))
    return redirect(request, f"{request.url_for('practice', slug=project.slug).path}?shown={item}")


def _back(request: Request, access: ProjectAccess, flash: str) -> Response:
    return redirect(request, request.url_for("practice", slug=access.project.slug).path, flash=flash)


@router.post("/items", name="add_practice")
def add(
    request: Request,
    access: LeadAccess,
    db: Db,
    session: WriteSession,
    text: Words = "",
    label: Annotated[int, Form()] = -1,
    explanation: Words = "",
) -> Response:
    typed = {"text": text, "label": label, "explanation": explanation}
    with form_errors(lambda errors: _manage(request, db, access, errors=errors, values=typed)):
        practice.add(session, access.project, text, label, explanation, user_id=access.user.id)
    return _back(request, access, "Added to the practice.")


@router.post("/examples", name="practise_examples")
def add_examples(request: Request, access: LeadAccess, session: WriteSession) -> Response:
    count = practice.add_examples(session, access.project, user_id=access.user.id)
    return _back(request, access, f"{count} examples of the guideline are in the practice now.")


@router.post("/items/{item_id}/retire", name="retire_practice")
def retire(request: Request, item_id: int, access: LeadAccess, session: WriteSession) -> Response:
    practice.retire(session, access.project.id, item_id, user_id=access.user.id)
    return _back(request, access, "Taken out of the practice.")
