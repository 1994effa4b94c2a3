"""Practice for an expert: texts with known answers, which are told after their own."""

from datetime import datetime
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from app.db.tables import PracticeItem
from app.services import practice
from app.services.practice import Attempt
from app.web.api.common import api_router, errors, label_index
from app.web.api.schemas import LARGEST_ID, Body, Label
from app.web.deps import Db, ReadSession
from app.web.label import OnlyExpert

router = api_router("Practice", writes="label")


class PracticeFeedback(BaseModel):
    label: str = Field(description="Your answer.")
    right_label: str = Field(description="What the guideline says.")
    explanation: str


class TextToPractise(BaseModel):
    item_id: int
    text: str
    feedback: PracticeFeedback | None = Field(description="Null until you have answered it in this attempt.")


class PracticeAttempt(BaseModel):
    attempt: int
    items: list[TextToPractise] = Field(description="Empty where the project has no practice.")
    correct: int
    complete: bool
    pass_share: float = Field(description="What must be right before you may label; 0: the practice is an offer.")
    passed_at: datetime | None


class PracticeAnswer(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"item_id": 3, "label": "fine", "attempt": 1}]}
    )

    item_id: int = Field(ge=1, le=LARGEST_ID)
    label: Label
    attempt: int = Field(1, ge=1, le=LARGEST_ID, description="The present one, or after a complete one the next.")


class PracticeAnswered(BaseModel):
    feedback: PracticeFeedback = Field(description="On your first answer to this text, which alone counts.")
    attempt: PracticeAttempt


@router.get("/practice/attempt", summary="The texts to practise, and how you are doing")
def show_attempt(
    access: OnlyExpert,
    session: ReadSession,
    again: Annotated[bool, Query(description="After a complete attempt: the next one, still empty.")] = False,
) -> PracticeAttempt:
    return _attempt(practice.attempt(session, access.project, access.user.id, again=again), access.project.labels)


@router.post("/practice/answers", summary="Answer a text of the practice", responses=errors(409))
def answer_practice(access: OnlyExpert, db: Db, body: PracticeAnswer) -> PracticeAnswered:
    """It counts for nothing but the practice. 409 for an attempt that is neither the present one nor the next."""
    project, expert, labels = access.project, access.user.id, access.project.labels
    label = label_index(labels, body.label)
    attempt = db.run_write(
        lambda session: practice.answer(session, project, expert, body.item_id, label, number=body.attempt)
    )
    shown = _attempt(attempt, labels)
    feedback = next(text.feedback for text in shown.items if text.item_id == body.item_id and text.feedback)
    return PracticeAnswered(feedback=feedback, attempt=shown)


def _attempt(found: Attempt, labels: list[str]) -> PracticeAttempt:
    return PracticeAttempt(
        attempt=found.number,
        items=[
            TextToPractise(item_id=item.id, text=item.text, feedback=_feedback(item, found.given.get(item.id), labels))
            for item in found.items
        ],
        correct=found.correct,
        complete=found.is_complete,
        pass_share=found.pass_share,
        passed_at=found.passed_at,
    )


def _feedback(item: PracticeItem, given: int | None, labels: list[str]) -> PracticeFeedback | None:
    if given is None:
        return None
    return PracticeFeedback(label=labels[given], right_label=labels[item.label], explanation=item.explanation)
