"""From answers to consensus labels and to a split. Used by workers only: it needs scipy."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.curation.agreement import MISSING
from app.curation.consensus import consensus
from app.curation.loop import CONTROL
from app.curation.splits import EVALUATION, TRAIN, merge_groups, near_duplicate_groups, split_round
from app.db.base import utcnow
from app.db.tables import BoundaryPair, ConsensusLabel, Item, Round, RoundItem
from app.services.answers import effective_answers


@dataclass(frozen=True)
class Ratings:
    """Answers as an array: rows are ``item_ids``, columns ``expert_ids``; -1 where an expert gave none."""

    item_ids: list[int]
    expert_ids: list[int]
    labels: NDArray[np.int64]


def ratings_of(session: Session, round_ids: list[int], item_ids: list[int], *, blind: bool) -> Ratings:
    """``blind`` answers for agreement, final ones for training. An item belongs to one round of a project, so its
    answers never mix."""
    answers = effective_answers(session, round_ids)
    experts = sorted({answer.expert_id for answer in answers})
    row_of = {item_id: row for row, item_id in enumerate(item_ids)}
    column_of = {expert: column for column, expert in enumerate(experts)}
    labels = np.full((len(item_ids), len(experts)), MISSING, dtype=np.int64)
    for answer in answers:
        label = answer.blind_label if blind else answer.final_label
        if label is not None and answer.item_id in row_of:
            labels[row_of[answer.item_id], column_of[answer.expert_id]] = label
    return Ratings(item_ids, experts, labels)


def decide(session: Session, round_: Round, n_labels: int) -> int:
    """Store the round's consensus labels; what a person has decided stays. Returns how many ties wait."""
    item_ids = list(session.scalars(select(RoundItem.item_id).where(RoundItem.round_id == round_.id)))
    ratings = ratings_of(session, [round_.id], item_ids, blind=False)
    result = consensus(ratings.labels, n_labels)
    existing = {
        row.item_id: row for row in session.scalars(select(ConsensusLabel).where(ConsensusLabel.round_id == round_.id))
    }
    ties = 0
    for item_id, label, source, votes in zip(item_ids, result.labels, result.sources, result.votes, strict=True):
        row = existing.get(item_id)
        if source == "none" or (row is not None and row.source == "adjudicated"):
            continue
        ties += source == "tie"
        if row is None:
            row = ConsensusLabel(round_id=round_.id, item_id=item_id)
            session.add(row)
        row.label = None if source == "tie" else int(label)
        row.source, row.votes, row.decided_at = str(source), int(votes), utcnow()
    session.flush()
    return ties


@dataclass(frozen=True)
class SplitResult:
    train: int
    evaluation: int
    left_out: int  # twins of both a training and an evaluation item


def assign_splits(session: Session, round_: Round, embeddings: NDArray[np.float16]) -> SplitResult:
    """Give each item of the round its split for good.

    Groups are made over this and all earlier rounds, so that a near-duplicate of an earlier item follows it. An item
    that would join a training and an evaluation group belongs to neither: it gets no split.
    """
    rows = _items_so_far(session, round_)
    groups = np.array(_groups(session, round_, rows, embeddings), dtype=np.int64)
    new = np.array([row.round_id == round_.id for row in rows], dtype=np.bool_)
    splits = split_round(
        groups,
        ["" if mine else row.split or "" for row, mine in zip(rows, new, strict=True)],
        new,
        np.array([row.reason == CONTROL for row in rows], dtype=np.bool_),
        float(round_.settings["evaluation_share"]),
        np.random.default_rng([round_.seed, 2]),
        mode=str(round_.settings["split_mode"]),
    )
    for place, split in zip(np.flatnonzero(new), splits, strict=True):
        rows[place].split = str(split) or None
    smallest: dict[int, int] = {}
    for row, group in zip(rows, groups.tolist(), strict=True):
        smallest[group] = min(smallest.get(group, row.item_id), row.item_id)
    for row, group in zip(rows, groups.tolist(), strict=True):
        row.group_key = smallest[group]
    session.flush()
    train, evaluation, left_out = (int((splits == name).sum()) for name in (TRAIN, EVALUATION, ""))
    return SplitResult(train, evaluation, left_out)


