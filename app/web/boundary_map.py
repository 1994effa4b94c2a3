"""The boundary map: where a round's items lie in the pool, and which pairs were chosen on the line."""

import csv
import io
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.services import maps, rounds
from app.services.exports.files import defuse
from app.services.maps import SIDES, MapLine, RoundMap, Side
from app.web.browse import REASON_WORDS
from app.web.charts import Theme
from app.web.deps import AdminAccess, ProjectAccess, ReadSession, ViewerAccess, WriteSession
from app.web.map_picture import picture
from app.web.render import redirect, render

router = APIRouter(prefix="/p/{slug}/map")

SIDE_WORDS: dict[Side, str] = {"before": "the labels that it mined", "after": "the labels after fine-tuning"}
COLUMNS = ("item_id", "x", "y", "chosen_as", "model_label", "expert_label", "pair_id")
_PAGE = 20


@dataclass(frozen=True)
class Choice:
    """The round and side to show."""

    line: MapLine
    side: Side

    @property
    def state(self) -> str:
        return self.line.states[self.side]


@router.get("", name="map")
def page(
    request: Request,
    access: ViewerAccess,
    session: ReadSession,
    round: Annotated[int, Query(ge=0)] = 0,
    side: Annotated[str, Query(max_length=10)] = "",
    after: Annotated[int, Query(ge=-1)] = -1,
) -> Response:
    lines = maps.map_lines(session, access.project.id)
    choice = _choose(lines, round, side)
    return render(
        request,
        "map.html",
        fragment="_map.html",
        lines=lines,
        choice=choice,
        side_words=SIDE_WORDS,
        sides=SIDES,
        reason_words=REASON_WORDS,
        after=after,
        page_size=_PAGE,
        **_shown(session, access, choice, after),
    )


def _shown(session: Session, access: ProjectAccess, choice: Choice | None, after: int) -> dict[str, Any]:
    if choice is None or choice.state != "done":
        return {"map": None, "picture": None, "pairs": []}
    drawn = maps.round_map(session, access.project, choice.line.number, choice.side)
    round_ = rounds.get_round(session, access.project.id, choice.line.number)
    pairs = maps.pair_texts(session, round_, after=after, limit=_PAGE)
    return {"map": drawn, "picture": picture(drawn), "pairs": pairs}


def _choose(lines: list[MapLine], number: int, side: str) -> Choice | None:
    """What was asked for; else the newest side that is drawn, or the newest round."""
    if number and number not in {line.number for line in lines}:
        raise NotFound("There is no map of this round: its review has not opened, or it was cancelled.")
    if not lines:
        return None
    asked = next((line for line in lines if line.number == number), None)
    line = asked or next((line for line in reversed(lines) if "done" in line.states.values()), lines[-1])
    wanted = next((one for one in SIDES if one == side and line.states[one]), None)
    return Choice(line, wanted or ("after" if line.states["after"] == "done" else "before"))


@router.get("/texts", name="map_texts")
def texts(access: ViewerAccess, session: ReadSession, id: Annotated[list[int], Query(max_length=8)]) -> Response:
    """The beginnings of texts that the pointer is on."""
    return JSONResponse(maps.beginnings(session, access.project.id, id))


@router.get("/{number}/{side}.json", name="map_json")
def as_json(number: int, side: Side, access: ViewerAccess, session: ReadSession) -> Response:
    return JSONResponse(maps.as_json(maps.round_map(session, access.project, number, side)))


@router.get("/{number}/{side}.svg", name="map_svg")
def as_svg(
    request: Request, number: int, side: Side, access: ViewerAccess, session: ReadSession, theme: Theme = "light"
) -> Response:
    drawn = maps.round_map(session, access.project, number, side)
    response = render(request, "map_file.svg", map=drawn, picture=picture(drawn), theme=theme, side_words=SIDE_WORDS)
    response.headers["Content-Type"] = "image/svg+xml"
    response.headers["Content-Disposition"] = f'attachment; filename="{_file_name(access, number, side)}.svg"'
    return response


@router.get("/{number}/{side}.csv", name="map_csv")
def as_csv(number: int, side: Side, access: ViewerAccess, session: ReadSession) -> Response:
    """The round's items and where they lie; places are 0 … 65,535 from the left and from the top."""
    drawn = maps.round_map(session, access.project, number, side)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows(_rows(drawn))
    name = f'attachment; filename="{_file_name(access, number, side)}.csv"'
    return Response(out.getvalue(), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})


def _rows(drawn: RoundMap) -> list[list[Any]]:
    pair_of = {item: pair.id for pair in drawn.pairs for item in (pair.left, pair.right)}
    names = [str(defuse(name)) for name in drawn.labels]

    def name(label: int | None) -> str:
        return "" if label is None else names[label]

    return [
        [item.id, item.x, item.y, item.reason, name(item.label), name(item.consensus), pair_of.get(item.id, "")]
        for item in drawn.chosen
    ]


def _file_name(access: ProjectAccess, number: int, side: Side) -> str:
    return f"{access.project.slug}-map-round-{number}-{side}"


@router.post("/{number}/{side}/redraw", name="map_redraw")
def redraw(request: Request, number: int, side: Side, access: AdminAccess, session: WriteSession) -> Response:
    round_ = rounds.get_round(session, access.project.id, number)
    maps.redraw(session, round_, side, user_id=access.user.id)
    address = f"{request.app.url_path_for('map', slug=access.project.slug)}?round={number}&side={side}"
    return redirect(request, address, flash="A worker draws the map again.")
