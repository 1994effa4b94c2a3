"""Does the model agree with the experts as well as they agree with each other? The chart, the table, the advice."""

import csv
import io
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from app.services import alignment, automation, confusion
from app.services.alignment import AlignmentReport
from app.web import charts
from app.web.deps import ProjectAccess, ReadSession, ViewerAccess
from app.web.figure import standalone
from app.web.render import render

router = APIRouter(prefix="/p/{slug}/alignment")

ADVICE_WORDS = {
    "match": ("Stop: the model matches the experts", "good"),
    "plateau": ("Stop: the model has stopped learning", "info"),
    "continue": ("Go on with another round", "accent"),
    "disagree": ("Mend the guideline: the experts disagree", "warn"),
}


@router.get("", name="alignment")
def page(request: Request, access: ViewerAccess, session: ReadSession) -> Response:
    report = alignment.alignment(session, access.project.id)
    names = charts.SLICE_NAMES
    return render(
        request,
        "alignment.html",
        report=report,
        words=ADVICE_WORDS,
        slice_names=names,
        matrix=matrix(report),
        confusion=confusion.model_confusion(session, access.project) if report.points else None,
        outlook=automation.outlook(session, access.project),
    )


def matrix(report: AlignmentReport) -> dict[str, Any]:
    """The expert pairs of the evaluation set as a square: names in order, and a pair by (row, column)."""
    pairs = report.pairs_on()
    names = dict(sorted({id_: name for pair in pairs for id_, name in _ends(pair)}.items()))
    cells = {(pair.first_id, pair.second_id): pair.kappa for pair in pairs}
    cells |= {(second, first): kappa for (first, second), kappa in cells.items()}
    return {"names": names, "cells": cells}


def _ends(pair: alignment.ExpertPair) -> tuple[tuple[int, str], tuple[int, str]]:
    return (pair.first_id, pair.first), (pair.second_id, pair.second)


@router.get("/chart.json", name="alignment_chart")
def chart(access: ViewerAccess, session: ReadSession, theme: charts.Theme = "light") -> Response:
    return JSONResponse(specification(access, session, theme))


def specification(access: ProjectAccess, session: Session, theme: charts.Theme) -> dict[str, Any]:
    return charts.alignment_chart(alignment.alignment(session, access.project.id), theme)


@router.get("/chart.svg", name="alignment_svg")
def picture(access: ViewerAccess, session: ReadSession) -> Response:
    """Without a script, and where none runs: the report's figure as a file."""
    svg = standalone(alignment.alignment(session, access.project.id))
    headers = {"Content-Disposition": f'inline; filename="{access.project.slug}-alignment.svg"'}
    return Response(svg, media_type="image/svg+xml", headers=headers)


@router.get("/figures.csv", name="alignment_csv")
def figures(access: ViewerAccess, session: ReadSession) -> Response:
    rows = alignment.table(alignment.alignment(session, access.project.id))
    out = io.StringIO()
    writer = csv.DictWriter(out, alignment.TABLE_COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{access.project.slug}-alignment.csv"'}
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers=headers)
