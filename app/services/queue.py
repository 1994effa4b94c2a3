"""The review queue: who is given which item next.

Everything here is one conditional UPDATE on ``assignments`` and reads around it; the table's unique constraints
(round, item, slot) and (round, item, expert) hold whatever the interleaving.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, bindparam, exists, func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from app.db.base import UtcDateTime, utcnow
from app.db.tables import Annotation, Assignment, Membership, Project, Round, RoundItem, User
from app.db.tables.review import UNANSWERED
from app.services import audit, reveals, webhooks

_CLAIM_ATTEMPTS = 5
AHEAD = 4  # items beyond the one in hand that a page holds, so that the next is there at once, online or not
_FEW_LEFT = 12  # unanswered slots in a round: from here on, holding more than one ahead would leave colleagues idle
_LONGEST_PAUSE = 600  # seconds: an answer that took longer was interrupted, and says nothing about the pace
_PACE_ANSWERS = 30


@dataclass(frozen=True, slots=True)
class Task:
    """What an expert is given: the text and nothing that could sway the answer."""

    assignment_id: int
    item_id: int
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """``done`` answers by this expert in the open round; at most ``left`` more are wanted from them, and
    ``unanswered`` from all experts together."""

    round_number: int | None
    done: int
    left: int
    unanswered: int = 0


@dataclass(frozen=True, slots=True)
class EmptyQueue:
    """Why there is nothing to do: a key for the page's words, and a figure to go with it."""

    reason: str  # no_items, no_round, or what the latest round is doing: the keys of _WHY_EMPTY
    waiting_slots: int = 0
    round_number: int | None = None


_WHY_EMPTY = {
    "preparing": "preparing",
    "review": "waiting_for_colleagues",
    "adjudicating": "deciding",  # by a lead; "votes_wanted" where experts decide
    "concluding": "round_answered",
    "done": "round_finished",
    "cancelled": "round_finished",
    "failed": "held_up",
}

# The statements of the hot path are written in SQL: SQLAlchemy's expression language costs several times what running
# them does. States stand in words, because only then can a planner tell that the partial index on them applies.
_UNANSWERED = text(UNANSWERED)
_TIMES = (bindparam("now", type_=UtcDateTime()), bindparam("lease", type_=UtcDateTime()))
_OPEN_REVIEW = "(SELECT id FROM rounds WHERE project_id = :project AND state = 'review' AND paused_at IS NULL)"
# What was asked for again is held for longer than an ordinary lease, and looking at it must not cut that short.
_LEASE = "CASE WHEN lease_expires_at > :lease THEN lease_expires_at ELSE :lease END"
_TAKE = f"""
    UPDATE assignments SET state = 'claimed', expert_id = :expert, claimed_at = :now, lease_expires_at = {_LEASE}
    WHERE id = ({{which}}) AND state IN ('open', 'claimed')
    RETURNING id, item_id, position"""  # noqa: S608 - made of constants only
_NEXT_FREE = f"""
    SELECT a.id FROM assignments a
    WHERE a.round_id = {_OPEN_REVIEW} AND a.state IN ('open', 'claimed')
      AND (a.state = 'open' OR a.lease_expires_at < :now)
      AND NOT EXISTS (SELECT 1 FROM assignments mine
                      WHERE mine.round_id = a.round_id AND mine.item_id = a.item_id AND mine.expert_id = :expert
                        AND mine.id <> a.id)
    ORDER BY a.position LIMIT 1"""  # noqa: S608 - made of constants only
_OWN_CLAIM = f"""
    SELECT id FROM assignments
    WHERE round_id = {_OPEN_REVIEW} AND expert_id = :expert AND state = 'claimed' ORDER BY position LIMIT 1"""  # noqa: S608 - as above
