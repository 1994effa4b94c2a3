"""Model versions, their predictions, what pre-labelling has already cost, and evaluations."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, utcnow


class ModelVersion(Base):
    """Version 0 of a project is its pre-labeller; each finished round adds one."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("project_id", "version"),
        UniqueConstraint("round_id"),
        CheckConstraint("kind IN ('prelabel', 'trained')", name="kind"),
        CheckConstraint("state IN ('building', 'ready')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    round_id: Mapped[int | None] = mapped_column(ForeignKey("rounds.id"))  # NULL for the pre-labeller
    version: Mapped[int]
    kind: Mapped[str] = mapped_column(String(20))
    engine: Mapped[str] = mapped_column(String(40))  # few_shot, local_llm, remote_llm, linear, encoder, lora
    config: Mapped[dict[str, Any]]  # everything needed to build it again, but no secret
    seed: Mapped[int] = mapped_column(default=0)
    artifact_key: Mapped[str | None] = mapped_column(String(300))
    metrics: Mapped[dict[str, Any]] = mapped_column(default=dict)
    training_size: Mapped[int] = mapped_column(default=0)
    predicted_items: Mapped[int] = mapped_column(default=0)  # items labelled when the version became ready
    state: Mapped[str] = mapped_column(String(20), default="building")
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Prediction(Base):
    """A model version's label for an item. ``scores`` is a little-endian float32 per label, summing to 1;
    ``score`` is that of ``label``."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("ix_predictions_score", "model_version_id", "label", "score", "item_id"),
        {"sqlite_with_rowid": False},
    )

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), primary_key=True)
    label: Mapped[int] = mapped_column(SmallInteger)
    score: Mapped[float]
    scores: Mapped[bytes] = mapped_column(LargeBinary)


class PrelabelCache(Base):
    """What a pre-labeller has answered, by SHA-256 of (model, prompt, item): nothing is paid for twice."""

    __tablename__ = "prelabel_cache"
    __table_args__ = {"sqlite_with_rowid": False}  # noqa: RUF012

    key: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    scores: Mapped[bytes | None] = mapped_column(LargeBinary)  # NULL: the answer could not be parsed
    raw: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class Evaluation(Base):
    """One figure: a measure on a slice, with n and a 95 % interval, or the reason why it is undefined."""

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("round_id", "subject", "slice", "measure", "detail"),
        CheckConstraint("(value IS NULL) = (undefined_reason IS NOT NULL)", name="value_or_reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))  # the round that computed it
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    subject: Mapped[str] = mapped_column(String(40))  # "experts" or "model:<model_version_id>"
    slice: Mapped[str] = mapped_column(String(20))  # evaluation, control
    measure: Mapped[str] = mapped_column(String(40))  # kappa, percent_agreement, alpha, share_positive
    detail: Mapped[str] = mapped_column(String(80), default="")  # an expert pair "12-15", a label, or ""
    value: Mapped[float | None]
    low: Mapped[float | None]
    high: Mapped[float | None]
    n: Mapped[int]
    undefined_reason: Mapped[str | None] = mapped_column(String(300))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class PredictRequest(Base):
    """Texts that somebody wants labelled by a trained model. The web writes the row, a worker fills it in; nothing of
    it is kept for longer than a day, and what was waited for goes as soon as it is handed over."""

    __tablename__ = "predict_requests"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),
        Index("ix_predict_requests_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    texts: Mapped[list[str]]
    answers: Mapped[list[Any]] = mapped_column(default=list)  # once done: {"label", "scores"}, both by index, in order
    state: Mapped[str] = mapped_column(String(20), default="queued")
    error: Mapped[str | None] = mapped_column(Text)  # in plain words
    attempts: Mapped[int] = mapped_column(default=0)  # a second worker tries again; a third does not
    created_by_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
