"""What experts ask about the guideline, and the practice by which they learn it."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, SmallInteger, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db.base import Base, utcnow


class Suggestion(Base):
    """An expert's question about the guideline, or an example that they propose for it, from the item at hand.

    open → answered or declined; an ``example`` that is taken up names the guideline version that shows it.
    """

    __tablename__ = "suggestions"
    __table_args__ = (
        CheckConstraint("kind IN ('question', 'example')", name="kind"),
        CheckConstraint("state IN ('open', 'answered', 'declined')", name="state"),
        CheckConstraint("kind <> 'example' OR label IS NOT NULL", name="example_has_label"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    author_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    kind: Mapped[str] = mapped_column(String(20))
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id"))
    label: Mapped[int | None] = mapped_column(SmallInteger)  # of a proposed example
    text: Mapped[str] = mapped_column(Text)  # the question, or why the example is telling
    idempotency_key: Mapped[str] = mapped_column(String(64), unique=True)
    guideline_version_id: Mapped[int] = mapped_column(ForeignKey("guideline_versions.id"))  # the one they had read
    state: Mapped[str] = mapped_column(String(20), default="open")
    answer: Mapped[str | None] = mapped_column(Text)
    answered_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    answered_at: Mapped[datetime | None]
    published_in_id: Mapped[int | None] = mapped_column(ForeignKey("guideline_versions.id"))
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class PracticeItem(Base):
    """A text with a known answer and the reason for it in the guideline's words."""

    __tablename__ = "practice_items"

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    label: Mapped[int] = mapped_column(SmallInteger)
    explanation: Mapped[str] = mapped_column(Text, default="")
    retired_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(default=utcnow)


class PracticeAnswer(Base):
    """An expert's answer to a practice item in one of their attempts; the first one counts."""

    __tablename__ = "practice_answers"
    __table_args__ = (UniqueConstraint("practice_item_id", "expert_id", "attempt"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    practice_item_id: Mapped[int] = mapped_column(ForeignKey("practice_items.id"))
    expert_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    attempt: Mapped[int]
    label: Mapped[int] = mapped_column(SmallInteger)
    created_at: Mapped[datetime] = mapped_column(default=utcnow)
