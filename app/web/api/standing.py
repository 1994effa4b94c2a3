"""Where a project stands: the way to its first round, what comes next, and whether anybody works on it."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app import __version__
from app.config import Settings
from app.services import automation, guided_start, overview, projects, rounds, workers
from app.web.api import schemas
from app.web.api.common import api_router
from app.web.deps import AdminAccess, AppSettings, ReadSession, SiteAdmin, ViewerAccess
from app.web.projects import next_step
from app.web.rounds import no_worker

router = api_router("Projects")
service_router = api_router("Service", "/service")


class ReviewTime(schemas.Given):
    """What one round asks of the experts."""

    answers: int
    hours: float = Field(description="Of all experts together.")
    hours_each: float | None = Field(description="Null while there is no expert.")
    seconds_an_answer: float
    measured_on: int = Field(description="Answers that this was measured on; 0: assumed.")


class StartStep(schemas.Given):
    key: Literal["task", "guideline", "pool", "baseline", "prelabel", "experts", "round"]
    title: str
    state: Literal["done", "missing", "optional", "running", "ready"]
    summary: str = Field(description="What is there.")
    missing: list[str] = Field(description="What is not.")
    later: str = Field(description="Whether it can be changed afterwards, or why not.")


class GuidedStart(BaseModel):
    steps: list[StartStep] = Field(description="All seven in order.")
    obstacles: list[str] = Field(description="What stands in the way of a round; empty: it can be started.")
    review: ReviewTime
    worker_alive: bool = Field(description="False: what waits for a worker waits until one is started.")


class Spent(schemas.Given):
    rounds: int
    answers: int
    cost: float = Field(description="Of the pre-labeller's server, trials included, in its currency.")


class Budget(schemas.Given):
    """Before rounds no longer start by themselves; null is no limit."""

    rounds: int | None
    answers: int | None
    cost: float | None


class Standing(BaseModel):
    next_step: str = Field(description="What an admin does next.")
    reason: str
    open_round: int | None = Field(description="Its number.")
    obstacles: list[str] = Field(description="What stands in the way of the next round; empty: it can be started.")
    starts_by_itself: bool = Field(description="Whether the next round does when nobody does anything.")
    because: str = Field(description="Why it does, or does not, in a sentence.")
    spent: Spent = Field(description="So far, in all rounds.")
    budget: Budget
    review: ReviewTime = Field(description="What the next round asks of the experts.")
    worker_alive: bool


class WorkerLine(schemas.Given):
    id: str
    host: str
    pid: int
    started_at: datetime
    heartbeat_at: datetime
    alive: bool = Field(description="False: it has been silent so long that others take its work over.")


class Service(BaseModel):
    version: str
    database: Literal["sqlite", "postgresql"]
    workers: list[WorkerLine]


@router.get("/start", summary="The way to the first round: what is done and what is missing")
def show_start(access: AdminAccess, session: ReadSession, settings: AppSettings) -> GuidedStart:
    project = projects.get_project(session, access.project.slug)
    return GuidedStart(
        steps=[StartStep.model_validate(step) for step in guided_start.steps(session, project)],
        obstacles=rounds.obstacles(session, project),
        review=ReviewTime.model_validate(guided_start.review_time(session, project)),
        worker_alive=not no_worker(session, settings),
    )


@router.get("/standing", summary="Where the project stands, what comes next, and what it takes")
def show_standing(access: ViewerAccess, session: ReadSession, settings: AppSettings) -> Standing:
    """The budget and `next_round`, which says whether rounds start by themselves, are among the settings."""
    project = projects.get_project(session, access.project.slug)
    title, reason, _, _ = next_step(session, project, overview.setup(session, project))
    outlook, open_ = automation.outlook(session, project), rounds.open_round(session, project.id)
    return Standing(
        next_step=title,
        reason=reason,
        open_round=open_.number if open_ else None,
        obstacles=rounds.obstacles(session, project),
        starts_by_itself=outlook.starts,
        because=outlook.reason,
        spent=Spent.model_validate(outlook.spent),
        budget=Budget.model_validate(outlook.budget),
        review=ReviewTime.model_validate(guided_start.review_time(session, project)),
        worker_alive=not no_worker(session, settings),
    )


@service_router.get("", summary="The installation: its version, database and workers (site admins)")
def show_service(_: SiteAdmin, session: ReadSession, settings: AppSettings) -> Service:
    """An answer shows that pages and database work."""
    return Service(
        version=__version__,
        database=session.get_bind().dialect.name,
        workers=_workers(session, settings),
    )


def _workers(session: Session, settings: Settings) -> list[WorkerLine]:
    silence = timedelta(seconds=settings.worker_dead_after_seconds)
    alive = {worker.id for worker in workers.alive(session, silence)}
    return [
        WorkerLine.model_validate(vars(worker) | {"alive": worker.id in alive})
        for worker in workers.list_workers(session)
    ]
