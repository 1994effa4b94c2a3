"""An expert's own answers, which they may change while the review is open."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.services import annotations
from app.services.annotations import MAX_NOTE, Answer, Given
from app.web.api.common import Id, api_router, errors, label_index
from app.web.api.schemas import Body, Key, Label
from app.web.deps import Db, ReadSession
from app.web.label import Labeller

router = api_router("Review", writes="label")
_A_MONTH = 31 * 24


class GivenAnswer(BaseModel):
    assignment_id: int
    round_number: int
    text: str
    label: str
    flagged: bool
    note: str | None
    answered_at: datetime
    changeable: bool = Field(description="Its review is still open.")
    seen_in_pair: bool = Field(description="You have seen it beside its contrast: a change needs a note that says why.")


class ChangedAnswer(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"label": "fine", "key": "9a4c1f00d2e8", "note": "The price is named."}]},
    )

    label: Label
    key: Key
    flagged: bool = Field(False, description="For an admin to look at.")
    note: str | None = Field(None, max_length=MAX_NOTE)


@router.get("/answers", summary="Your own answers that stand, the newest first")
def list_answers(
    access: Labeller,
    session: ReadSession,
    hours: Annotated[int, Query(ge=1, le=_A_MONTH, description="How far back.")] = 24,
) -> list[GivenAnswer]:
    """The newest 500 at most."""
    since = utcnow() - timedelta(hours=hours)
    found = annotations.given_since(session, project_id=access.project.id, expert_id=access.user.id, since=since)
    return [_shown(given, access.project.labels) for given in found]


@router.get("/answers/{assignment_id}", summary="One of your own answers")
def show_answer(access: Labeller, session: ReadSession, assignment_id: Id) -> GivenAnswer:
    given = annotations.given_to(session, assignment_id, project_id=access.project.id, expert_id=access.user.id)
    return _shown(given, access.project.labels)


@router.post("/answers/{assignment_id}", summary="Change one of your own answers", responses=errors(409))
def change_answer(access: Labeller, db: Db, assignment_id: Id, body: ChangedAnswer) -> GivenAnswer:
    """Before you have seen its contrast this is a blind answer in place of the first. After, it is a revision: the
    blind answer counts for agreement, this one for training. 409 when the review has closed."""
    project, expert, labels = access.project.id, access.user.id, access.project.labels
    answer = Answer(assignment_id, label_index(labels, body.label), body.key, body.flagged, body.note)

    def work(session: Session) -> Given:
        annotations.change(session, project_id=project, expert_id=expert, n_labels=len(labels), answer=answer)
        return annotations.given_to(session, assignment_id, project_id=project, expert_id=expert)

    return _shown(db.run_write(work), labels)


def _shown(given: Given, labels: list[str]) -> GivenAnswer:
    return GivenAnswer(
        assignment_id=given.assignment_id,
        round_number=given.round_number,
        text=given.text,
        label="" if given.label is None else labels[given.label],
        flagged=given.flagged,
        note=given.note,
        answered_at=given.at,
        changeable=given.changeable,
        seen_in_pair=given.seen,
    )
