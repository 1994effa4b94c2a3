"""Rounds, their stages, what they chose and why, and the workers that carry them out."""

from datetime import datetime
from typing import Any

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

ROUND_STATES = ("preparing", "review", "adjudicating", "concluding", "done", "failed", "cancelled")
OPEN_ROUND = "state NOT IN ('done', 'cancelled')"


class Round(Base):
    """One turn of the loop.

    preparing → review → (adjudicating) → concluding → done; any of the first four may become failed or cancelled,
    and a failed round goes back to preparing or concluding when it is retried. The web only writes this row: a
    worker sees the state and starts the durable workflow, so a round never exists without its intent on disk.
    """

    __tablename__ = "rounds"
    __table_args__ = (
        UniqueConstraint("project_id", "number"),
        CheckConstraint("state IN ({})".format(", ".join(f"'{s}'" for s in ROUND_STATES)), name="state"),
        Index(
            "uq_rounds_one_open",
            "project_id",
            unique=True,
            sqlite_where=text(OPEN_ROUND),
            postgresql_where=text(OPEN_ROUND),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    number: Mapped[int]
    state: Mapped[str] = mapped_column(String(20), default="preparing")
    settings: Mapped[dict[str, Any]]  # the project's settings when the round began: a round can be run again
    seed: Mapped[int]
    attempt: Mapped[int] = mapped_column(default=1)  # part of the workflow's id; a retry raises it
    failed_state: Mapped[str | None] = mapped_column(String(20))  # where to go back to on retry
    error: Mapped[str | None] = mapped_column(Text)  # in plain words
    guideline_version_id: Mapped[int] = mapped_column(ForeignKey("guideline_versions.id"))
    base_model_id: Mapped[int | None] = mapped_column(
        ForeignKey("model_versions.id", use_alter=True)
    )  # whose labels were mined
    ties_left_out: Mapped[bool] = mapped_column(default=False)  # an admin went on without the undecided items
    advice: Mapped[str | None] = mapped_column(String(20))
    advice_reason: Mapped[str | None] = mapped_column(Text)
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    paused_at: Mapped[datetime | None]  # NULL: not paused. A worker lets go of it at its next report
    review_opened_at: Mapped[datetime | None]
    review_closed_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class StageRun(Base):
    """One attempt at one stage of a round; ``progress_done`` of ``progress_total`` items."""

    __tablename__ = "stage_runs"
    __table_args__ = (
        UniqueConstraint("round_id", "stage", "attempt"),
        CheckConstraint("state IN ('running', 'done', 'failed', 'cancelled')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    stage: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int]
    state: Mapped[str] = mapped_column(String(20), default="running")
    progress_done: Mapped[int] = mapped_column(default=0)
    progress_total: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(Text, default="")  # a plain sentence: what it did, or why it failed
    worker_id: Mapped[str | None] = mapped_column(String(80))
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]


class RoundItem(Base):
    """An item chosen for a round, and why.

    ``propensity`` is the known chance of being drawn for the control slice, NULL for a mined item. ``group_key``
    joins pair members and near-duplicates: the split and the bootstrap never part them. ``split`` is set when the
    round is decided and never changes after.
    """

    __tablename__ = "round_items"
    __table_args__ = (
        UniqueConstraint("round_id", "item_id"),
        CheckConstraint("split IN ('train', 'evaluation')", name="split"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    reason: Mapped[str] = mapped_column(String(20))  # boundary, control, or another strategy's name
    reason_detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    propensity: Mapped[float | None]
    group_key: Mapped[int]
    position: Mapped[int]  # shuffled; pair members do not follow each other
    model_label: Mapped[int] = mapped_column(SmallInteger)
    model_score: Mapped[float]
    split: Mapped[str | None] = mapped_column(String(20))


class BoundaryPair(Base):
    """Two near items with different model labels."""

    __tablename__ = "boundary_pairs"
    __table_args__ = (UniqueConstraint("round_id", "left_item_id", "right_item_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    rank: Mapped[int]
    left_item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    right_item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    left_label: Mapped[int] = mapped_column(SmallInteger)
    right_label: Mapped[int] = mapped_column(SmallInteger)
    similarity: Mapped[float]  # cosine
    left_cluster: Mapped[int]
    right_cluster: Mapped[int]


class Worker(Base):
    """A worker process. Silence longer than ``worker_dead_after_seconds`` means that its rounds are taken over."""

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(String(80), primary_key=True)  # also DBOS's executor id
    host: Mapped[str] = mapped_column(String(200))
    pid: Mapped[int]
    started_at: Mapped[datetime] = mapped_column(default=utcnow)
    heartbeat_at: Mapped[datetime] = mapped_column(default=utcnow)
