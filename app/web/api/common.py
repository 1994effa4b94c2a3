"""What every module of the API shares: its router, how its errors are described, and what a path may hold."""

import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request
from fastapi.security import HTTPBearer

from app.errors import InvalidInput, NotFound
from app.services.accounts import Scope
from app.web.api.schemas import LARGEST_ID, Problem
from app.web.deps import scope_for

_SLUG = re.compile(r"[a-z0-9-]{1,80}")

_bearer = HTTPBearer(
    auto_error=False,  # app.web.deps decides; this only describes it
    scheme_name="API token",
    description="A token from the page Account, sent as `Authorization: Bearer lc_…`. A browser that is signed in may "
    "use its cookie instead, and then sends the page's `X-CSRF-Token` with every request but GET.",
)

_SAID = {
    401: "No token, or one that is not valid, has expired or was revoked.",
    403: "Your role in the project, or what the token is limited to, does not allow this.",
    404: "There is no such thing, or you may not know that there is.",
    409: "The request was fine once, but the state has moved on.",
    410: "A link that worked and no longer does: it was used, has expired or was withdrawn.",
    413: "The request is larger than this server takes.",
    422: "Something sent is missing or not valid; `detail` says what.",
    503: "A part that this needs is not installed or not free; `error` says which.",
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For a route's ``responses``; the statuses that every route may answer with are there already."""
    return {status: {"model": Problem, "description": _SAID[status]} for status in statuses}


def a_file(media_type: str, description: str) -> dict[int | str, dict[str, Any]]:
    """For the ``responses`` of a route that answers with one. Its ``response_class`` has no media type of its own, so
    that errors are described as the JSON that they are."""
    return {200: {"description": description, "content": {media_type: {}}}}


async def known_kind_of_slug(request: Request) -> None:
    """Before the project is looked up: a database need not know every character that an address may hold."""
    slug = request.path_params.get("slug")
    if slug is not None and not _SLUG.fullmatch(slug):
        raise NotFound("There is no such project, or you are not a member of it.")


def api_router(tag: str, path: str = "/projects/{slug}", *, writes: Scope = "manage") -> APIRouter:
    """``writes`` is what a limited token must be allowed to change something here."""
    return APIRouter(
        prefix=f"/api/v1{path}",
        tags=[tag],
        dependencies=[Depends(known_kind_of_slug), Depends(_bearer), Depends(scope_for(writes))],
        responses=errors(401, 403, 404, 422),
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their methods
    )


Number = Annotated[int, Path(ge=1, le=LARGEST_ID, description="The round's number; a project's first is 1.")]
Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]


def label_index(labels: Sequence[str], label: int | str) -> int:
    """Of a label that a request names, or gives by its index. Raises InvalidInput."""
    if isinstance(label, str) and label in labels:
        return labels.index(label)
    if isinstance(label, int) and 0 <= label < len(labels):
        return label
    raise InvalidInput(f"There is no such label; there are {', '.join(labels)}.", field="label")
