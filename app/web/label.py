"""The expert's page: one item, one keystroke. The page holds a few items ahead and sends what it has noted down one by
one (static/label.js); without JavaScript the same page is a form."""

import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime, Field
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.errors import Conflict, Forbidden
from app.services import annotations, contrast, guidance, practice, preferences, projects, queue, reveals
from app.services.annotations import Answer, Receipt
from app.services.queue import EmptyQueue, Progress, Task
from app.web import i18n
from app.web.deps import AppSettings, Db, ExpertAccess, ProjectAccess
from app.web.i18n import N_, _
from app.web.render import redirect, render
from app.web.storable import Storable

router = APIRouter(prefix="/p/{slug}")

EMPTY_WORDS = {
    "no_items": (
        N_("Nothing to label yet"),
        N_("The project has no texts so far. You will see the first one here."),
    ),
    "no_round": (
        N_("Nothing to label yet"),
        N_("The first round has not begun. You will see the first text here."),
    ),
    "paused": (
        N_("The round is paused"),
        N_("Your answers are kept. The next text appears here when the round goes on."),
    ),
    "preparing": (
        N_("The next round is being prepared"),
        N_("The first text appears here by itself when it is ready."),
    ),
    "waiting_for_colleagues": (
        N_("You are done with this round"),
        N_("Thank you. Some answers by colleagues are still to come. You can close this page."),
    ),
    "round_answered": (N_("The round is answered"), N_("Thank you. The model is learning from the answers now.")),
    "deciding": (N_("The round is answered"), N_("Thank you. Where experts disagree, it is being decided now.")),
    "votes_wanted": (
        N_("The round is answered"),
        N_("Thank you. On some texts you disagree with colleagues, and two of you decide them."),
    ),
    "held_up": (
        N_("The round is held up"),
        N_("All answers are stored. Something went wrong after them; the people who run the project see what to do."),
    ),
    "round_finished": (
        N_("The round is finished"),
        N_("Thank you. When the next one begins, its first text appears here."),
    ),
}
LOST_WORDS = {
    "closed": N_("This review has closed; your answer was not needed any more."),
    "answered": N_("You have answered or skipped this text already. That answer stands."),
    "taken": N_("Colleagues have answered this text in the meantime; your answer was not needed any more."),
    "given_on": N_("A colleague has this text already, so it stays skipped."),
    "seen": N_("You have seen this text beside its contrast. You can still change your answer under “Your answers”."),
}
SKIP_REASONS = (
    N_("I can't decide from the guideline"),
    N_("Outside my field"),
    N_("The text can't be read or understood"),
    N_("I have an interest in this"),
)


@dataclass(frozen=True)
class Done:
    """What a request has changed: said to the expert once it is on disk."""

    kind: Literal["saved", "skipped", "undone", "notice"]
    text: str
    assignment_id: int | None = None
    round_id: int | None = None
    contrast: bool = False  # both sides of a pair are answered now


@dataclass(frozen=True)
class Desk:
    """What the expert has before them: an item and some ahead, or the reason why there is none."""

    tasks: list[Task]
    empty: EmptyQueue | None
    progress: Progress
    done: Done | None = None
    contrast: bool = False  # a pair waits to be seen side by side
    until: datetime | None = None  # how long the items are reserved
    key: str = field(default_factory=lambda: secrets.token_hex(16))  # of the next answer: sent twice, stored once
    undo_key: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def task(self) -> Task | None:
        return self.tasks[0] if self.tasks else None

    def as_json(self, have: frozenset[int] = frozenset()) -> dict[str, Any]:
        """For the page's script; texts that it has already are left out."""
        return {
            "tasks": [
                {"assignment": task.assignment_id, "item": task.item_id}
                | ({} if task.assignment_id in have else {"text": task.text})
                for task in self.tasks
            ],
            "empty": None if self.empty is None else empty_words(self.empty),
            "progress": asdict(self.progress),
            "done": None if self.done is None else asdict(self.done),
            "contrast": self.contrast,
            "until": None if self.until is None else self.until.isoformat(),
        }


def empty_words(empty: EmptyQueue) -> dict[str, Any]:
    title, text = EMPTY_WORDS[empty.reason]
    more = ""
    if empty.waiting_slots:
        more = i18n.ngettext("%(n)s answer is missing.", "%(n)s answers are missing.", empty.waiting_slots)
        more = more % {"n": empty.waiting_slots}
    votes = empty.round_number if empty.reason == "votes_wanted" else None  # the round on whose page they vote
    return {"reason": empty.reason, "title": _(title), "text": _(text), "more": more, "votes": votes}