_KEEP_OWN = text(_TAKE.format(which=_OWN_CLAIM)).bindparams(*_TIMES)
_TAKE_NEXT_SQLITE = text(_TAKE.format(which=_NEXT_FREE)).bindparams(*_TIMES)
_TAKE_NEXT_POSTGRES = text(_TAKE.format(which=_NEXT_FREE + " FOR UPDATE OF a SKIP LOCKED")).bindparams(*_TIMES)
_RENEW_OWN = text(f"""
    UPDATE assignments SET lease_expires_at = {_LEASE}
    WHERE round_id = {_OPEN_REVIEW} AND expert_id = :expert AND state = 'claimed'
    RETURNING id, item_id, position""").bindparams(_TIMES[1])  # noqa: S608 - constants only
_TEXT = text("SELECT text FROM items WHERE id = :item")
_TEXTS = text("SELECT id, text FROM items WHERE id IN :items").bindparams(bindparam("items", expanding=True))
_PROGRESS = text(f"""
    SELECT r.number,
           (SELECT count(*) FROM assignments WHERE expert_id = :expert AND round_id = r.id AND state = 'done') AS done,
           (SELECT count(*) FROM assignments WHERE expert_id = :expert AND round_id = r.id AND state = 'skipped')
               AS skipped,
           (SELECT count(*) FROM assignments WHERE round_id = r.id AND {UNANSWERED}) AS unanswered,
           (SELECT count(*) FROM round_items WHERE round_id = r.id) AS items
    FROM rounds r WHERE r.project_id = :project AND r.state = 'review'""")  # noqa: S608 - constants only


def lease_for(project_settings: Mapping[str, Any], default_minutes: int) -> timedelta:
    """How long an item stays reserved: the project's own setting, or the installation's."""
    return timedelta(minutes=project_settings.get("lease_minutes") or default_minutes)


def claim(
    session: Session,
    project_id: int,
    expert_id: int,
    *,
    lease: timedelta,
    now: datetime | None = None,
    keep: bool = True,
) -> Task | None:
    """The expert's next item, reserved for ``lease``; None when there is none for them.

    An item that they hold already comes first, with a fresh lease (``keep=False`` skips that look-up where the
    caller knows that they hold none). The caller has checked that the person is an expert of the project.
    """
    now = now or utcnow()
    values = {"project": project_id, "expert": expert_id, "now": now, "lease": now + lease}
    connection = session.connection()
    row = connection.execute(_KEEP_OWN, values).first() if keep else None
    row = row or _take_next(connection, values)
    if row is None:
        return None
    return Task(row.id, row.item_id, connection.execute(_TEXT, {"item": row.item_id}).scalar_one())


def claim_ahead(
    session: Session,
    project_id: int,
    expert_id: int,
    *,
    lease: timedelta,
    unanswered: int,
    now: datetime | None = None,
) -> list[Task]:
    """All that the expert holds, with fresh leases and in the round's order: the item in hand and up to ``AHEAD``
    more, fewer near the round's end. ``unanswered`` is that of ``progress``. Empty when there is none for them."""
    now = now or utcnow()
    values = {"project": project_id, "expert": expert_id, "now": now, "lease": now + lease}
    connection = session.connection()
    held = list(connection.execute(_RENEW_OWN, values))
    wanted = 1 + (AHEAD if unanswered > _FEW_LEFT else 1)
    while len(held) < wanted and (row := _take_next(connection, values)) is not None:
        held.append(row)
    if not held:
        return []
    texts: dict[int, str] = {
        row.id: row.text for row in connection.execute(_TEXTS, {"items": [row.item_id for row in held]})
    }
    return [Task(row.id, row.item_id, texts[row.item_id]) for row in sorted(held, key=lambda row: row.position)]


def _take_next(connection: Connection, values: dict[str, Any]) -> Row[Any] | None:
    """On SQLite writers exclude each other. On Postgres the same expert, in another tab, may take another slot of the
    item at this very moment; the unique constraint refuses one of the two, which then looks again."""
    if connection.dialect.name == "sqlite":
        return connection.execute(_TAKE_NEXT_SQLITE, values).first()
    for attempt in range(_CLAIM_ATTEMPTS):
        try:
            with connection.begin_nested():
                return connection.execute(_TAKE_NEXT_POSTGRES, values).first()
        except IntegrityError:
            if attempt == _CLAIM_ATTEMPTS - 1:
                raise
    return None


