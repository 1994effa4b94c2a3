"""The boundary map: where a project's items lie in two dimensions, and what each round looks like there."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, utcnow


class MapProjection(Base):
    """How a project's embeddings are laid out: fitted once for each encoder and never changed, so that rounds
    compare. The arrays are in the artifact store."""

    __tablename__ = "map_projections"
    __table_args__ = (UniqueConstraint("project_id", "encoder_key"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    encoder_key: Mapped[str] = mapped_column(String(200))
    artifact_key: Mapped[str] = mapped_column(String(300))
    facts: Mapped[dict[str, Any]]  # app.services.maps.ProjectionFacts
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class BoundaryMap(Base):
    """One side of a round on the map, small whatever the pool's size. Side 'before' has the labels that the round
    mined, 'after' those of the model that it trained. No row: a worker will draw it once the round is there."""

    __tablename__ = "boundary_maps"
    __table_args__ = (
        UniqueConstraint("round_id", "side"),
        CheckConstraint("side IN ('before', 'after')", name="side"),
        CheckConstraint("state IN ('wanted', 'done', 'failed')", name="state"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    round_id: Mapped[int] = mapped_column(ForeignKey("rounds.id"))
    side: Mapped[str] = mapped_column(String(10))
    state: Mapped[str] = mapped_column(String(20))
    attempt: Mapped[int] = mapped_column(default=1)  # part of the workflow's id; drawing again raises it
    projection_id: Mapped[int | None] = mapped_column(ForeignKey("map_projections.id"))
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    layer: Mapped[bytes | None] = mapped_column(LargeBinary)  # deflated JSON: app.services.maps.Layer
    error: Mapped[str | None] = mapped_column(Text)  # in plain words
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
