"""The report: its numbers, and as files to send on."""

from datetime import datetime
from typing import Any

from fastapi import Response
from pydantic import Field

from app.services import report as reports
from app.services.alignment import AlignmentReport, Figure
from app.web import report as pages
from app.web.api import schemas
from app.web.api.common import a_file, api_router, errors
from app.web.deps import Db, ReadSession, ViewerAccess

router = api_router("Report")


class LabelSet(schemas.Given):
    """A set of labels, and how well it agrees with the experts (the curated one: they with each other)."""

    name: str
    size: int
    counts: list[int] = Field(description="By label.")
    kappa: Figure | None


class ReportedModel(schemas.Given):
    name: str
    trained_on: int
    evaluation: Figure | None = Field(description="Kappa on the evaluation set.")
    control: Figure | None = Field(description="Kappa on the control slice.")
    gap: Figure | None = Field(description="To the experts among themselves, on the evaluation set.")


class ReportedRound(schemas.Given):
    number: int
    state: str
    seed: int
    strategy: str
    engine: str
    encoder: str
    items: int
    finished_at: datetime | None


class Report(schemas.Given):
    alignment: AlignmentReport
    sets: list[LabelSet]
    models: list[ReportedModel]
    rounds: list[ReportedRound]
    reduction: float | None = Field(description="Baseline labels for each fine-tuning label of the newest model.")
    answers: int
    cost: float
    settings: dict[str, Any]
    guideline_version: int
    made_at: datetime
    made_by: str
    limits: list[str]


@router.get("/report", summary="The report's numbers")
def show_report(access: ViewerAccess, session: ReadSession) -> Report:
    """Size and quality of the data, kappa by model, the settings, and what a sceptical reader should know."""
    return Report.model_validate(reports.report(session, access.project))


@router.get(
    "/report/html",
    summary="The report as one HTML file",
    response_class=Response,
    responses=a_file("text/html", "A page that loads nothing."),
)
def report_html(access: ViewerAccess, session: ReadSession) -> Response:
    return pages.file(access, session)


@router.get(
    "/report/pdf",
    summary="The report as PDF",
    response_class=Response,
    responses=errors(503) | a_file("application/pdf", "The same, printed."),
)
def report_pdf(access: ViewerAccess, db: Db) -> Response:
    """503 without Chromium on the server, and while another report is being printed."""
    return pages.pdf(access, db)


@router.get(
    "/report/dataset-card",
    summary="The dataset's card, in Markdown",
    response_class=Response,
    responses=a_file("text/markdown", "The card."),
)
def dataset_card(access: ViewerAccess, session: ReadSession) -> Response:
    return pages.card(access, session)