def progress(session: Session, project_id: int, expert_id: int) -> Progress:
    row = session.connection().execute(_PROGRESS, {"project": project_id, "expert": expert_id}).first()
    if row is None:
        return Progress(None, 0, 0)
    left = min(row.unanswered, row.items - row.done - row.skipped)
    return Progress(row.number, row.done, left, row.unanswered)


def pace(session: Session, expert_id: int, project_id: int, *, round_id: int | None = None) -> float | None:
    """Seconds that the expert's latest answers in this project (or one round of it) took, at the median; None with
    fewer than five."""
    narrowed = [] if round_id is None else [Annotation.round_id == round_id]
    taken = session.scalars(
        select(Annotation.seconds)
        .join(Round, Round.id == Annotation.round_id)
        .where(
            Annotation.expert_id == expert_id,
            Round.project_id == project_id,
            Annotation.kind == "blind",
            Annotation.seconds <= _LONGEST_PAUSE,
            *narrowed,
        )
        .order_by(Annotation.id.desc())
        .limit(_PACE_ANSWERS)
    ).all()
    times = [seconds for seconds in taken if seconds is not None]
    return median(times) if len(times) >= 5 else None


def explain_empty(session: Session, project_id: int) -> EmptyQueue:
    """Why ``claim`` gave nothing."""
    latest = session.scalar(select(Round).where(Round.project_id == project_id).order_by(Round.number.desc()).limit(1))
    if latest is None:
        items = session.scalar(select(Project.item_count).where(Project.id == project_id))
        return EmptyQueue("no_round" if items else "no_items")
    if latest.paused_at is not None and latest.state in ("preparing", "review"):
        return EmptyQueue("paused", 0, latest.number)
    if latest.state == "review":
        waiting = session.scalar(select(func.count()).where(Assignment.round_id == latest.id, _UNANSWERED)) or 0
        return EmptyQueue("waiting_for_colleagues", waiting, latest.number)
    reason = _WHY_EMPTY[latest.state]
    if reason == "deciding" and latest.settings.get("adjudicators") == "two_experts":
        reason = "votes_wanted"
    return EmptyQueue(reason, 0, latest.number)


def release(session: Session, project_id: int, expert_id: int, *, until: datetime | None = None) -> int:
    """Give back what the expert holds in the open review; how many slots that were. What they are asked for again
    stays theirs: nobody else's answer stands in for the one that was taken back.

    With ``until``, only what nobody has renewed since: a page that is loaded anew holds the items before the one
    that it replaces has let go of them.
    """
    held = (
        Assignment.round_id
        == select(Round.id).where(Round.project_id == project_id, Round.state == "review").scalar_subquery(),
        Assignment.expert_id == expert_id,
        Assignment.state == "claimed",
        ~is_asked_again(),
    )
    result = session.execute(
        update(Assignment)
        .where(*held, *(() if until is None else (Assignment.lease_expires_at <= until,)))
        .values(state="open", expert_id=None, claimed_at=None, lease_expires_at=None)
        .returning(Assignment.id)
        .execution_options(synchronize_session=False)
    )
    return len(result.all())


def is_asked_again() -> ColumnElement[bool]:
    """Whether an assignment waits for a second answer because the guideline has changed."""
    asked, answered = aliased(Annotation), aliased(Annotation)
    since = exists().where(
        answered.assignment_id == asked.assignment_id, answered.id > asked.id, answered.kind != "undone"
    )
    return exists().where(asked.assignment_id == Assignment.id, asked.requeued_by_id.is_not(None), ~since)


