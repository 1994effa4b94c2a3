"""The report: a page, one self-contained file to send on, and the dataset's card."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse
from markupsafe import Markup
from sqlalchemy.orm import Session

from app.db.tables import Project
from app.resources import resource
from app.services.report import Report, report
from app.web import printing
from app.web.deps import Db, ReadSession, ViewerAccess
from app.web.figure import kappa_figure
from app.web.render import environment, render

router = APIRouter(prefix="/p/{slug}/report")


@router.get("", name="report")
def page(request: Request, access: ViewerAccess, session: ReadSession) -> Response:
    found = report(session, access.project)
    figure = Markup(kappa_figure(found.alignment))  # noqa: S704 - made here, every text in it escaped
    return render(request, "report.html", report=found, figure=figure, prints=printing.browser() is not None)


@router.get("/file.html", name="report_file")
def file(access: ViewerAccess, session: ReadSession) -> Response:
    html = report_html(session, access.project)
    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}-report.html"'}
    return HTMLResponse(html, headers=headers)


@router.get("/file.pdf", name="report_pdf")
def pdf(access: ViewerAccess, db: Db) -> Response:
    with db.read() as session:  # given back before the printing, which takes seconds
        html = report_html(session, access.project)
    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}-report.pdf"'}
    return Response(printing.pdf(html), media_type="application/pdf", headers=headers)


@router.get("/dataset-card.md", name="dataset_card")
def card(access: ViewerAccess, session: ReadSession) -> Response:
    text = dataset_card(report(session, access.project))
    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}-dataset-card.md"'}
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8", headers=headers)


def report_html(session: Session, project: Project) -> str:
    """One file that needs nothing else: styles and figure are in it, and no script is."""
    found = report(session, project)
    return (
        environment()
        .get_template("report_file.html")
        .render(
            report=found,
            project=project,
            figure=Markup(kappa_figure(found.alignment)),  # noqa: S704 - made here, every text in it escaped
            style=Markup((resource("static") / "report.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        )
    )


def dataset_card(found: Report) -> str:
    """Markdown. Names that people chose are kept to one line each."""
    return environment().get_template("dataset_card.md").render(report=found, project=found.project)