class Noted(Storable):
    """One thing that the expert did, as the page noted it down. ``key`` makes it happen once."""

    kind: Literal["answer", "skip", "undo"]
    key: str = Field(min_length=8, max_length=60)
    assignment: int | None = Field(None, ge=1, lt=2**31)
    label: int = Field(-1, ge=-1, le=8)
    note: str = Field("", max_length=annotations.MAX_NOTE)
    flagged: bool = False
    seconds: float | None = Field(None, ge=0, lt=1e6)
    reason: str = Field("", max_length=annotations.MAX_NOTE)
    have: frozenset[int] = Field(frozenset(), max_length=100)


async def expert_only(access: ExpertAccess) -> ProjectAccess:
    """Only experts label: an admin sees the model's labels, and so could not answer blind."""
    if access.role != "expert":
        raise Forbidden("Admins see the model's labels, so only experts can answer. Sign in as an expert to label.")
    return access


OnlyExpert = Annotated[ProjectAccess, Depends(expert_only)]


async def labeller(access: OnlyExpert, db: Db) -> ProjectAccess:
    """An expert who has passed the practice where the project asks for it."""
    if access.project.settings.get("practice_pass_share") and await run_in_threadpool(_must_practise, db, access):
        raise Forbidden("First comes a short practice.")
    return access


def _must_practise(db: Db, access: ProjectAccess) -> bool:
    with db.read() as session:
        return practice.is_required(session, access.project, access.user.id)


Labeller = Annotated[ProjectAccess, Depends(labeller)]


@router.get("/label", name="label")
def page(request: Request, access: OnlyExpert, db: Db, settings: AppSettings, practice_later: bool = False) -> Response:
    """A newcomer sees the practice first, if there is one."""
    with db.read() as session:
        offered = not practice_later and practice.is_offered(session, access.project, access.user.id)
    if offered or _must_practise(db, access):
        return redirect(request, request.url_for("practice", slug=access.project.slug).path)
    desk = db.run_write(lambda session: _desk(session, access, settings.lease_minutes))
    with db.read() as session:
        guideline = projects.current_guideline(session, access.project.id)
        pace = queue.pace(session, access.user.id, access.project.id)
        news = guidance.news(session, access.project.id, access.user)
        returned = guidance.returned(session, access.project.id, access.user.id)
        desk = replace(desk, contrast=desk.contrast or _was_left_open(session, access))
    return render(
        request,
        "label.html",
        project=access.project,
        desk=desk,
        guideline=guideline,
        pace=pace,
        news=news,
        returned=len(returned),
        prefs=preferences.get(access.user),
        empty=None if desk.empty is None else empty_words(desk.empty),
        skip_reasons=SKIP_REASONS,
    )


def _was_left_open(session: Session, access: ProjectAccess) -> bool:
    """Whether the expert went away before they had settled a pair that they had answered on both sides."""
    if access.project.settings.get("reveal", "pair") != "pair":
        return False
    return contrast.waiting(session, access.project.id, access.user.id) > 0


@router.get("/label/next", name="label_next")
def look_again(access: Labeller, db: Db, settings: AppSettings) -> dict[str, Any]:
    """What there is now; a page with an empty queue asks from time to time."""
    return db.run_write(lambda session: _desk(session, access, settings.lease_minutes)).as_json()


@router.post("/label/noted", name="label_noted")
def take_note(access: Labeller, db: Db, settings: AppSettings, noted: Noted) -> dict[str, Any]:
    """Carry out one noted thing and bring what comes next: one transaction, which is on disk when this returns."""
    minutes = settings.lease_minutes
    return db.run_write(lambda session: _carry_out(session, access, noted, minutes)).as_json(noted.have)


@router.post("/label/release", name="label_release", status_code=204)
def release(access: Labeller, db: Db, until: Annotated[AwareDatetime | None, Form()] = None) -> None:
    """The page is being closed: colleagues may have what it held. An answer still to come counts all the same while
    nobody has taken the item."""
    db.run_write(lambda session: queue.release(session, access.project.id, access.user.id, until=until))


# Without JavaScript: a form, and back to the page.


@router.post("/label", name="answer")
def answer(
    request: Request,
    access: Labeller,
    db: Db,
    assignment: Annotated[int, Form()],
    label: Annotated[int, Form()],
    key: Annotated[str, Form()],
    note: Annotated[str, Form()] = "",
    flagged: Annotated[bool, Form()] = False,
) -> Response:
    noted = Answer(assignment, label, key, flagged, note)
    return _form(request, access, db, lambda session: _answer(session, access, noted))


