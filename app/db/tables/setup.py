"""What an admin tries and brings along before a round: dry runs of a pre-labeller, and labels that exist already."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, utcnow

JOB_STATES = "state IN ('queued', 'running', 'done', 'failed')"


class DryRun(Base):
    """A pre-labeller tried on a few items of the pool. The web writes the row, a worker fills it in."""

    __tablename__ = "dry_runs"
    __table_args__ = (CheckConstraint(JOB_STATES, name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    guideline_version_id: Mapped[int] = mapped_column(ForeignKey("guideline_versions.id"))
    config: Mapped[dict[str, Any]]  # a pre-labeller's, as in the project's settings; no secret
    seed: Mapped[int]  # of the sample
    items: Mapped[list[Any]] = mapped_column(default=list)  # {"item_id", "scores" (null: unusable), "raw"}, in order
    usage: Mapped[dict[str, Any]] = mapped_column(default=dict)  # calls, tokens and cost of these items
    seconds: Mapped[float | None]  # spent scoring, the model's loading left out
    state: Mapped[str] = mapped_column(String(20), default="queued")
    error: Mapped[str | None] = mapped_column(Text)  # in plain words
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]


class Baseline(Base):
    """A file of labels that the admin has already (a crowd's, say), matched to the pool by id or by text. The newest
    that is done is the project's baseline."""

    __tablename__ = "baselines"
    __table_args__ = (CheckConstraint(JOB_STATES, name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    filename: Mapped[str] = mapped_column(String(300))
    format: Mapped[str] = mapped_column(String(20))
    storage_key: Mapped[str] = mapped_column(String(300))
    mapping: Mapped[
        dict[str, Any]
    ]  # {"match": "id" or "text", "key": column, "label": column, "values": {value: label}}
    state: Mapped[str] = mapped_column(String(20), default="queued")
    rows_total: Mapped[int] = mapped_column(default=0)
    rows_matched: Mapped[int] = mapped_column(default=0)
    rows_unmatched: Mapped[int] = mapped_column(default=0)  # no such item in the pool
    rows_rejected: Mapped[int] = mapped_column(default=0)  # no label, or one that the project does not have
    items_labelled: Mapped[int] = mapped_column(default=0)
    items_tied: Mapped[int] = mapped_column(default=0)  # rows that contradict each other, without a majority
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # label name → items
    errors: Mapped[list[Any]] = mapped_column(default=list)  # the first hundred: {"row", "field", "message"}
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]


class BaselineLabel(Base):
    """The label that most rows of the file give an item: ``votes`` of ``votes_total``."""

    __tablename__ = "baseline_labels"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    baseline_id: Mapped[int] = mapped_column(ForeignKey("baselines.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    label: Mapped[int] = mapped_column(SmallInteger)
    votes: Mapped[int]
    votes_total: Mapped[int]