def reopen_for_colleague(session: Session, assignment: Assignment) -> bool:
    """After a skip: a fresh slot, if somebody is left who could answer it. False when nobody is."""
    same_item = _slots_of_its_item(session, assignment)
    project_id = select(Round.project_id).where(Round.id == assignment.round_id).scalar_subquery()
    had_it = select(Assignment.expert_id).where(*same_item, Assignment.expert_id.is_not(None))
    able = session.scalar(
        select(func.count())
        .select_from(Membership)
        .join(User, User.id == Membership.user_id)
        .where(
            Membership.project_id == project_id,
            Membership.role == "expert",
            Membership.removed_at.is_(None),
            User.disabled_at.is_(None),
            Membership.user_id.not_in(had_it),
        )
    )
    free, last_slot = session.execute(
        select(func.count().filter(Assignment.state == "open"), func.max(Assignment.slot)).where(*same_item)
    ).one()
    if (able or 0) <= free:
        return False
    session.add(
        Assignment(
            round_id=assignment.round_id,
            item_id=assignment.item_id,
            slot=last_slot + 1,
            position=assignment.position,
        )
    )
    session.flush()
    return True


def take_back_from_colleague(session: Session, skipped: Assignment) -> bool:
    """Before a skip is taken back: remove the slot that it opened, if it opened one. False when a colleague has it."""
    same_item = _slots_of_its_item(session, skipped)
    settings = session.scalars(select(Round.settings).where(Round.id == skipped.round_id)).one()
    others = session.scalar(select(func.count()).where(*same_item, Assignment.state != "skipped")) or 0
    if others < settings["overlap"]:
        return True
    fresh = session.scalar(
        select(Assignment)
        .where(
            *same_item,
            Assignment.slot > skipped.slot,
            Assignment.state == "open",
            ~exists().where(Annotation.assignment_id == Assignment.id),
        )
        .order_by(Assignment.slot.desc())
        .limit(1)
        .with_for_update(of=Assignment, skip_locked=True)
    )
    if fresh is None:
        return False
    session.delete(fresh)
    session.flush()
    return True


def _slots_of_its_item(session: Session, assignment: Assignment) -> tuple[ColumnElement[bool], ...]:
    """The item's slots, which nobody else adds to or takes from until this transaction ends: two colleagues who skip
    at once must not compute the same slot number."""
    session.execute(
        select(RoundItem.id)
        .where(RoundItem.round_id == assignment.round_id, RoundItem.item_id == assignment.item_id)
        .with_for_update()
    )
    return (Assignment.round_id == assignment.round_id, Assignment.item_id == assignment.item_id)


def keep_open(session: Session, project_id: int) -> None:
    """The project's open review can't close until this transaction ends: for whoever makes an answered slot wait for
    an answer again, before they look at it. What they do then is either seen by who closes the review, or comes too
    late and finds no open review.

    A round is locked before its slots, and never ``FOR UPDATE``: that would also stop experts' answers, which refer
    to the round.
    """
    open_review = select(Round.id).where(Round.project_id == project_id, Round.state == "review")
    session.execute(open_review.with_for_update(key_share=True))


def close_if_answered(session: Session, round_id: int, *, now: datetime | None = None) -> bool:
    """Close the review when no slot waits for an answer. True if this call closed it.

    Two experts who answer the last two slots at the same moment may each still see the other's as unanswered (on
    Postgres), and who answers does not wait for somebody else's lock on the round, since they have one on their slot;
    the worker looks again every second, so the review closes all the same. Where experts see their pairs at the end,
    the review waits for that too.
    """
    if not all_answered(session, round_id):
        return False  # as after nearly every answer, which then locks nothing
    round_ = session.scalar(
        select(Round)
        .where(Round.id == round_id, Round.state == "review")
        .with_for_update(key_share=True, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    # Locked first and looked at in later statements: these see all that was committed under the lock before.
    if round_ is None or _pairs_are_to_be_seen(session, round_) or not all_answered(session, round_id):
        return False
    round_.state, round_.review_closed_at = "concluding", now or utcnow()
    session.flush()
    audit.record_turn(session, "review.finished", round_)
    webhooks.tell(session, round_, "review.finished", early=False)
    return True


def _pairs_are_to_be_seen(session: Session, round_: Round) -> bool:
    return round_.settings.get("reveal") == "end" and reveals.any_unsettled(session, round_.project_id, round_.id)


def all_answered(session: Session, round_id: int) -> bool:
    """Whether no slot of the round waits for an answer."""
    return session.scalar(select(Assignment.id).where(Assignment.round_id == round_id, _UNANSWERED).limit(1)) is None
