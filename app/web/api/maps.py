"""The boundary map of each round."""

from typing import Annotated

from fastapi import Query, status

from app.services import maps, rounds
from app.services.maps import Side
from app.web.api.common import Number, api_router, errors
from app.web.deps import AdminAccess, ReadSession, ViewerAccess, WriteSession

router = api_router("Boundary map")
WhichSide = Annotated[
    Side, Query(description="`before`: the labels that the round mined; `after`: those of its model.")
]


@router.get("/maps", summary="Which rounds have a map")
def list_maps(access: ViewerAccess, session: ReadSession) -> list[maps.MapLine]:
    """A side's state is `wanted` until a worker has drawn it, `done`, `failed` (then `errors` says why), or empty
    while there is nothing to draw."""
    return maps.map_lines(session, access.project.id)


@router.get("/rounds/{number}/map", summary="The pool in two dimensions, and the round's items and pairs on it")
def show_map(number: Number, access: ViewerAccess, session: ReadSession, side: WhichSide = "before") -> maps.RoundMap:
    """Places are 0 … `extent` from the left and from the top. `density` has, for each label and then for items without
    one, base64 of LEB128 numbers: the items in each cell of a `grid` × `grid` map, row by row. `examples` has base64
    of little-endian int32 item ids, one for each cell of an `example_grid` × `example_grid` map, or 0."""
    return maps.round_map(session, access.project, number, side)


@router.post(
    "/rounds/{number}/map/redraw",
    summary="Try again to draw a map that failed",
    status_code=status.HTTP_202_ACCEPTED,
    responses=errors(409),
)
def redraw_map(number: Number, access: AdminAccess, session: WriteSession, side: WhichSide = "before") -> None:
    round_ = rounds.get_round(session, access.project.id, number)
    maps.redraw(session, round_, side, user_id=access.user.id)
