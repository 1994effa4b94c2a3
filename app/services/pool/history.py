"""All that is known of one item: who called it what, when and why, from the pre-labeller to the last decision."""

from dataclasses import dataclass
from datetime import datetime
from struct import unpack
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.tables import (
    Annotation,
    Baseline,
    BaselineLabel,
    BoundaryPair,
    ConsensusLabel,
    GuidelineVersion,
    Import,
    Item,
    ModelVersion,
    Prediction,
    Project,
    Round,
    RoundItem,
    User,
)
from app.errors import NotFound


@dataclass(frozen=True)
class VersionSaid:
    """``scores`` (labels,) sum to 1; ``round_number`` is None for the pre-labeller."""

    version: int
    round_number: int | None
    engine: str
    label: int
    score: float
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Answer:
    """A row as it was written: ``kind`` is blind, revised or undone (without a label)."""

    expert: str
    kind: str
    label: int | None
    guideline_version: int
    flagged: bool
    note: str | None
    seconds: float | None
    asked_again_by: str | None
    when: datetime


@dataclass(frozen=True)
class PairMember:
    """The item on the other side of the line."""

    item_id: int
    text: str
    similarity: float
    our_label: int
    their_label: int


@dataclass(frozen=True)
class RoundPart:
    """What a round did with the item. ``detail`` is the reason's own figures; ``label`` is None for a tie that waits
    or was left out."""

    number: int
    state: str
    reason: str
    detail: dict[str, Any]
    propensity: float | None
    split: str | None
    model_label: int
    model_score: float
    pairs: tuple[PairMember, ...]
    answers: tuple[Answer, ...]
    label: int | None
    source: str | None
    decided_by: str | None
    decision_reason: str | None
    clause: str | None
    decided_at: datetime | None


@dataclass(frozen=True)
class BaselineSaid:
    filename: str
    label: int
    votes: int
    votes_total: int


@dataclass(frozen=True)
class ItemHistory:
    item: Item
    imported_from: str | None
    imported_at: datetime | None
    versions: tuple[VersionSaid, ...]
    rounds: tuple[RoundPart, ...]
    baselines: tuple[BaselineSaid, ...]


def item_history(session: Session, project: Project, item_id: int) -> ItemHistory:
    """Raises NotFound where the project has no such item."""
    item = session.scalar(select(Item).where(Item.id == item_id, Item.project_id == project.id))
    if item is None:
        raise NotFound("There is no such item in this project.")
    job = session.get(Import, item.import_id) if item.import_id is not None else None
    return ItemHistory(
        item,
        job.filename if job else None,
        job.finished_at or job.created_at if job else None,
        _versions(session, item),
        _rounds(session, item),
        _baselines(session, item),
    )


def _versions(session: Session, item: Item) -> tuple[VersionSaid, ...]:
    rows = session.execute(
        select(ModelVersion.version, Round.number, ModelVersion.engine, Prediction)
        .join(Prediction, Prediction.model_version_id == ModelVersion.id)
        .outerjoin(Round, Round.id == ModelVersion.round_id)
        .where(ModelVersion.project_id == item.project_id, Prediction.item_id == item.id)
        .order_by(ModelVersion.version)
    )
    return tuple(
        VersionSaid(version, number, engine, said.label, said.score, _unpacked(said.scores))
        for version, number, engine, said in rows
    )


def _unpacked(scores: bytes) -> tuple[float, ...]:
    return unpack(f"<{len(scores) // 4}f", scores)


def _rounds(session: Session, item: Item) -> tuple[RoundPart, ...]:
    rows = session.execute(
        select(Round, RoundItem, ConsensusLabel, User.name)
        .join(RoundItem, RoundItem.round_id == Round.id)
        .outerjoin(
            ConsensusLabel, (ConsensusLabel.round_id == Round.id) & (ConsensusLabel.item_id == RoundItem.item_id)
        )
        .outerjoin(User, User.id == ConsensusLabel.decided_by_id)
        .where(RoundItem.item_id == item.id, Round.project_id == item.project_id)
        .order_by(Round.number)
    ).all()
    return tuple(_part(session, item, *row) for row in rows)


def _part(
    session: Session,
    item: Item,
    round_: Round,
    chosen: RoundItem,
    consensus: ConsensusLabel | None,
    decided_by: str | None,
) -> RoundPart:
    return RoundPart(
        number=round_.number,
        state=round_.state,
        reason=chosen.reason,
        detail=chosen.reason_detail,
        propensity=chosen.propensity,
        split=chosen.split,
        model_label=chosen.model_label,
        model_score=chosen.model_score,
        pairs=_pairs(session, round_.id, item.id),
        answers=_answers(session, round_.id, item.id),
        label=consensus.label if consensus else None,
        source=consensus.source if consensus else None,
        decided_by=decided_by,
        decision_reason=consensus.reason if consensus else None,
        clause=consensus.clause if consensus else None,
        decided_at=consensus.decided_at if consensus else None,
    )


def _pairs(session: Session, round_id: int, item_id: int) -> tuple[PairMember, ...]:
    found = session.scalars(
        select(BoundaryPair)
        .where(
            BoundaryPair.round_id == round_id,
            (BoundaryPair.left_item_id == item_id) | (BoundaryPair.right_item_id == item_id),
        )
        .order_by(BoundaryPair.rank)
    ).all()
    others = {pair.left_item_id for pair in found} | {pair.right_item_id for pair in found}
    texts = dict(session.execute(select(Item.id, Item.text).where(Item.id.in_(others))).all())
    return tuple(_member(pair, item_id, texts) for pair in found)


def _member(pair: BoundaryPair, item_id: int, texts: dict[int, str]) -> PairMember:
    left = (pair.left_item_id, pair.left_label)
    right = (pair.right_item_id, pair.right_label)
    ours, theirs = (left, right) if pair.left_item_id == item_id else (right, left)
    return PairMember(theirs[0], texts[theirs[0]], pair.similarity, ours[1], theirs[1])


def _answers(session: Session, round_id: int, item_id: int) -> tuple[Answer, ...]:
    """Each answer, and what took one back; not the rows that a skip has left, which took back nothing."""
    asked = User.__table__.alias("asked")
    rows = session.execute(
        select(Annotation, User.name, GuidelineVersion.version, asked.c.name)
        .join(User, User.id == Annotation.expert_id)
        .join(GuidelineVersion, GuidelineVersion.id == Annotation.guideline_version_id)
        .outerjoin(asked, asked.c.id == Annotation.requeued_by_id)
        .where(Annotation.round_id == round_id, Annotation.item_id == item_id)
        .order_by(Annotation.id)
    )
    shown: list[Answer] = []
    standing: set[int] = set()  # the experts whose answer stands
    for a, name, version, again in rows:
        if a.kind != "undone" or a.expert_id in standing:
            shown.append(Answer(name, a.kind, a.label, version, a.flagged, a.note, a.seconds, again, a.created_at))
        (standing.discard if a.kind == "undone" else standing.add)(a.expert_id)
    return tuple(shown)


def _baselines(session: Session, item: Item) -> tuple[BaselineSaid, ...]:
    rows = session.execute(
        select(Baseline.filename, BaselineLabel.label, BaselineLabel.votes, BaselineLabel.votes_total)
        .join(Baseline, Baseline.id == BaselineLabel.baseline_id)
        .where(BaselineLabel.item_id == item.id, Baseline.project_id == item.project_id, Baseline.state == "done")
        .order_by(Baseline.id)
    )
    return tuple(BaselineSaid(*row) for row in rows)
