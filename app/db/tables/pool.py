"""The pool: items, and the imports that brought them."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, utcnow


class Import(Base):
    """One file. Every row is checked before the first is stored; ``rows_done`` is committed with the rows
    it counts, so a crashed import goes on where it stopped."""

    __tablename__ = "imports"
    __table_args__ = (CheckConstraint("state IN ('queued', 'running', 'done', 'failed')", name="state"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    filename: Mapped[str] = mapped_column(String(300))
    format: Mapped[str] = mapped_column(String(20))  # csv, jsonl, parquet
    storage_key: Mapped[str] = mapped_column(String(300))  # the uploaded file's key in the artifact store
    mapping: Mapped[dict[str, Any]]  # {"text": column, "id": column or null, "meta": [columns]}
    skip_bad_rows: Mapped[bool] = mapped_column(default=False)  # False: all or nothing
    state: Mapped[str] = mapped_column(String(20), default="queued")
    rows_total: Mapped[int | None]
    rows_done: Mapped[int] = mapped_column(default=0)
    rows_added: Mapped[int] = mapped_column(default=0)
    rows_duplicate: Mapped[int] = mapped_column(default=0)
    rows_rejected: Mapped[int] = mapped_column(default=0)
    errors: Mapped[list[Any]] = mapped_column(default=list)  # the first hundred: {"row", "field", "message"}
    summary: Mapped[dict[str, Any] | None]  # of the whole pool once it was done: app.services.pool.profile
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
    finished_at: Mapped[datetime | None]


class Item(Base):
    """One text of the pool. ``ordinal`` counts from 0 without gaps within a project: it is the item's row in
    every embedding and score array."""

    __tablename__ = "items"
    __table_args__ = (
        UniqueConstraint("project_id", "content_hash"),
        UniqueConstraint("project_id", "ordinal"),
        UniqueConstraint("project_id", "external_id"),
        Index("ix_items_project_id_id", "project_id", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    ordinal: Mapped[int]
    external_id: Mapped[str | None] = mapped_column(String(200))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary(16))
    text: Mapped[str] = mapped_column(Text)
    meta: Mapped[dict[str, Any] | None]
    import_id: Mapped[int | None] = mapped_column(ForeignKey("imports.id"))
