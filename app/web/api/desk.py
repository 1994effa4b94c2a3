"""What the labelling page tells an expert before the first text, and what it does beside answers."""

from fastapi import status
from pydantic import BaseModel, Field

from app.services import guidance, practice, queue
from app.web.api.common import api_router
from app.web.api.schemas import GuidelineVersion, Progress
from app.web.deps import Db, ReadSession, WriteSession
from app.web.label import Labeller, OnlyExpert

router = api_router("Review", writes="label")


class Desk(BaseModel):
    progress: Progress
    seconds_per_answer: float | None = Field(description="Your own pace at the median; null until five answers.")
    practice: bool = Field(description="You must pass the practice before you may label.")
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
        practice=practice.is_required(session, access.project, expert.id),
        news=None if news is None else GuidelineVersion.model_validate(news),
        returned=len(guidance.returned(session, project_id, expert.id)),
    )


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
