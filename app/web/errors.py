"""Every error becomes a page, a notice for htmx, or JSON for the API, here and nowhere else."""

import logging
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.errors import LinecallError, NotSignedIn
from app.web import i18n, render
from app.web.i18n import N_, _
from app.web.security import SAFE_METHODS, add_headers, safe_next

log = logging.getLogger("linecall.web")

_TITLES = {
    401: N_("Sign in first"),
    403: N_("Not allowed"),
    404: N_("Not found"),
    405: N_("Not possible here"),
    409: N_("Something changed meanwhile"),
    410: N_("This link no longer works"),
    413: N_("Too large"),
    422: N_("Something is missing or not valid"),
    429: N_("Too many attempts"),
    500: N_("Something went wrong"),
    503: N_("Not available"),
}
_SENTENCES = {
    404: N_("There is no such page."),
    405: N_("This address cannot be used in that way."),
    500: N_("The error has been logged. Nothing of this request was saved."),
}


def install(app: FastAPI) -> None:
    app.add_exception_handler(LinecallError, on_linecall_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_malformed_request)
    app.add_exception_handler(Exception, on_unexpected)


def on_linecall_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, LinecallError)  # noqa: S101 - that is what it is registered for
    if isinstance(error, render.FormRejected) and not _is_api(request):
        response = error.show(render.field_errors(error))
        response.status_code = error.status
        return response
    if isinstance(error, NotSignedIn) and not _is_api(request):
        return _to_sign_in(request)
    return _respond(request, error.status, _in_words(request, error), error.detail)


def _in_words(request: Request, error: LinecallError) -> str:
    """In the reader's language; the API's sentences are in English, whoever asks."""
    if request.url.path.startswith("/api/"):
        return error.message
    i18n.use_language_of(request)
    return i18n.sentence(error)


def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    words = LinecallError(_SENTENCES.get(error.status_code, error.detail))
    response = _respond(request, error.status_code, _in_words(request, words), {})
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def on_malformed_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    problems = [{"where": [str(part) for part in e["loc"]], "message": e["msg"]} for e in error.errors()]
    fields = ", ".join(".".join(p["where"][1:]) or p["where"][0] for p in problems)
    said = f"These fields are missing or not valid: {fields}."
    if not request.url.path.startswith("/api/"):  # the names in a form mean nothing to who fills it in
        said = _in_words(
            request, LinecallError("Part of what was sent is missing or not valid. Go back and try again.")
        )
    return _respond(request, 422, said, {"problems": problems})


def on_unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    response = _respond(request, 500, _in_words(request, LinecallError(_SENTENCES[500])), {})
    add_headers(response.headers, https=request.app.state.settings.cookies_are_secure)  # no middleware sees this one
    return response


def _is_api(request: Request) -> bool:
    """A program asks, or a page's own script: neither can use a page."""
    return request.url.path.startswith("/api/") or request.headers.get("Accept") == "application/json"


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    back = safe_next(here) if request.method in SAFE_METHODS and not render.is_htmx(request) else "/"
    url = str(request.app.url_path_for("sign_in"))
    if back != "/":
        url += "?" + urlencode({"next": back})
    if render.is_htmx(request):
        return Response(status_code=401, headers={"HX-Redirect": url})
    return render.redirect(request, url)


def _respond(request: Request, status: int, message: str, detail: dict[str, Any]) -> Response:
    if _is_api(request):
        headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
        return JSONResponse({"error": message, "detail": detail}, status, headers)
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    context: dict[str, Any] = {"status_code": status, "heading": _(title), "message": message}
    if render.is_htmx(request):
        response = render.render(request, "_error.html", fragment="_error.html", status=status, **context)
        response.headers["HX-Retarget"] = "#flash"
        response.headers["HX-Reswap"] = "innerHTML show:top"
        return response
    return render.render(request, "error.html", status=status, **context)
