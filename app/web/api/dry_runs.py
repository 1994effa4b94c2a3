"""Trying the pre-labeller on twenty items: what it says of each text, and what the whole pool would take."""

from datetime import datetime
from typing import Any, Literal

from fastapi import status
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from app.db.tables import DryRun
from app.services import dry_runs, projects
from app.web.api import schemas
from app.web.api.common import Id, api_router, errors
from app.web.deps import AdminAccess, ProjectAccess, ReadSession, ViewerAccess, WriteSession

router = api_router("Pre-labeller")


class RunLine(BaseModel):
    id: int
    state: Literal["queued", "running", "done", "failed"]
    error: str | None
    config: dict[str, Any] = Field(description="The pre-labeller's settings; they hold no secret.")
    config_is_current: bool = Field(description="False: the project's settings have changed since.")
    seconds: float | None = Field(description="Spent scoring, the model's loading left out.")
    asked: int = Field(description="Items that were asked about; the others' answers were known from before.")
    created_at: datetime
    finished_at: datetime | None


class Estimate(schemas.Given):
    """What labelling the whole pool takes. Without a dry run that is done, rules of thumb."""

    items: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None = Field(description="Null where nothing is paid, or the prices are not set.")
    seconds: float | None = Field(description="Null before a dry run has told.")
    measured: bool
    max_calls: int | None = Field(description="The hard cap; null: there is none.")
    max_cost: float | None
    cap_bites: bool = Field(description="The cap would stop it before the end of the pool.")


class Said(BaseModel):
    text: str
    label: str | None = Field(description="Null where the answer was of no use, and where there is none yet.")
    score: float | None
    scores: dict[str, float]
    raw: str | None = Field(description="The model's own words, where they held no usable answer.")
    answered: bool


class DryRunDetail(RunLine):
    estimate: Estimate
    answers: list[Said] = Field(description="One for each item of the sample, the same items every time.")


class DryRuns(BaseModel):
    estimate: Estimate = Field(description="By the newest dry run, else for the project's present settings.")
    runs: list[RunLine] = Field(description="The newest first, ten at most.")


@router.get("/dry-runs", summary="Dry runs of the pre-labeller, and what the whole pool would take")
def list_dry_runs(access: ViewerAccess, session: ReadSession) -> DryRuns:
    runs = dry_runs.list_runs(session, access.project.id)
    estimate = dry_runs.outlook(session, access.project, runs[0] if runs else None)
    lines = [RunLine(**_line(access, run)) for run in runs]
    return DryRuns(estimate=Estimate.model_validate(estimate), runs=lines)


def _line(access: ProjectAccess, run: DryRun) -> dict[str, Any]:
    return {
        "id": run.id,
        "state": run.state,
        "error": run.error,
        "config": run.config,
        "config_is_current": run.config == projects.settings_of(access.project).prelabel,
        "seconds": run.seconds,
        "asked": int(run.usage.get("asked", 0)),
        "created_at": run.created_at,
        "finished_at": run.finished_at,
    }


@router.post(
    "/dry-runs",
    summary="Try the pre-labeller on twenty items",
    status_code=status.HTTP_202_ACCEPTED,
    responses=errors(409),
)
def request_dry_run(access: AdminAccess, session: WriteSession) -> DryRunDetail:
    """A worker answers; ask for it until its state is `done` or `failed`. One that waits or runs with the same
    settings comes back instead of a second one. 409: the pool is empty."""
    project = projects.get_project(session, access.project.slug)
    return _detail(session, access, dry_runs.request(session, project, user_id=access.user.id))


@router.get("/dry-runs/{run_id}", summary="One dry run, text by text")
def show_dry_run(access: ViewerAccess, session: ReadSession, run_id: Id) -> DryRunDetail:
    return _detail(session, access, dry_runs.get_run(session, access.project.id, run_id))


def _detail(session: Session, access: ProjectAccess, run: DryRun) -> DryRunDetail:
    session.flush()
    return DryRunDetail(
        **_line(access, run),
        estimate=Estimate.model_validate(dry_runs.outlook(session, access.project, run)),
        answers=[_said(answer, access.project.labels) for answer in dry_runs.answers(session, access.project, run)],
    )


def _said(answer: dry_runs.Answer, labels: list[str]) -> Said:
    scores = dict(zip(labels, answer.scores, strict=False))
    return Said(**answer._asdict() | {"scores": scores})
