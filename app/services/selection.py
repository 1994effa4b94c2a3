"""Stores what a round chose, why, and the slots that experts will fill."""

from collections.abc import Sequence

import numpy as np
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.curation.choosing import History
from app.curation.loop import RoundPlan
from app.curation.splits import TRAIN
from app.db.base import utcnow
from app.db.tables import Assignment, BoundaryPair, ConsensusLabel, Item, Round, RoundItem
from app.errors import Conflict
from app.services import audit, messages, webhooks
from app.services.predictions import Predictions


def chosen_before(session: Session, project_id: int) -> list[int]:
    """Ordinals of items that an earlier round has taken; a cancelled round takes none."""
    return list(
        session.scalars(
            select(Item.ordinal)
            .join(RoundItem, RoundItem.item_id == Item.id)
            .join(Round, Round.id == RoundItem.round_id)
            .where(Round.project_id == project_id, Round.state != "cancelled")
        )
    )


def decided_before(session: Session, project_id: int) -> History:
    """Every item of a finished round that has a consensus label, as strategies see it; an item that waits for a tie to
    be decided is not there."""
    rows = session.execute(
        select(
            Item.ordinal, ConsensusLabel.label, Round.number, RoundItem.split, RoundItem.propensity, RoundItem.reason
        )
        .join(RoundItem, RoundItem.item_id == Item.id)
        .join(Round, Round.id == RoundItem.round_id)
        .join(
            ConsensusLabel,
            (ConsensusLabel.round_id == RoundItem.round_id) & (ConsensusLabel.item_id == RoundItem.item_id),
        )
        .where(Round.project_id == project_id, Round.state == "done", ConsensusLabel.label.is_not(None))
        .order_by(Round.number, Item.ordinal)
    ).all()
    return History(
        items=np.array([row.ordinal for row in rows], dtype=np.int64),
        labels=np.array([row.label for row in rows], dtype=np.int64),
        rounds=np.array([row.number for row in rows], dtype=np.int64),
        trained=np.array([row.split == TRAIN for row in rows], dtype=np.bool_),
        # An item without a split, a twin of both sides, is no control item: part of the training set is too like it.
        propensities=np.array([np.nan if None in (row.propensity, row.split) else row.propensity for row in rows]),
        reasons=[row.reason for row in rows],
    )


def open_review(session: Session, round_: Round, plan: RoundPlan, model: Predictions) -> None:
    """Store the plan and open the review, in one transaction: a round has all of its slots or none."""
    session.refresh(round_, with_for_update=True)
    if round_.state != "preparing":
        raise Conflict("The round is not being prepared.")
    if len(plan.items) == 0 and (model.labels < 0).all():
        raise Conflict("The pre-labeller gave no usable answer to any item, so there is nothing to choose from.")
    if len(plan.items) == 0:
        raise Conflict("Every item of the pool has been in a round already. Import more texts to go on.")
    _clear(session, round_.id)
    ids = _ids_by_ordinal(session, round_.project_id, [int(ordinal) for ordinal in plan.items])
    _store_items(session, round_.id, plan, model, ids)
    _store_pairs(session, round_.id, plan, ids)
    _store_slots(session, round_, plan, ids)
    round_.state, round_.review_opened_at = "review", utcnow()
    messages.announce_review(session, round_)
    audit.record_turn(session, "review.opened", round_, items=len(plan.items))
    webhooks.tell(session, round_, "review.opened", items=len(plan.items))


def _clear(session: Session, round_id: int) -> None:
    for table in (Assignment, BoundaryPair, RoundItem):
        session.execute(delete(table).where(table.round_id == round_id))


def _ids_by_ordinal(session: Session, project_id: int, ordinals: Sequence[int]) -> dict[int, int]:
    rows = session.execute(
        select(Item.ordinal, Item.id).where(Item.project_id == project_id, Item.ordinal.in_(ordinals))
    )
    return {row.ordinal: row.id for row in rows}


def _store_items(session: Session, round_id: int, plan: RoundPlan, model: Predictions, ids: dict[int, int]) -> None:
    rows = zip(
        plan.items, plan.reasons, plan.reason_details, plan.propensities, plan.groups, plan.positions, strict=True
    )
    session.execute(
        insert(RoundItem),
        [
            {
                "round_id": round_id,
                "item_id": ids[int(item)],
                "reason": reason,
                "reason_detail": detail,
                "propensity": None if chance != chance else float(chance),  # nan: the item was mined
                "group_key": int(group),
                "position": int(position),
                "model_label": int(model.labels[item]),
                "model_score": float(model.scores[item, model.labels[item]]),
            }
            for item, reason, detail, chance, group, position in rows
        ],
    )


def _store_pairs(session: Session, round_id: int, plan: RoundPlan, ids: dict[int, int]) -> None:
    pairs = plan.pairs
    rows = [
        {
            "round_id": round_id,
            "rank": rank,
            "left_item_id": ids[int(pairs.left[rank])],
            "right_item_id": ids[int(pairs.right[rank])],
            "left_label": int(pairs.left_label[rank]),
            "right_label": int(pairs.right_label[rank]),
            "similarity": float(pairs.similarity[rank]),
            "left_cluster": int(pairs.left_cluster[rank]),
            "right_cluster": int(pairs.right_cluster[rank]),
        }
        for rank in range(len(pairs.left))
    ]
    if rows:
        session.execute(insert(BoundaryPair), rows)


def _store_slots(session: Session, round_: Round, plan: RoundPlan, ids: dict[int, int]) -> None:
    overlap = int(round_.settings["overlap"])
    session.execute(
        insert(Assignment),
        [
            {"round_id": round_.id, "item_id": ids[int(item)], "slot": slot, "position": int(position)}
            for item, position in zip(plan.items, plan.positions, strict=True)
            for slot in range(overlap)
        ],
    )
