"""The guideline as a conversation: what experts ask and propose, what changed from version to version, and which
answers are asked for again because of it."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from app.db.base import utcnow
from app.db.tables import (
    Annotation,
    Assignment,
    BoundaryPair,
    GuidelineVersion,
    Item,
    PairView,
    Project,
    Round,
    Suggestion,
    User,
)
from app.errors import Conflict, InvalidInput, NotFound
from app.services import audit, example_items, preferences, projects, queue
from app.services.accounts import new_secret

MAX_TEXT = 4000
QUEUED_AGAIN_FOR = timedelta(days=1)  # so long the item is kept for the expert who answered it before


@dataclass(frozen=True)
class Asked:
    """A suggestion with what a page shows beside it. ``author`` is for leads only."""

    row: Suggestion
    author: str
    item_text: str | None
    version: int  # of the guideline that its author had read
    published_version: int | None


def suggest(
    session: Session,
    project: Project,
    author_id: int,
    kind: str,
    text: str,
    *,
    key: str,
    assignment_id: int | None = None,
    label: int | None = None,
    now: datetime | None = None,
) -> Suggestion:
    """Ask about the guideline, or propose an example for it: the item of one's own ``assignment_id``, with its label.

    The same key twice is one suggestion. Raises InvalidInput naming the field, NotFound for an item not one's own.
    """
    replayed = session.scalar(select(Suggestion).where(Suggestion.idempotency_key == f"{author_id}:{key}"))
    if replayed is not None:
        return replayed
    text = text.strip()
    if kind not in ("question", "example"):
        raise InvalidInput("Ask a question or propose an example.", field="kind")
    if not text or len(text) > MAX_TEXT:
        raise InvalidInput("Write a sentence or two, %(n)s characters at most.", values={"n": MAX_TEXT}, field="text")
    item_id = None if assignment_id is None else _own_item(session, project.id, author_id, assignment_id)
    if kind == "example" and (label is None or not 0 <= label < len(project.labels)):
        raise InvalidInput("Choose the label that the example has.", field="label")
    if kind == "example" and item_id is None:
        raise InvalidInput("An example needs a text that you have had before you.", field="kind")
    row = Suggestion(
        project_id=project.id,
        author_id=author_id,
        kind=kind,
        item_id=item_id,
        label=label if kind == "example" else None,
        text=text,
        idempotency_key=f"{author_id}:{key}"[:64],
        guideline_version_id=projects.current_guideline(session, project.id).id,
        created_at=now or utcnow(),
    )
    session.add(row)
    session.flush()
    audit.record(session, "suggestion.made", user_id=author_id, project_id=project.id, subject=kind, suggestion=row.id)
    return row


def _own_item(session: Session, project_id: int, expert_id: int, assignment_id: int) -> int:
    item_id = session.scalar(
        select(Assignment.item_id)
        .join(Round, Round.id == Assignment.round_id)
        .where(Assignment.id == assignment_id, Assignment.expert_id == expert_id, Round.project_id == project_id)
    )
    if item_id is None:
        raise NotFound("That text is not one of yours.")
    return item_id


def asked(session: Session, project_id: int, *, author_id: int | None = None, limit: int = 200) -> list[Asked]:
    """Suggestions, open ones first and then the newest; of one author, or of all (for leads)."""
    read, published = aliased(GuidelineVersion), aliased(GuidelineVersion)
    query = (
        select(Suggestion, User.name, Item.text, read.version, published.version)
        .join(User, User.id == Suggestion.author_id)
        .outerjoin(Item, Item.id == Suggestion.item_id)
        .join(read, read.id == Suggestion.guideline_version_id)
        .outerjoin(published, published.id == Suggestion.published_in_id)
        .where(Suggestion.project_id == project_id)
        .order_by(Suggestion.state != "open", Suggestion.id.desc())
        .limit(limit)
    )
    if author_id is not None:
        query = query.where(Suggestion.author_id == author_id)
    return [Asked(*row) for row in session.execute(query)]


def count_open(session: Session, project_id: int) -> int:
    waiting = (Suggestion.project_id == project_id, Suggestion.state == "open")
    return session.scalar(select(func.count()).select_from(Suggestion).where(*waiting)) or 0


def reply(
    session: Session,
    project: Project,
    suggestion_id: int,
    answer: str,
    *,
    user_id: int,
    decline: bool = False,
    now: datetime | None = None,
) -> Suggestion:
    """Answer a question, or decline a proposal with a reason. Raises NotFound, Conflict if somebody did already,
    InvalidInput without words."""
    row = _open(session, project.id, suggestion_id)
    if not answer.strip():
        raise InvalidInput("Write an answer: the expert who asked reads it.", field="answer")
    _close(session, row, "declined" if decline else "answered", answer, user_id, now)
    return row


def take_up(
    session: Session,
    project: Project,
    suggestion_id: int,
    *,
    user_id: int,
    answer: str = "",
    now: datetime | None = None,
) -> GuidelineVersion:
    """Publish the guideline with the proposed example. Raises as ``reply`` does, and Conflict for a text that is an
    example already."""
    row = _open(session, project.id, suggestion_id)
    if row.kind != "example" or row.item_id is None or row.label is None:
        raise InvalidInput("Only a proposed example can be taken up.", field="kind")
    version = projects.publish_example(
        session, project, session.get_one(Item, row.item_id).text, row.label, user_id=user_id
    )
    row.published_in_id = version.id
    _close(session, row, "answered", answer, user_id, now)
    return version


def _open(session: Session, project_id: int, suggestion_id: int) -> Suggestion:
    row = session.scalar(
        select(Suggestion)
        .where(Suggestion.id == suggestion_id, Suggestion.project_id == project_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("There is no such suggestion.")
    if row.state != "open":
        raise Conflict("Somebody has answered this already.")
    return row


def _close(session: Session, row: Suggestion, state: str, answer: str, user_id: int, now: datetime | None) -> None:
    row.state, row.answer = state, answer.strip()[:MAX_TEXT] or None
    row.answered_by_id, row.answered_at = user_id, now or utcnow()
    session.flush()
    audit.record(
        session, f"suggestion.{state}", user_id=user_id, project_id=row.project_id, subject=row.kind, suggestion=row.id
    )


# --- versions ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of a comparison: ``kind`` is same, added or removed."""

    kind: str
    text: str


