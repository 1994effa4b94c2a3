"""Experts' answers: given, skipped, taken back. Rows are only ever added, and each is stored once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, bindparam, func, select, text, update
from sqlalchemy.orm import Session

from app.db.base import UtcDateTime, utcnow
from app.db.tables import Annotation, Assignment, Item, Round
from app.errors import Conflict, InvalidInput, NotFound
from app.services import queue, reveals
from app.services.projects import current_guideline

MAX_NOTE = 4000


@dataclass(frozen=True, slots=True)
class Answer:
    """What the browser sends. ``key`` is its idempotency key: the same key twice is the same answer."""

    assignment_id: int
    label: int
    key: str
    flagged: bool = False
    note: str | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    annotation_id: int
    round_id: int
    item_id: int
    replayed: bool  # the answer was already on disk


# The hot path in SQL, as in app.services.queue. The guideline is the newest version: what the expert has beside the
# item.
_FINISH_SLOT = text("""
    UPDATE assignments SET state = 'done', done_at = :now, lease_expires_at = NULL
    WHERE id = :slot AND expert_id = :expert AND state = 'claimed'
      AND round_id = (SELECT id FROM rounds WHERE project_id = :project AND state = 'review')
      AND NOT EXISTS (SELECT 1 FROM annotations WHERE expert_id = :expert AND idempotency_key = :key)
    RETURNING id, round_id, item_id""").bindparams(bindparam("now", type_=UtcDateTime()))
_ADD_BLIND = text("""
    INSERT INTO annotations (round_id, item_id, assignment_id, expert_id, kind, label, idempotency_key,
                             guideline_version_id, flagged, note, seconds, created_at)
    VALUES (:round, :item, :slot, :expert, 'blind', :label, :key,
            (SELECT id FROM guideline_versions WHERE project_id = :project ORDER BY version DESC LIMIT 1),
            :flagged, :note, :seconds, :now)
    RETURNING id""").bindparams(bindparam("now", type_=UtcDateTime()))


def submit(
    session: Session,
    *,
    project_id: int,
    expert_id: int,
    n_labels: int,
    answer: Answer,
    now: datetime | None = None,
) -> Receipt:
    """Store a blind answer for a slot that the expert holds.

    Raises InvalidInput for a bad label, key or note; Conflict when the slot is no longer theirs to answer. Nothing
    has been written when it raises.
    """
    _check(answer, n_labels)
    now = now or utcnow()
    slot = _finish_slot(session, project_id, expert_id, answer, now)
    if slot is None:
        earlier = _earlier_receipt(session, expert_id, answer)
        if earlier is not None:
            return earlier
        slot = _take_another_slot(session, project_id, expert_id, answer.assignment_id, now)
    assignment_id, round_id, item_id = slot
    values = {
        "round": round_id,
        "item": item_id,
        "slot": assignment_id,
        "expert": expert_id,
        "label": answer.label,
        "key": answer.key,
        "project": project_id,
        "flagged": answer.flagged,
        "note": (answer.note or "").strip() or None,
        "seconds": answer.seconds,
        "now": now,
    }
    annotation_id = session.connection().execute(_ADD_BLIND, values).scalar_one()
    return Receipt(annotation_id, round_id, item_id, replayed=False)


def _check(answer: Answer, n_labels: int) -> None:
    if not 0 <= answer.label < n_labels:
        raise InvalidInput("There is no such label.", field="label")
    _check_key(answer.key)
    if answer.note is not None and len(answer.note) > MAX_NOTE:
        raise InvalidInput("A note can have %(n)s characters at most.", values={"n": MAX_NOTE}, field="note")
    if answer.seconds is not None and not 0 <= answer.seconds < 1e6:
        raise InvalidInput("The time taken is not plausible.", field="seconds")


def _check_key(key: str) -> None:
    if not 8 <= len(key) <= 64:
        raise InvalidInput("The answer needs an idempotency key of 8 to 64 characters.", field="key")


def _finish_slot(
    session: Session, project_id: int, expert_id: int, answer: Answer, now: datetime
) -> tuple[int, int, int] | None:
    """claimed → done, if the slot is this expert's; a lease that ran out does not matter until somebody else
    takes the slot. A key that was used already finishes nothing: its answer may have been taken back since, and what
    comes again so late must not answer the item anew."""
    values = {
        "slot": answer.assignment_id,
        "expert": expert_id,
        "project": project_id,
        "key": answer.key,
        "now": now,
    }
    row = session.connection().execute(_FINISH_SLOT, values).first()
    return None if row is None else (row[0], row[1], row[2])


def _earlier_receipt(session: Session, expert_id: int, answer: Answer) -> Receipt | None:
    row = session.execute(
        select(Annotation.id, Annotation.round_id, Annotation.item_id, Annotation.label).where(
            Annotation.expert_id == expert_id, Annotation.idempotency_key == answer.key
        )
    ).first()
    if row is None:
        return None
    if row.label != answer.label:
        raise Conflict("This answer was already stored with another label.", field="key")
    return Receipt(row.id, row.round_id, row.item_id, replayed=True)


def _take_another_slot(
    session: Session, project_id: int, expert_id: int, assignment_id: int, now: datetime
) -> tuple[int, int, int]:
    """The slot was lost (its lease ran out and a colleague took it): the answer still counts where another slot of
    the same item is free. Otherwise Conflict says what happened."""
    lost = session.execute(
        select(Assignment.item_id, Assignment.round_id, Assignment.expert_id, Assignment.state, Round.state.label("r"))
        .join(Round, Round.id == Assignment.round_id)
        .where(Assignment.id == assignment_id, Round.project_id == project_id)
    ).first()
    if lost is None:
        raise NotFound("There is no such item in your queue.")
    if lost.r != "review":
        raise Conflict("This review has closed; the answer was not needed any more.", reason="closed")
    mine = session.scalar(
        select(Assignment.state).where(
            Assignment.round_id == lost.round_id, Assignment.item_id == lost.item_id, Assignment.expert_id == expert_id
        )
    )
    if mine is not None and mine != "claimed":
        raise Conflict("You have answered or skipped this item already.", reason="answered")
    row = session.execute(
        update(Assignment)
        .where(
            Assignment.id
            == select(Assignment.id)
            .where(
                Assignment.round_id == lost.round_id,
                Assignment.item_id == lost.item_id,
                (Assignment.state == "open") | (Assignment.expert_id == expert_id),
                Assignment.state.in_(("open", "claimed")),
            )
            .order_by(Assignment.expert_id.is_(None))
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        .values(state="done", expert_id=expert_id, claimed_at=now, done_at=now, lease_expires_at=None)
        .returning(Assignment.id, Assignment.round_id, Assignment.item_id)
        .execution_options(synchronize_session=False)
    ).first()
    if row is None:
        raise Conflict("Colleagues have answered this item in the meantime.", reason="taken")
    return row[0], row[1], row[2]


def skip(
    session: Session,
    *,
    project_id: int,
    expert_id: int,
    assignment_id: int,
    reason: str = "",
    key: str | None = None,
    now: datetime | None = None,
) -> int:
    """Pass the item to a colleague; it will not be given to this expert again. Returns the round's id.

    A repeated skip of the same slot changes nothing; with the same ``key`` not even after it was taken back.
    """
    if key is not None:
        _check_key(key)
    if len(reason) > MAX_NOTE:
        raise InvalidInput("A reason can have %(n)s characters at most.", values={"n": MAX_NOTE}, field="reason")
    assignment = session.scalar(
        select(Assignment)
        .join(Round, Round.id == Assignment.round_id)
        .where(Assignment.id == assignment_id, Round.project_id == project_id)
        .with_for_update(of=Assignment)
        .execution_options(populate_existing=True)
    )
    if key is not None and (earlier := _carried_out(session, expert_id, key)) is not None:
        return earlier.round_id
    if assignment is None or assignment.expert_id != expert_id:
        raise Conflict("This item is no longer yours to skip.", reason="taken")
    if assignment.state not in ("claimed", "skipped"):
        raise Conflict("This item is no longer yours to skip.", reason=assignment.state)
    now = now or utcnow()
    if key is not None:
        _add_undone(session, assignment, expert_id, project_id, key, now)
    if assignment.state == "skipped":
        return assignment.round_id
    assignment.state = "skipped"
    assignment.skip_reason = reason.strip() or None
    assignment.done_at = now
    assignment.lease_expires_at = None
    session.flush()
    queue.reopen_for_colleague(session, assignment)
    return assignment.round_id


def undo(
    session: Session,
    *,
    project_id: int,
    expert_id: int,
    key: str,
    lease: timedelta,
    assignment_id: int | None = None,
    keep_claims: bool = False,
    now: datetime | None = None,
) -> int | None:
    """Take back the expert's last answer in the open review, or what they did with ``assignment_id``, which may be a
    skip, and hand them its item again; they can go on to the one before. Returns its assignment; None when there is
    nothing to take back.

    The same key twice takes back one thing, whatever came between. Raises Conflict once the expert has seen the item
    beside its contrast: what they know then is not blind any more; and where a colleague has a skipped item already.
    Without ``keep_claims`` the other items that they hold go back, so that this one is their next; not those that
    they are asked for again.
    """
    _check_key(key)
    now = now or utcnow()
    queue.keep_open(session, project_id)
    if (earlier := _carried_out(session, expert_id, key)) is not None:
        return earlier.assignment_id
    last = _answered(session, project_id, expert_id, assignment_id)
    if last is None:
        skipped = assignment_id and _take_back_skip(session, project_id, expert_id, assignment_id, now + lease, now)
        if not skipped:
            return None
        _add_undone(session, skipped, expert_id, project_id, key, now)
        return skipped.id
    if reveals.revealed(session, expert_id, last.round_id, [last.item_id]):
        raise Conflict("You have seen this text beside its contrast. You can still change your answer.", reason="seen")
    if not keep_claims:
        queue.release(session, project_id, expert_id)
    _add_undone(session, last, expert_id, project_id, key, now)
    last.state = "claimed"
    last.claimed_at, last.lease_expires_at, last.done_at = now, now + lease, None
    session.flush()
    return last.id


def _carried_out(session: Session, expert_id: int, key: str) -> Annotation | None:
    """The row of what the expert did with this key, if that has been done."""
    return session.scalar(
        select(Annotation).where(Annotation.expert_id == expert_id, Annotation.idempotency_key == key)
    )


def _take_back_skip(
    session: Session, project_id: int, expert_id: int, assignment_id: int, until: datetime, now: datetime
) -> Assignment | None:
    """The slot, if it is the expert's again; also when it has been all the while: the skip may never have come."""
    slot = session.scalar(
        select(Assignment)
        .join(Round, Round.id == Assignment.round_id)
        .where(
            Assignment.id == assignment_id,
            Assignment.expert_id == expert_id,
            Assignment.state.in_(("skipped", "claimed")),
            Round.project_id == project_id,
            Round.state == "review",
        )
        .with_for_update(of=Assignment)
        .execution_options(populate_existing=True)
    )
    if slot is None or slot.state == "claimed":
        return slot
    if not queue.take_back_from_colleague(session, slot):
        raise Conflict("A colleague has this item now.", reason="given_on")
    slot.state, slot.skip_reason, slot.done_at = "claimed", None, None
    slot.claimed_at, slot.lease_expires_at = now, until
    session.flush()
    return slot


