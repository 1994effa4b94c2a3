"""A round's boundary map as files."""

from fastapi import Request, Response

from app.web import boundary_map as pages
from app.web.api.common import Number, a_file, api_router
from app.web.api.figures import InTheme
from app.web.api.maps import WhichSide
from app.web.deps import ReadSession, ViewerAccess

router = api_router("Boundary map")


@router.get(
    "/rounds/{number}/map/picture",
    summary="A round's map as SVG",
    response_class=Response,
    responses=a_file("image/svg+xml", "A picture that needs no script."),
)
def map_picture(
    request: Request,
    number: Number,
    access: ViewerAccess,
    session: ReadSession,
    side: WhichSide = "before",
    theme: InTheme = "light",
) -> Response:
    return pages.as_svg(request, number, side, access, session, theme)


@router.get(
    "/rounds/{number}/map/items",
    summary="A round's items and where they lie on its map, as CSV",
    response_class=Response,
    responses=a_file("text/csv", "One item a row."),
)
def map_items(number: Number, access: ViewerAccess, session: ReadSession, side: WhichSide = "before") -> Response:
    """Places are 0 … 65,535 from the left and from the top."""
    return pages.as_csv(number, side, access, session)