@router.post("/label/skip", name="skip")
def skip(
    request: Request,
    access: Labeller,
    db: Db,
    assignment: Annotated[int, Form()],
    reason: Annotated[str, Form()] = "",
) -> Response:
    return _form(request, access, db, lambda session: _skip(session, access, assignment, reason))


@router.post("/label/undo", name="undo")
def undo(
    request: Request, access: Labeller, db: Db, settings: AppSettings, undo_key: Annotated[str, Form()]
) -> Response:
    minutes = settings.lease_minutes
    return _form(request, access, db, lambda session: _undo(session, access, undo_key, None, minutes, keep=False))


def _form(request: Request, access: ProjectAccess, db: Db, work: Callable[[Session], Done]) -> Response:

    def work_and_close(session: Session) -> Done:
        done = work(session)
        if done.round_id is not None:
            queue.close_if_answered(session, done.round_id)
        return done

    done = db.run_write(work_and_close)
    kind = "warning" if done.kind == "notice" else "success"
    target = "contrast" if done.contrast else "label"
    url = request.url_for(target, slug=access.project.slug).path
    return redirect(request, url, flash=done.text, kind=kind)


def _carry_out(session: Session, access: ProjectAccess, noted: Noted, minutes: int) -> Desk:
    if noted.kind == "answer":
        answered = Answer(noted.assignment or 0, noted.label, noted.key, noted.flagged, noted.note, noted.seconds)
        done = _answer(session, access, answered)
    elif noted.kind == "skip":
        done = _skip(session, access, noted.assignment or 0, noted.reason, noted.key)
    else:
        done = _undo(session, access, noted.key, noted.assignment, minutes, keep=True)
    return _desk(session, access, minutes, done)


def _answer(session: Session, access: ProjectAccess, given: Answer) -> Done:
    project, expert = access.project, access.user
    try:
        receipt = annotations.submit(
            session, project_id=project.id, expert_id=expert.id, n_labels=len(project.labels), answer=given
        )
    except Conflict as lost:
        return _lost(lost)
    text = _("Saved: %(label)s", label=project.labels[given.label])
    return Done("saved", text, given.assignment_id, receipt.round_id, contrast_is_due(session, access, receipt))


def contrast_is_due(session: Session, access: ProjectAccess, receipt: Receipt) -> bool:
    """Whether the pair is to be seen right after this answer, which was that of its second side."""
    if access.project.settings.get("reveal", "pair") != "pair":
        return False
    return reveals.is_ready(session, access.user.id, receipt.round_id, receipt.item_id)


def _skip(session: Session, access: ProjectAccess, assignment: int, reason: str, key: str | None = None) -> Done:
    try:
        round_id = annotations.skip(
            session,
            project_id=access.project.id,
            expert_id=access.user.id,
            assignment_id=assignment,
            reason=reason,
            key=key,
        )
    except Conflict as lost:
        return _lost(lost)
    return Done("skipped", _("Skipped. A colleague will see this text instead."), assignment, round_id)


def _undo(
    session: Session, access: ProjectAccess, key: str, assignment: int | None, minutes: int, *, keep: bool
) -> Done:
    try:
        undone = annotations.undo(
            session,
            project_id=access.project.id,
            expert_id=access.user.id,
            key=key,
            lease=queue.lease_for(access.project.settings, minutes),
            assignment_id=assignment,
            keep_claims=keep,
        )
    except Conflict as lost:
        return _lost(lost)
    if undone is None:
        return Done("notice", _("There is no answer in this round that you could take back."))
    if assignment:  # which may have been a skip
        return Done("undone", _("Taken back. Here is the text again."), undone)
    return Done("undone", _("Your answer is taken back. Here is its text again."), undone)


def _lost(lost: Conflict) -> Done:
    words = LOST_WORDS.get(str(lost.detail.get("reason")))
    return Done("notice", _(words) if words else i18n.sentence(lost))


def _desk(session: Session, access: ProjectAccess, minutes: int, done: Done | None = None) -> Desk:
    project_id, expert_id = access.project.id, access.user.id
    lease, now = queue.lease_for(access.project.settings, minutes), utcnow()
    progress = queue.progress(session, project_id, expert_id)
    tasks: list[Task] = []
    if progress.unanswered:
        left = progress.unanswered
        tasks = queue.claim_ahead(session, project_id, expert_id, lease=lease, unanswered=left, now=now)
    elif done is not None and done.round_id is not None:
        queue.close_if_answered(session, done.round_id)
    at_end = not tasks and access.project.settings.get("reveal") == "end"
    contrast_waits = at_end and contrast.due(session, project_id, expert_id) is not None
    empty = None if tasks else queue.explain_empty(session, project_id)
    return Desk(tasks, empty, progress, done, contrast_waits, now + lease if tasks else None)
