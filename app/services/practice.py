"""Practice: a few texts with known answers, by which a new expert learns the guideline before their answers count."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import Annotation, Assignment, Membership, PracticeAnswer, PracticeItem, Project, Round
from app.errors import Conflict, InvalidInput, NotFound
from app.services import audit, projects

MAX_TEXT = 20_000
MOST_ITEMS = 50


@dataclass(frozen=True)
class Attempt:
    """An expert's present attempt. ``given`` is their answer by item; the first one to an item counts."""

    number: int
    items: list[PracticeItem]
    given: dict[int, int]
    pass_share: float
    passed_at: datetime | None

    @property
    def next_item(self) -> PracticeItem | None:
        return next((item for item in self.items if item.id not in self.given), None)

    @property
    def correct(self) -> int:
        return sum(self.given.get(item.id) == item.label for item in self.items)

    @property
    def is_complete(self) -> bool:
        return bool(self.items) and self.next_item is None

    @property
    def passes(self) -> bool:
        return self.is_complete and self.correct >= self.pass_share * len(self.items) - 1e-9


def items(session: Session, project_id: int) -> list[PracticeItem]:
    query = select(PracticeItem).where(PracticeItem.project_id == project_id, PracticeItem.retired_at.is_(None))
    return list(session.scalars(query.order_by(PracticeItem.position, PracticeItem.id)))


def add(
    session: Session, project: Project, text: str, label: int, explanation: str = "", *, user_id: int | None
) -> PracticeItem:
    """Raises InvalidInput naming the field, Conflict for a text that is there already or for too many."""
    text = text.strip()
    if not text or len(text) > MAX_TEXT:
        raise InvalidInput(f"Give the text, {MAX_TEXT:,} characters at most.", field="text")
    if not 0 <= label < len(project.labels):
        raise InvalidInput("Choose the right answer.", field="label")
    present = items(session, project.id)
    if len(present) >= MOST_ITEMS:
        raise Conflict(f"{MOST_ITEMS} texts are the most: a practice takes minutes.", field="text")
    if any(item.text == text for item in present):
        raise Conflict("This text is in the practice already.", field="text")
    row = PracticeItem(
        project_id=project.id,
        position=max((item.position for item in present), default=-1) + 1,
        text=text,
        label=label,
        explanation=explanation.strip()[:MAX_TEXT],
    )
    session.add(row)
    session.flush()
    audit.record(session, "practice.added", user_id=user_id, project_id=project.id, subject=text[:100])
    return row


def add_examples(session: Session, project: Project, *, user_id: int) -> int:
    """Every example of the guideline that is not there yet; how many that were."""
    guideline = projects.current_guideline(session, project.id)
    known, added = {item.text for item in items(session, project.id)}, 0
    for label, name in enumerate(project.labels):
        for text in guideline.examples.get(name, []):
            if text not in known and len(known) < MOST_ITEMS:
                add(session, project, text, label, user_id=user_id)
                known.add(text)
                added += 1
    return added


def retire(
    session: Session, project_id: int, item_id: int, *, user_id: int | None, now: datetime | None = None
) -> None:
    """Take an item out; answers to it stay stored. Raises NotFound."""
    row = session.scalar(
        select(PracticeItem).where(
            PracticeItem.id == item_id, PracticeItem.project_id == project_id, PracticeItem.retired_at.is_(None)
        )
    )
    if row is None:
        raise NotFound("There is no such text in the practice.")
    row.retired_at = now or utcnow()
    session.flush()
    audit.record(session, "practice.retired", user_id=user_id, project_id=project_id, subject=row.text[:100])


def attempt(session: Session, project: Project, expert_id: int, *, again: bool = False) -> Attempt:
    """The expert's last attempt; with ``again``, an empty one after it if that is complete."""
    present = items(session, project.id)
    ids = [item.id for item in present]
    mine = (PracticeAnswer.expert_id == expert_id, PracticeAnswer.practice_item_id.in_(ids))
    number = session.scalar(select(func.max(PracticeAnswer.attempt)).where(*mine)) or 1
    rows = session.execute(
        select(PracticeAnswer.practice_item_id, PracticeAnswer.label).where(*mine, PracticeAnswer.attempt == number)
    )
    passed_at = session.scalar(
        select(Membership.practice_passed_at).where(
            Membership.project_id == project.id, Membership.user_id == expert_id
        )
    )
    given = {row.practice_item_id: row.label for row in rows}
    last = Attempt(number, present, given, projects.settings_of(project).practice_pass_share, passed_at)
    return replace(last, number=number + 1, given={}) if again and last.is_complete else last


def answer(
    session: Session,
    project: Project,
    expert_id: int,
    item_id: int,
    label: int,
    *,
    number: int = 1,
    now: datetime | None = None,
) -> Attempt:
    """The first answer to an item in attempt ``number`` counts; another changes nothing.

    Raises NotFound or InvalidInput, and Conflict for an attempt that is not the last nor the next.
    """
    now, present = now or utcnow(), attempt(session, project, expert_id)
    if number > present.number:
        present = attempt(session, project, expert_id, again=True)
    if number != present.number:
        raise Conflict("You have begun the practice again elsewhere.")
    if item_id not in {item.id for item in present.items}:
        raise NotFound("There is no such text in the practice.")
    if not 0 <= label < len(project.labels):
        raise InvalidInput("There is no such label.", field="label")
    if item_id in present.given:
        return present
    session.add(
        PracticeAnswer(practice_item_id=item_id, expert_id=expert_id, attempt=number, label=label, created_at=now)
    )
    session.flush()
    after = attempt(session, project, expert_id)
    if after.passes and after.passed_at is None:
        session.execute(
            update(Membership)
            .where(Membership.project_id == project.id, Membership.user_id == expert_id)
            .values(practice_passed_at=now)
        )
        audit.record(session, "practice.passed", user_id=expert_id, project_id=project.id, correct=after.correct)
        return replace(after, passed_at=now)
    return after


def is_required(session: Session, project: Project, expert_id: int) -> bool:
    """Whether the expert must pass before they label: the project asks for it, has texts, and they have not yet."""
    if not project.settings.get("practice_pass_share"):
        return False
    passed = session.scalar(
        select(Membership.practice_passed_at).where(
            Membership.project_id == project.id, Membership.user_id == expert_id
        )
    )
    return passed is None and bool(items(session, project.id))


def is_offered(session: Session, project: Project, expert_id: int) -> bool:
    """Whether a newcomer should see the practice first: they have answered nothing yet, there or in a review."""
    present = attempt(session, project, expert_id)
    if not present.items or present.passed_at is not None or present.is_complete:
        return False
    answered = (
        select(Annotation.id)
        .join(Assignment, Assignment.id == Annotation.assignment_id)
        .join(Round, Round.id == Assignment.round_id)
        .where(Round.project_id == project.id, Annotation.expert_id == expert_id, Annotation.kind == "blind")
        .limit(1)
    )
    return session.scalar(answered) is None