@dataclass(frozen=True)
class Version:
    row: GuidelineVersion
    author: str | None
    changes: list[Line]  # against the version before


def versions(session: Session, project: Project) -> list[Version]:
    """Every version, the newest first, with what it changed."""
    rows = session.execute(
        select(GuidelineVersion, User.name)
        .outerjoin(User, User.id == GuidelineVersion.created_by_id)
        .where(GuidelineVersion.project_id == project.id)
        .order_by(GuidelineVersion.version)
    ).all()
    found: list[Version] = []
    before: list[str] = []
    for row, author in rows:
        lines = _lines(row.text, row.examples, project.labels)
        found.append(Version(row, author, compare(before, lines)))
        before = lines
    return found[::-1]


def draft_changes(session: Session, project: Project, text: str, examples: Mapping[str, Sequence[str]]) -> list[Line]:
    """What a text that is not published yet would change in the current version."""
    present = projects.current_guideline(session, project.id)
    before = _lines(present.text, present.examples, project.labels)
    return compare(before, _lines(text, examples, project.labels))


def _lines(text: str, examples: Mapping[str, Sequence[str]], labels: Sequence[str]) -> list[str]:
    shown = [f"{label}: {example}" for label in labels for example in examples.get(label, [])]
    return [line.rstrip() for line in text.splitlines() if line.strip()] + shown


def publish(
    session: Session,
    project: Project,
    *,
    text: str,
    examples: dict[str, list[str]],
    summary: str,
    user_id: int,
    based_on: int | None = None,
) -> GuidelineVersion:
    """A new version, with a sentence for those who knew the last one.

    Raises InvalidInput without that sentence, Conflict where ``based_on`` (the version that the author had before
    them) is no longer the current one: they would undo what somebody else has just published.
    """
    # Not wholly: whoever has a lock on the round that may be wanted next adds to the project's audit log.
    session.execute(select(Project.id).where(Project.id == project.id).with_for_update(key_share=True))
    present = session.scalar(
        select(GuidelineVersion)
        .where(GuidelineVersion.project_id == project.id)
        .order_by(GuidelineVersion.version.desc())
        .limit(1)
    )
    summary = " ".join(summary.split())
    if present is not None and based_on not in (None, present.version):
        raise Conflict(f"Version {present.version} was published while you wrote. See what yours changes in it.")
    if present is not None and present.text and not summary:
        raise InvalidInput("Say in one sentence what has changed: experts read it.", field="summary")
    return projects.publish_guideline(session, project, text=text, examples=examples, summary=summary, user_id=user_id)


