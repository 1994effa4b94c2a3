"""What experts are given and what they answered."""

from datetime import datetime

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, utcnow

UNANSWERED = "state IN ('open', 'claimed')"


class Assignment(Base):
    """A slot: one expert's turn at one item.

    open → claimed → done. A skip turns the slot to ``skipped``, keeps its expert (so that the item is not given
    to them again) and opens a fresh slot for a colleague. Closing a review early turns what is left to ``closed``.
    A claim whose lease has run out may be taken by anyone; until then an answer from its expert still counts.
    """

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("round_id", "item_id", "slot"),
        UniqueConstraint("round_id", "item_id", "expert_id"),
        CheckConstraint("state IN ('open', 'claimed', 'done', 'skipped', 'closed')", name="state"),
        CheckConstraint("state = 'open' OR state = 'closed' OR expert_id IS NOT NULL", name="has_expert"),
        CheckConstraint("state <> 'open' OR expert_id IS NULL", name="open_is_free"),
        Index(
            "ix_assignments_unanswered",
            "round_id",
            "position",
            sqlite_where=text(UNANSWERED),
            postgresql_where=text(UNANSWERED),
        ),
        Index("ix_assignments_expert", "expert_id", "round_id", "state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    slot: Mapped[int] = mapped_column(SmallInteger)
    position: Mapped[int]  # copied from the round item: the order in which slots are given out
    state: Mapped[str] = mapped_column(String(20), default="open")
    expert_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    claimed_at: Mapped[datetime | None]
    lease_expires_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    skip_reason: Mapped[str | None] = mapped_column(Text)


class Annotation(Base):
    """An expert's answer; rows are only ever added.

    ``blind`` rows were given before anything was revealed, ``revised`` ones after, and an ``undone`` row (no label)
    takes back what came before it: the expert did, or, with ``requeued_by_id``, somebody who changed the guideline
    and asks for the item to be answered again. A skip and its taking back leave an ``undone`` row too, for its key,
    where there was no answer to take back. The last blind row after the last undone one counts for agreement;
    the last row of either kind counts for training.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        UniqueConstraint("expert_id", "idempotency_key"),
        CheckConstraint("kind IN ('blind', 'revised', 'undone')", name="kind"),
        CheckConstraint("(label IS NULL) = (kind = 'undone')", name="label_unless_undone"),
        CheckConstraint("requeued_by_id IS NULL OR kind = 'undone'", name="requeued_is_undone"),
        Index("ix_annotations_round_item", "round_id", "item_id"),
        Index("ix_annotations_expert", "expert_id", "round_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), index=True)
    expert_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(String(20))
    label: Mapped[int | None] = mapped_column(SmallInteger)
    idempotency_key: Mapped[str] = mapped_column(String(64))
    guideline_version_id: Mapped[int] = mapped_column(ForeignKey("guideline_versions.id"))
    flagged: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str | None] = mapped_column(Text)
    requeued_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    seconds: Mapped[float | None]  # from the item being shown to the answer, as the browser measured it
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class ConsensusLabel(Base):
    """What the experts' answers to an item amount to. A ``tie`` has no label until a person decides it."""

    __tablename__ = "consensus_labels"
    __table_args__ = (
        UniqueConstraint("round_id", "item_id"),
        CheckConstraint("source IN ('unanimous', 'majority', 'single', 'adjudicated', 'tie')", name="source"),
        CheckConstraint("(label IS NULL) = (source = 'tie')", name="label_unless_tie"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    label: Mapped[int | None] = mapped_column(SmallInteger)
    source: Mapped[str] = mapped_column(String(20))
    votes: Mapped[int] = mapped_column(SmallInteger)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str | None] = mapped_column(Text)
    clause: Mapped[str | None] = mapped_column(Text)  # the guideline's heading that it rests on
    decided_at: Mapped[datetime] = mapped_column(default=utcnow)


class PairView(Base):
    """The contrast card: when an expert who had answered both sides of a pair saw them side by side.

    From ``shown_at`` on their blind answers to the two items are fixed; what they change is a revision.
    """

    __tablename__ = "pair_views"
    __table_args__ = (
        UniqueConstraint("pair_id", "expert_id"),
        CheckConstraint("outcome IN ('confirmed', 'revised')", name="outcome"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    pair_id: Mapped[int] = mapped_column(ForeignKey("boundary_pairs.id"))
    expert_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    shown_at: Mapped[datetime] = mapped_column(default=utcnow)
    outcome: Mapped[str | None] = mapped_column(String(20))  # NULL: shown, not yet settled
    settled_at: Mapped[datetime | None]


class AdjudicationVote(Base):
    """One person's ruling on a tie, where a project wants two experts to agree on it."""

    __tablename__ = "adjudication_votes"
    __table_args__ = (UniqueConstraint("round_id", "item_id", "user_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    label: Mapped[int] = mapped_column(SmallInteger)
    reason: Mapped[str] = mapped_column(Text)
    clause: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