def _add_undone(session: Session, slot: Assignment, expert_id: int, project_id: int, key: str, now: datetime) -> None:
    """No answer of the expert's stands there from here on. A skip, and what takes it back, leave such a row as well,
    though no answer stood before: so their keys are known for good."""
    session.add(
        Annotation(
            round_id=slot.round_id,
            item_id=slot.item_id,
            assignment_id=slot.id,
            expert_id=expert_id,
            kind="undone",
            label=None,
            idempotency_key=key,
            guideline_version_id=current_guideline(session, project_id).id,
            created_at=now,
        )
    )
    session.flush()


def change(
    session: Session,
    *,
    project_id: int,
    expert_id: int,
    n_labels: int,
    answer: Answer,
    now: datetime | None = None,
) -> Receipt:
    """Answer an item of the open review anew. Before the expert has seen its contrast this is a blind answer in place
    of the first; after, it is a revision, which needs a note saying why.

    Raises Conflict when the review has closed or the item is not theirs, InvalidInput for a bad label or a revision
    without a reason. The same key twice is one change.
    """
    _check(answer, n_labels)
    now = now or utcnow()
    earlier = _earlier_receipt(session, expert_id, answer)
    if earlier is not None:
        return earlier
    queue.keep_open(session, project_id)
    slot = _answered(session, project_id, expert_id, answer.assignment_id)
    if slot is None:
        raise Conflict("This answer can't be changed any more: its review has closed.", reason="closed")
    seen = bool(reveals.revealed(session, expert_id, slot.round_id, [slot.item_id]))
    note = (answer.note or "").strip() or None
    if seen and note is None:
        raise InvalidInput("Say why you change it: you have seen the text beside its contrast.", field="note")
    if not seen:
        _add_undone(session, slot, expert_id, project_id, f"undo:{answer.key}"[:64], now)
    row = Annotation(
        round_id=slot.round_id,
        item_id=slot.item_id,
        assignment_id=slot.id,
        expert_id=expert_id,
        kind="revised" if seen else "blind",
        label=answer.label,
        idempotency_key=answer.key,
        guideline_version_id=current_guideline(session, project_id).id,
        flagged=answer.flagged,
        note=note,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return Receipt(row.id, slot.round_id, slot.item_id, replayed=False)


@dataclass(frozen=True, slots=True)
class Given:
    """An answer of one's own that stands, so it has a label. ``changeable``: its review is still open. ``seen``:
    beside its contrast, so that a change needs a reason."""

    assignment_id: int
    item_id: int
    text: str
    label: int | None
    flagged: bool
    note: str | None
    at: datetime
    round_number: int
    changeable: bool
    seen: bool


def given_since(session: Session, *, project_id: int, expert_id: int, since: datetime, limit: int = 500) -> list[Given]:
    """The expert's standing answers given since then, the newest first."""
    return _given(session, _standing(project_id, expert_id).where(Annotation.created_at >= since).limit(limit))


def given_to(session: Session, assignment_id: int, *, project_id: int, expert_id: int) -> Given:
    """The expert's standing answer there. Raises NotFound for one not given, taken back, or not theirs."""
    query = _standing(project_id, expert_id).where(Annotation.assignment_id == assignment_id)
    found = _given(session, query)
    if not found:
        raise NotFound("You have given no answer there that stands.")
    return found[0]


def _standing(project_id: int, expert_id: int) -> Select[*tuple[Any, ...]]:
    newest = (
        select(func.max(Annotation.id))
        .join(Round, Round.id == Annotation.round_id)
        .where(Annotation.expert_id == expert_id, Round.project_id == project_id)
        .group_by(Annotation.assignment_id)
    )
    return (
        select(Annotation, Item.text, Round.number, Round.state)
        .join(Item, Item.id == Annotation.item_id)
        .join(Round, Round.id == Annotation.round_id)
        .where(Annotation.id.in_(newest), Annotation.kind != "undone")
        .order_by(Annotation.id.desc())
    )


def _given(session: Session, query: Select[*tuple[Any, ...]]) -> list[Given]:
    rows = session.execute(query).all()
    seen: set[tuple[int, int]] = set()
    for round_id, expert_id in {(row.Annotation.round_id, row.Annotation.expert_id) for row in rows}:
        items = [row.Annotation.item_id for row in rows if row.Annotation.round_id == round_id]
        seen |= {(round_id, item) for item in reveals.revealed(session, expert_id, round_id, items)}
    return [
        Given(
            given.assignment_id,
            given.item_id,
            text,
            given.label,
            given.flagged,
            given.note,
            given.created_at,
            number,
            state == "review",
            (given.round_id, given.item_id) in seen,
        )
        for given, text, number, state in rows
    ]


def _answered(session: Session, project_id: int, expert_id: int, assignment_id: int | None) -> Assignment | None:
    """The slot of the open review that the expert answered last, or ``assignment_id`` if they have answered it."""
    newest = (
        select(Annotation.assignment_id, func.max(Annotation.id).label("at"))
        .where(Annotation.expert_id == expert_id, Annotation.kind != "undone")
        .group_by(Annotation.assignment_id)
        .subquery()
    )
    query = (
        select(Assignment)
        .join(newest, newest.c.assignment_id == Assignment.id)
        .where(
            Assignment.round_id
            == select(Round.id).where(Round.project_id == project_id, Round.state == "review").scalar_subquery(),
            Assignment.expert_id == expert_id,
            Assignment.state == "done",
        )
        .order_by(newest.c.at.desc())
        .limit(1)
        .with_for_update(of=Assignment)
        .execution_options(populate_existing=True)
    )
    return session.scalar(query if assignment_id is None else query.where(Assignment.id == assignment_id))