def compare(before: Sequence[str], after: Sequence[str], *, around: int = 1) -> list[Line]:
    """Added and removed lines with ``around`` unchanged ones beside them; "…" stands for what is left out.

    Lines are compared whole: looking for similar ones (as ndiff does) takes seconds where a text is rewritten.
    """
    lines: list[Line] = []
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for kind, b0, b1, a0, a1 in matcher.get_opcodes():
        if kind == "equal":
            lines += [Line("same", text) for text in after[a0:a1]]
        else:
            lines += [Line("removed", text) for text in before[b0:b1]]
            lines += [Line("added", text) for text in after[a0:a1]]
    return _near_changes(lines, around)


def _near_changes(lines: list[Line], around: int) -> list[Line]:
    changed = [place for place, line in enumerate(lines) if line.kind != "same"]
    near = {place + step for place in changed for step in range(-around, around + 1)}
    shown: list[Line] = []
    for place, line in enumerate(lines):
        if place in near:
            shown.append(line)
        elif shown and shown[-1].text != "…":
            shown.append(Line("same", "…"))
    return shown


def news(session: Session, project_id: int, user: User) -> GuidelineVersion | None:
    """The current version if the expert has worked with an earlier one and not yet been told of this."""
    current = projects.current_guideline(session, project_id)
    told = preferences.get(user).guidelines_seen.get(str(project_id), 0)
    if told >= current.version:
        return None
    worked_with = session.scalar(
        select(func.max(GuidelineVersion.version))
        .join(Annotation, Annotation.guideline_version_id == GuidelineVersion.id)
        .where(
            GuidelineVersion.project_id == project_id,
            Annotation.expert_id == user.id,
            Annotation.kind != "undone",  # a lead may have taken an answer back, under the new version
        )
    )
    return current if worked_with is not None and worked_with < current.version else None


def note_seen(session: Session, project_id: int, user: User) -> None:
    """The expert has read what changed."""
    seen = preferences.get(user).guidelines_seen
    version = projects.current_guideline(session, project_id).version
    preferences.update(session, user, guidelines_seen=seen | {str(project_id): version})


# --- queued again --------------------------------------------------------------------------------------------------


def _standing(session: Session, project_id: int, *, newer_than: int | None) -> Select[*tuple[Any, ...]]:
    """Answered slots of the open review with their standing label, given under another version than ``newer_than``.

    What its expert has seen beside its contrast is not among them, nor what the guideline shows as an example: they
    could no longer answer it blind.
    """
    later = aliased(Annotation)
    seen = (
        exists()
        .where(PairView.pair_id == BoundaryPair.id, PairView.expert_id == Assignment.expert_id)
        .where(BoundaryPair.round_id == Assignment.round_id)
        .where((BoundaryPair.left_item_id == Assignment.item_id) | (BoundaryPair.right_item_id == Assignment.item_id))
    )
    query = (
        select(Assignment, Annotation.label)
        .join(Round, Round.id == Assignment.round_id)
        .join(Annotation, Annotation.assignment_id == Assignment.id)
        .where(
            Round.project_id == project_id,
            Round.state == "review",
            Assignment.state == "done",
            Annotation.expert_id == Assignment.expert_id,
            Annotation.label.is_not(None),
            ~exists().where(later.assignment_id == Assignment.id, later.id > Annotation.id),
            ~seen,
            Assignment.item_id.not_in(example_items.items_with(project_id, example_items.on_show(session, project_id))),
        )
    )
    return query if newer_than is None else query.where(Annotation.guideline_version_id != newer_than)


def affected(
    session: Session, project_id: int, labels: Sequence[int] = (), items: Sequence[int] = ()
) -> list[Assignment]:
    """The open review's answers with one of the labels, or to one of the items, given under an earlier version of the
    guideline."""
    query = _chosen(session, project_id, labels, items).order_by(Assignment.id)
    return list(session.scalars(query.with_for_update(of=Assignment)))


