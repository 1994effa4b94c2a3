"""What stands beside the figures of alignment: model and consensus cell by cell, the chart, and files to take away."""

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Query, Response
from pydantic import BaseModel, Field

from app.services.confusion import ModelConfusion, model_confusion
from app.web import alignment as pages
from app.web.api import schemas
from app.web.api.common import a_file, api_router
from app.web.charts import Theme
from app.web.deps import ProjectAccess, ReadSession, ViewerAccess

router = api_router("Alignment")
InTheme = Annotated[Theme, Query(description="The colours: on a light or on a dark ground.")]


class ShareGiven(schemas.Given):
    """`hits` of `n` items, with a 95 % interval; null where `n` is 0."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None


class ConfusionCell(BaseModel):
    experts: str = Field(description="The label that the experts gave.")
    model: str = Field(description="The label that the model gave.")
    count: int
    items: str = Field(description="The address of the items behind it.")


class LabelFigures(BaseModel):
    label: str
    recall: ShareGiven = Field(description="Of the items that the experts call so, those that the model does.")
    precision: ShareGiven = Field(description="Of the items that the model calls so, those that the experts do.")
    f1: float | None


class Confusion(BaseModel):
    version: int | None = Field(description="The newest model's; null before a round is finished.")
    n: int
    cells: list[ConfusionCell] = Field(description="Every pair of labels, by the experts' label first.")
    labels: list[LabelFigures]


@router.get("/alignment/confusion", summary="The newest model against the consensus, label by label")
def show_confusion(access: ViewerAccess, session: ReadSession) -> Confusion:
    """On decided items of the evaluation set of all finished rounds. It holds more hard items than the pool, so the
    figures are lower here than on everyday texts."""
    found = model_confusion(session, access.project)
    if found is None:
        return Confusion(version=None, n=0, cells=[], labels=[])
    names = access.project.labels
    return Confusion(
        version=found.version,
        n=found.n,
        cells=[
            ConfusionCell(
                experts=experts, model=model, count=found.counts[i][j], items=_items(access, found, experts, model)
            )
            for i, experts in enumerate(names)
            for j, model in enumerate(names)
        ],
        labels=[
            LabelFigures(
                label=names[score.label],
                recall=ShareGiven.model_validate(score.recall),
                precision=ShareGiven.model_validate(score.precision),
                f1=score.f1,
            )
            for score in found.labels
        ],
    )


def _items(access: ProjectAccess, found: ModelConfusion, experts: str, model: str) -> str:
    asked = {"split": "evaluation", "expert_label": experts, "label": model, "version": found.version}
    return f"/api/v1/projects/{access.project.slug}/items/search?{urlencode(asked)}"


@router.get(
    "/alignment/figures",
    summary="Every figure of alignment, as CSV",
    response_class=Response,
    responses=a_file("text/csv", "One figure a row."),
)
def alignment_figures(access: ViewerAccess, session: ReadSession) -> Response:
    return pages.figures(access, session)


@router.get("/alignment/chart", summary="The chart of alignment, as a Vega-Lite specification")
def alignment_chart(access: ViewerAccess, session: ReadSession, theme: InTheme = "light") -> dict[str, Any]:
    """With its data in it: any Vega-Lite renderer draws it, as PNG or otherwise."""
    return pages.specification(access, session, theme)


@router.get(
    "/alignment/picture",
    summary="The chart of alignment, as SVG",
    response_class=Response,
    responses=a_file("image/svg+xml", "A picture that needs no script."),
)
def alignment_picture(access: ViewerAccess, session: ReadSession) -> Response:
    return pages.picture(access, session)