def _items_so_far(session: Session, round_: Round) -> list[RoundItem]:
    return list(
        session.scalars(
            select(RoundItem)
            .join(Round, Round.id == RoundItem.round_id)
            .where(
                Round.project_id == round_.project_id,
                Round.number <= round_.number,
                (Round.state == "done") | (Round.id == round_.id),
            )
            .order_by(Round.number, RoundItem.item_id)
        )
    )


def _groups(session: Session, round_: Round, rows: list[RoundItem], embeddings: NDArray[np.float16]) -> list[int]:
    item_ids = [row.item_id for row in rows]
    ordinals = dict(
        session.execute(
            select(Item.id, Item.ordinal).where(
                Item.id.in_(select(RoundItem.item_id)), Item.project_id == round_.project_id
            )
        ).all()
    )
    duplicates = near_duplicate_groups(embeddings[[ordinals[item_id] for item_id in item_ids]].astype(np.float32))
    place_of = {item_id: place for place, item_id in enumerate(item_ids)}
    pairs = session.execute(
        select(BoundaryPair.left_item_id, BoundaryPair.right_item_id)
        .join(Round, Round.id == BoundaryPair.round_id)
        .where(
            Round.project_id == round_.project_id,
            Round.number <= round_.number,
            (Round.state == "done") | (Round.id == round_.id),
        )
    )
    joined = [(place_of[left], place_of[right]) for left, right in pairs if left in place_of and right in place_of]
    return [int(group) for group in merge_groups(len(rows), joined, duplicates)]


@dataclass(frozen=True)
class LabelledItem:
    """``trained``: it is a fine-tuning item; the others are kept apart from every model."""

    ordinal: int
    content_hash: bytes
    trained: bool


def items_in_rounds(session: Session, round_: Round) -> list[LabelledItem]:
    """The items of this round, which has its splits, and of all finished ones before it."""
    split = {row.item_id: row.split for row in _items_so_far(session, round_)}
    rows = session.execute(
        select(Item.id, Item.ordinal, Item.content_hash)
        .where(Item.project_id == round_.project_id, Item.id.in_(select(RoundItem.item_id)))
        .order_by(Item.ordinal)
    )
    return [LabelledItem(row.ordinal, row.content_hash, split[row.id] == TRAIN) for row in rows if row.id in split]


@dataclass(frozen=True)
class TrainingItem:
    """``shares`` of the experts who gave each label; where a person has decided a tie, all of it is that label's."""

    item_id: int
    ordinal: int
    text: str
    label: int
    group: int
    shares: tuple[float, ...]


def training_items(session: Session, round_: Round, n_labels: int) -> list[TrainingItem]:
    """Every fine-tuning item with a consensus label, of this round and all finished ones before it, by ordinal."""
    rows = session.execute(
        select(
            RoundItem.round_id,
            RoundItem.item_id,
            Item.ordinal,
            Item.text,
            ConsensusLabel.label,
            ConsensusLabel.source,
            RoundItem.group_key,
        )
        .join(Round, Round.id == RoundItem.round_id)
        .join(Item, Item.id == RoundItem.item_id)
        .join(
            ConsensusLabel,
            (ConsensusLabel.round_id == RoundItem.round_id) & (ConsensusLabel.item_id == RoundItem.item_id),
        )
        .where(
            Round.project_id == round_.project_id,
            Round.number <= round_.number,
            (Round.state == "done") | (Round.id == round_.id),
            RoundItem.split == "train",
            ConsensusLabel.label.is_not(None),
        )
        .order_by(Item.ordinal)
    ).all()
    ratings = ratings_of(session, sorted({row.round_id for row in rows}), [row.item_id for row in rows], blind=False)
    items = []
    for row, given in zip(rows, ratings.labels, strict=True):
        counts = np.bincount(given[given != MISSING], minlength=n_labels).astype(np.float64)
        if row.source == "adjudicated" or not counts.any():
            counts = np.eye(n_labels)[row.label]
        shares = tuple((counts / counts.sum()).tolist())
        items.append(TrainingItem(row.item_id, row.ordinal, row.text, row.label, row.group_key, shares))
    return items
