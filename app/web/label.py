"""The expert's page: one item, one keystroke, one request that saves the answer and brings the next item."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response
from sqlalchemy.orm import Session

from app.errors import Conflict, Forbidden
from app.services import annotations, projects, queue
from app.services.annotations import Answer
from app.services.queue import EmptyQueue, Progress, Task
from app.web.deps import AppSettings, Db, ExpertAccess, ProjectAccess
from app.web.render import is_htmx, redirect, render

router = APIRouter(prefix="/p/{slug}")

EMPTY_WORDS = {
    "no_items": ("Nothing to label yet", "The project has no texts so far. You will see the first one here."),
    "no_round": ("Nothing to label yet", "The first round has not begun. You will see the first item here."),
    "preparing": ("The next round is being prepared", "The first item appears here by itself when it is ready."),
    "waiting_for_colleagues": (
        "You are done with this round",
        "Thank you. Some answers by colleagues are still to come.",
    ),
    "round_answered": ("The round is answered", "Thank you. The model is learning from the answers now."),
    "round_finished": ("The round is finished", "Thank you. When the next one begins, its first item appears here."),
}


@dataclass(frozen=True)
class Desk:
    """What the expert has before them: an item, or the reason why there is none."""

    task: Task | None
    empty: EmptyQueue | None
    progress: Progress
    key: str  # of the answer that will be given: sent twice, it is stored once
    undo_key: str
    receipt: str = ""  # what has just been saved
    notice: str = ""


async def labeller(access: ExpertAccess) -> ProjectAccess:
    """Only experts label: an admin sees the model's labels, and so could not answer blind."""
    if access.role != "expert":
        raise Forbidden("Admins see the model's labels, so only experts can answer. Sign in as an expert to label.")
    return access


Labeller = Annotated[ProjectAccess, Depends(labeller)]


@router.get("/label", name="label")
def page(request: Request, access: Labeller, db: Db, settings: AppSettings) -> Response:
    desk = db.run_write(lambda session: _desk(session, access, settings.lease_minutes))
    with db.read() as session:
        guideline = projects.current_guideline(session, access.project.id)
    return _render(request, access, desk, guideline=guideline)


@router.post("/label", name="answer")
def answer(
    request: Request,
    access: Labeller,
    db: Db,
    settings: AppSettings,
    assignment: Annotated[int, Form()],
    label: Annotated[int, Form()],
    key: Annotated[str, Form()],
    note: Annotated[str, Form()] = "",
    flagged: Annotated[bool, Form()] = False,
    seconds: Annotated[float | None, Form()] = None,
) -> Response:
    given = Answer(assignment, label, key, flagged, note, seconds)
    return _act(request, access, db, lambda session: _answer(session, access, given, settings.lease_minutes))


@router.post("/label/skip", name="skip")
def skip(
    request: Request,
    access: Labeller,
    db: Db,
    settings: AppSettings,
    assignment: Annotated[int, Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:
    return _act(request, access, db, lambda session: _skip(session, access, assignment, reason, settings.lease_minutes))


@router.post("/label/undo", name="undo")
def undo(
    request: Request, access: Labeller, db: Db, settings: AppSettings, undo_key: Annotated[str, Form()]
) -> Response:
    return _act(request, access, db, lambda session: _undo(session, access, undo_key, settings.lease_minutes))


def _act(request: Request, access: ProjectAccess, db: Db, work: Callable[[Session], Desk]) -> Response:
    """One transaction, then the next item; ``run_write`` returns when it is on disk."""
    desk = db.run_write(work)
    if is_htmx(request):
        return _render(request, access, desk)
    return redirect(request, request.url_for("label", slug=access.project.slug).path, flash=desk.receipt or desk.notice)


def _answer(session: Session, access: ProjectAccess, given: Answer, minutes: int) -> Desk:
    project, expert = access.project, access.user
    try:
        receipt = annotations.submit(
            session, project_id=project.id, expert_id=expert.id, n_labels=len(project.labels), answer=given
        )
    except Conflict as lost:
        return _desk(session, access, minutes, notice=lost.message)
    desk = _desk(session, access, minutes, holds_one=receipt.replayed, receipt=f"Saved: {project.labels[given.label]}")
    if desk.task is None:
        queue.close_if_answered(session, receipt.round_id)
    return desk


def _skip(session: Session, access: ProjectAccess, assignment: int, reason: str, minutes: int) -> Desk:
    try:
        round_id = annotations.skip(
            session,
            project_id=access.project.id,
            expert_id=access.user.id,
            assignment_id=assignment,
            reason=reason,
        )
    except Conflict as lost:
        return _desk(session, access, minutes, notice=lost.message)
    desk = _desk(session, access, minutes, receipt="Skipped. A colleague will see this item instead.")
    if desk.task is None:
        queue.close_if_answered(session, round_id)
    return desk


def _undo(session: Session, access: ProjectAccess, undo_key: str, minutes: int) -> Desk:
    lease = queue.lease_for(access.project.settings, minutes)
    undone = annotations.undo(
        session, project_id=access.project.id, expert_id=access.user.id, key=undo_key, lease=lease
    )
    if undone:
        return _desk(session, access, minutes, receipt="Your last answer is taken back. Here is its item again.")
    return _desk(session, access, minutes, notice="There is no answer in this round that you could take back.")


def _desk(
    session: Session,
    access: ProjectAccess,
    minutes: int,
    *,
    holds_one: bool = True,
    receipt: str = "",
    notice: str = "",
) -> Desk:
    project_id, expert_id = access.project.id, access.user.id
    lease = queue.lease_for(access.project.settings, minutes)
    task = queue.claim(session, project_id, expert_id, lease=lease, keep=holds_one)
    return Desk(
        task=task,
        empty=None if task else queue.explain_empty(session, project_id),
        progress=queue.progress(session, project_id, expert_id),
        key=secrets.token_hex(16),
        undo_key=secrets.token_hex(16),
        receipt=receipt,
        notice=notice,
    )


def _render(request: Request, access: ProjectAccess, desk: Desk, **more: Any) -> Response:
    return render(
        request,
        "label.html",
        fragment="_task.html",
        project=access.project,
        desk=desk,
        empty_words=EMPTY_WORDS,
        **more,
    )