def number_affected(session: Session, project_id: int, labels: Sequence[int] = (), items: Sequence[int] = ()) -> int:
    """How many ``affected`` would find."""
    chosen = _chosen(session, project_id, labels, items).subquery()
    return session.scalar(select(func.count()).select_from(chosen)) or 0


def _chosen(session: Session, project_id: int, labels: Sequence[int], items: Sequence[int]) -> Select[*tuple[Any, ...]]:
    current = projects.current_guideline(session, project_id)
    standing = _standing(session, project_id, newer_than=current.id)
    return standing.where(Annotation.label.in_(labels) | Assignment.item_id.in_(items))


def count_affected(session: Session, project: Project, *, by_next_version: bool = False) -> list[int]:
    """By label, how many answers could be asked for again: now, or once a next version is published."""
    current = None if by_next_version else projects.current_guideline(session, project.id).id
    standing = _standing(session, project.id, newer_than=current).subquery()
    rows = session.execute(select(standing.c.label, func.count()).group_by(standing.c.label))
    found = {row.label: row[1] for row in rows}
    return [found.get(label, 0) for label in range(len(project.labels))]


@dataclass(frozen=True)
class AnsweredItem:
    """An item of the open review; ``answers`` to it, by label, were given under an earlier version."""

    item_id: int
    text: str
    answers: dict[int, int]


def affected_items(session: Session, project: Project, *, limit: int = 200) -> list[AnsweredItem]:
    """The items whose answers could be asked for again one by one, without saying whose they are."""
    current = projects.current_guideline(session, project.id)
    standing = _standing(session, project.id, newer_than=current.id).subquery()
    rows = session.execute(
        select(Item.id, Item.text, standing.c.label, func.count())
        .join(standing, standing.c.item_id == Item.id)
        .group_by(Item.id, Item.text, standing.c.label)
        .order_by(Item.id, standing.c.label)
    )
    found: dict[int, AnsweredItem] = {}
    for item_id, text, label, count in rows:
        if item_id in found or len(found) < limit:
            found.setdefault(item_id, AnsweredItem(item_id, text, {})).answers[label] = count
    return list(found.values())


def queue_again(
    session: Session,
    project: Project,
    labels: Sequence[int],
    items: Sequence[int] = (),
    *,
    user_id: int,
    expected: int | None = None,
    now: datetime | None = None,
) -> int:
    """Ask the same experts for these answers again: an ``undone`` row takes each back, and its item returns to them.
    The old answers stay stored. Returns how many.

    Raises InvalidInput without labels or items, or for labels that are not there; Conflict where more than
    ``expected`` are concerned: more would be asked than was confirmed.
    """
    if not (labels or items) or not set(labels) <= set(range(len(project.labels))):
        raise InvalidInput("Choose the labels or the texts that the change is about.", field="labels")
    now = now or utcnow()
    queue.keep_open(session, project.id)
    slots = affected(session, project.id, labels, items)
    if expected is not None and len(slots) > expected:
        raise Conflict("More answers have come in since. Look at the numbers again.")
    current = projects.current_guideline(session, project.id)
    for slot in slots:
        session.add(
            Annotation(
                round_id=slot.round_id,
                item_id=slot.item_id,
                assignment_id=slot.id,
                expert_id=slot.expert_id,
                kind="undone",
                idempotency_key=f"again-{new_secret()[:40]}",
                guideline_version_id=current.id,
                requeued_by_id=user_id,
                created_at=now,
            )
        )
        slot.state, slot.claimed_at, slot.done_at = "claimed", now, None
        slot.lease_expires_at = now + QUEUED_AGAIN_FOR
    session.flush()
    audit.record(
        session,
        "answers.queued_again",
        user_id=user_id,
        project_id=project.id,
        subject=f"version {current.version}",
        labels=[project.labels[label] for label in labels],
        items=list(items),
        answers=len(slots),
    )
    return len(slots)


def returned(session: Session, project_id: int, expert_id: int) -> set[int]:
    """The expert's assignments that wait for a second answer because the guideline changed."""
    rows = session.scalars(
        select(Assignment.id)
        .join(Round, Round.id == Assignment.round_id)
        .where(
            Round.project_id == project_id,
            Round.state == "review",
            Assignment.state == "claimed",
            Assignment.expert_id == expert_id,
            queue.is_asked_again(),
        )
    )
    return set(rows)
