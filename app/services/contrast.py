"""The contrast card: when an expert has answered both sides of a pair, they see the two texts side by side with their
own two answers, and confirm or revise. Nothing else is shown: no model's label, no score, no colleague's answer."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session, aliased

from app.db.base import utcnow
from app.db.tables import Assignment, BoundaryPair, Item, PairView, Round
from app.errors import InvalidInput, NotFound
from app.services import annotations, queue
from app.services.annotations import Answer, Receipt
from app.services.answers import effective_answers


@dataclass(frozen=True)
class Side:
    item_id: int
    assignment_id: int
    text: str
    label: int  # the expert's own answer as it stands


@dataclass(frozen=True)
class Contrast:
    pair_id: int
    round_id: int
    left: Side
    right: Side


def due(session: Session, project_id: int, expert_id: int) -> Contrast | None:
    """The first pair of the open review that the expert has answered on both sides and not yet settled."""
    query = _unsettled(project_id, expert_id).order_by(BoundaryPair.rank, BoundaryPair.id)
    row = session.execute(query.limit(1)).first()
    if row is None:
        return None
    pair, left_slot, right_slot = row
    slots = {pair.left_item_id: left_slot, pair.right_item_id: right_slot}
    items = sorted(slots)  # in the pool's order: left is always the side that the model gives the lower label
    texts = {item.id: item.text for item in session.scalars(select(Item).where(Item.id.in_(items)))}
    mine = {
        answer.item_id: answer.final_label
        for answer in effective_answers(session, [pair.round_id], item_ids=items)
        if answer.expert_id == expert_id
    }
    first, second = (Side(item, slots[item], texts[item], mine[item]) for item in items)
    return Contrast(pair.id, pair.round_id, first, second)


def waiting(session: Session, project_id: int, expert_id: int) -> int:
    """How many pairs are due."""
    query = _unsettled(project_id, expert_id).with_only_columns(func.count())
    return session.scalar(query) or 0


def _unsettled(project_id: int, expert_id: int) -> Select[*tuple[Any, ...]]:
    """Pairs, each with the slots of its left and its right side."""
    left, right = aliased(Assignment), aliased(Assignment)
    return (
        select(BoundaryPair, left.id, right.id)
        .join(Round, Round.id == BoundaryPair.round_id)
        .join(left, _answered(left, BoundaryPair.left_item_id, expert_id))
        .join(right, _answered(right, BoundaryPair.right_item_id, expert_id))
        .outerjoin(PairView, (PairView.pair_id == BoundaryPair.id) & (PairView.expert_id == expert_id))
        .where(Round.project_id == project_id, Round.state == "review", PairView.outcome.is_(None))
    )


def _answered(slot: type[Assignment], item_id: Any, expert_id: int) -> ColumnElement[bool]:
    return and_(
        slot.round_id == BoundaryPair.round_id,
        slot.item_id == item_id,
        slot.expert_id == expert_id,
        slot.state == "done",
    )


def show(session: Session, project_id: int, expert_id: int, *, now: datetime | None = None) -> Contrast | None:
    """``due``, and from now on the expert's blind answers to the two items are fixed."""
    contrast = due(session, project_id, expert_id)
    if contrast is not None and _view(session, contrast.pair_id, expert_id) is None:
        session.add(PairView(pair_id=contrast.pair_id, expert_id=expert_id, shown_at=now or utcnow()))
        session.flush()
    return contrast


def confirm(session: Session, project_id: int, expert_id: int, pair_id: int, *, now: datetime | None = None) -> None:
    """The two answers stand. Confirming again changes nothing. Raises NotFound for a pair that was not shown."""
    _settle(_shown(session, project_id, expert_id, pair_id), "confirmed", now)
    _close_if_that_was_the_last(session, pair_id)


def revise(
    session: Session,
    project_id: int,
    expert_id: int,
    pair_id: int,
    answer: Answer,
    *,
    n_labels: int,
    now: datetime | None = None,
) -> Receipt:
    """Answer one side anew, with a reason; the blind answer stays and counts for agreement.

    Raises NotFound for a pair that was not shown or does not hold the item, InvalidInput without a reason, Conflict
    once the review has closed. The same key twice is one revision.
    """
    view = _shown(session, project_id, expert_id, pair_id)
    pair = session.get_one(BoundaryPair, pair_id)
    item = session.scalar(select(Assignment.item_id).where(Assignment.id == answer.assignment_id))
    if item not in (pair.left_item_id, pair.right_item_id):
        raise InvalidInput("That text is not part of this pair.", field="assignment_id")
    receipt = annotations.change(
        session, project_id=project_id, expert_id=expert_id, n_labels=n_labels, answer=answer, now=now
    )
    _settle(view, "revised", now)
    _close_if_that_was_the_last(session, pair_id)
    return receipt


def _close_if_that_was_the_last(session: Session, pair_id: int) -> None:
    """Where pairs are shown at the end, the review waits for them (queue.close_if_answered)."""
    session.flush()
    queue.close_if_answered(session, session.get_one(BoundaryPair, pair_id).round_id)


def _view(session: Session, pair_id: int, expert_id: int) -> PairView | None:
    return session.scalar(select(PairView).where(PairView.pair_id == pair_id, PairView.expert_id == expert_id))


def _shown(session: Session, project_id: int, expert_id: int, pair_id: int) -> PairView:
    view = session.scalar(
        select(PairView)
        .join(BoundaryPair, BoundaryPair.id == PairView.pair_id)
        .join(Round, Round.id == BoundaryPair.round_id)
        .where(PairView.pair_id == pair_id, PairView.expert_id == expert_id, Round.project_id == project_id)
    )
    if view is None:
        raise NotFound("There is no such pair among those that you have seen.")
    return view


def _settle(view: PairView, outcome: str, now: datetime | None) -> None:
    if view.outcome is None or outcome == "revised":
        view.outcome, view.settled_at = outcome, now or utcnow()
