"""What the labelling page tells an expert before the first text, and what it does beside answers."""

from typing import Literal

from fastapi import status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.services import guidance, practice, queue
from app.web.api.common import api_router
from app.web.api.schemas import GuidelineVersion, Progress
from app.web.deps import Db, ProjectAccess, ReadSession, WriteSession
from app.web.label import Labeller, OnlyExpert

router = api_router("Review", writes="label")


class Desk(BaseModel):
    progress: Progress
    seconds_per_answer: float | None = Field(description="Your own pace at the median; null until five answers.")
    practice: Literal["required", "offered", "none"] = Field(
        description="`required`: it must be passed before you may label. `offered`: you are new and there is one."
    )
    news: GuidelineVersion | None = Field(
        description="The guideline, if it has changed since you worked with it and you have not said that you know."
    )
    returned: int = Field(description="Texts that come back to you because the guideline has changed.")


class Released(BaseModel):
    released: int


@router.get("/desk", summary="What there is to know before you label")
def show_desk(access: OnlyExpert, session: ReadSession) -> Desk:
    """It reserves nothing."""
    project_id, expert = access.project.id, access.user
    news = guidance.news(session, project_id, expert)
    return Desk(
        progress=Progress.model_validate(queue.progress(session, project_id, expert.id)),
        seconds_per_answer=queue.pace(session, expert.id, project_id),
        practice=_practice(session, access),
        news=None if news is None else GuidelineVersion.model_validate(news),
        returned=len(guidance.returned(session, project_id, expert.id)),
    )


def _practice(session: Session, access: ProjectAccess) -> Literal["required", "offered", "none"]:
    if practice.is_required(session, access.project, access.user.id):
        return "required"
    return "offered" if practice.is_offered(session, access.project, access.user.id) else "none"


@router.post(
    "/guideline/seen", summary="Say that you know the present guideline", status_code=status.HTTP_204_NO_CONTENT
)
def note_guideline_seen(access: Labeller, session: WriteSession) -> None:
    guidance.note_seen(session, access.project.id, access.user)


@router.post("/release", summary="Give back what you hold")
def release_items(access: Labeller, db: Db) -> Released:
    """Colleagues may have it at once. An answer of yours still counts while nobody has taken the item."""
    project_id, expert_id = access.project.id, access.user.id
    return Released(released=db.run_write(lambda session: queue.release(session, project_id, expert_id)))
