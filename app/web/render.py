"""From what services return to what a browser gets: pages, fragments, redirects and the filters they use."""

import base64
import binascii
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import quote

from fastapi import Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from app import __version__
from app.errors import Conflict, InvalidInput, LinecallError
from app.resources import resource
from app.services.accounts import RANKS, Access, Role
from app.web import i18n, security
from app.web.i18n import N_, _, ngettext

FLASH_COOKIE = "linecall_flash"
_LONGEST_FLASH = 500

HTMX_CONFIG = json.dumps(
    {
        "includeIndicatorStyles": False,  # an inline style, which the policy forbids; app.css has them
        "allowEval": False,
        "allowScriptTags": False,
        "attributesToSettle": ["class", "width", "height"],  # copying style attributes is forbidden too
        "selfRequestsOnly": True,
        "defaultSettleDelay": 0,  # new content is live at once: a key pressed 20 ms after a swap is not lost on it
        "historyCacheSize": 0,  # texts under review are not left behind in the browser's storage
        "refreshOnHistoryMiss": True,
        "historyRestoreAsHxRequest": False,
        # Errors are swapped in as well: a form with its messages (422), or a notice sent to #flash by HX-Retarget.
        "responseHandling": [
            {"code": "204", "swap": False},
            {"code": "[23]..", "swap": True},
            {"code": "[45]..", "swap": True, "error": True},
        ],
    }
)


@dataclass(frozen=True)
class NavEntry:
    """A link of the project navigation: shown once a route has that name, to ``role`` and all above it, and to
    experts only where it is theirs; None: to everybody."""

    title: str
    route: str
    role: Role | None


NAVIGATION = (
    NavEntry(N_("Overview"), "project", None),
    NavEntry(N_("Label"), "label", "expert"),
    NavEntry(N_("Rounds"), "rounds", "viewer"),
    NavEntry(N_("Alignment"), "alignment", "viewer"),
    NavEntry(N_("Map"), "map", "viewer"),
    NavEntry(N_("Models"), "models", "viewer"),
    NavEntry(N_("Pool"), "pool", "viewer"),
    NavEntry(N_("Rulings"), "rulings", None),
    NavEntry(N_("Practice"), "practice", None),
    NavEntry(N_("People"), "people", "admin"),
    NavEntry(N_("Settings"), "project_settings", "admin"),
    NavEntry(N_("Webhooks"), "webhooks", "admin"),
    NavEntry(N_("Audit log"), "audit", "admin"),
)


class Blanks(dict[str, Any]):
    """What a form was sent, or what is wrong with it, by field; a field that is not there is blank."""

    def __missing__(self, key: str) -> str:
        return ""


@dataclass(frozen=True)
class Flash:
    kind: str  # success, info, warning or error
    text: str


# --- responses -----------------------------------------------------------------------------------------------------


def is_htmx(request: Request) -> bool:
    """Whether htmx asks for a part of a page (not for a whole one, as with hx-boost or the back button)."""
    headers = request.headers
    return "HX-Request" in headers and not ("HX-Boosted" in headers or "HX-History-Restore-Request" in headers)


def render(
    request: Request, template: str, *, fragment: str | None = None, status: int = 200, **context: Any
) -> HTMLResponse:
    """The page ``template``, or for htmx the ``fragment`` that the page includes too."""
    i18n.use_language_of(request)
    partly = fragment is not None and is_htmx(request)
    flash = None if partly else _read_flash(request)
    values = _request_context(request) | {"flash": flash, "errors": {}, "values": {}} | context
    values["errors"], values["values"] = Blanks(values["errors"]), Blanks(values["values"])
    html = environment().get_template(fragment if partly and fragment else template).render(values)
    response = HTMLResponse(
        html, status, headers={"Vary": "HX-Request, Accept-Language", "Content-Language": i18n.language()}
    )
    if flash is not None:
        response.delete_cookie(FLASH_COOKIE, path="/", httponly=True, samesite="lax")
    return response


def redirect(request: Request, url: str, *, flash: str | None = None, kind: str = "success") -> Response:
    """See another page next, which shows ``flash`` once. For htmx it is a full page load too."""
    response: Response
    if is_htmx(request):
        response = Response(status_code=204, headers={"HX-Redirect": url})
    else:
        response = RedirectResponse(url, 303)
    if flash:
        cookie = base64.urlsafe_b64encode(json.dumps([kind, flash[:_LONGEST_FLASH]]).encode()).decode()
        secure = request.app.state.settings.cookies_are_secure
        response.set_cookie(FLASH_COOKIE, cookie, max_age=60, path="/", httponly=True, samesite="lax", secure=secure)
    return response


def _read_flash(request: Request) -> Flash | None:
    raw = request.cookies.get(FLASH_COOKIE)
    if not raw:
        return None
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(raw))
    except (binascii.Error, ValueError, TypeError):
        return None
    if kind not in ("success", "info", "warning", "error") or not isinstance(text, str):
        return None
    return Flash(kind, text[:_LONGEST_FLASH])


class FormRejected(LinecallError):
    """A form to be shown again with what is wrong beside the field. Raising it rolls the write session back."""

    def __init__(self, error: LinecallError, show: Callable[[dict[str, str]], Response]) -> None:
        super().__init__(error.template, values=error.values, **error.detail)
        self.status = error.status
        self.show = show


@contextmanager
def form_errors(show: Callable[[dict[str, str]], Response]) -> Iterator[None]:
    """Turn InvalidInput or Conflict into the same form again: ``show`` gets {field: message} ("" for the whole form).

    ``show`` is called after the write session has been rolled back and ended, so it opens a session of its own.
    An API client gets the error as JSON all the same.
    """
    try:
        yield
    except (InvalidInput, Conflict) as error:
        raise FormRejected(error, show) from error


def field_errors(error: LinecallError) -> dict[str, str]:
    return {str(error.detail.get("field", "")): i18n.sentence(error)}


# --- context -------------------------------------------------------------------------------------------------------


def _request_context(request: Request) -> dict[str, Any]:
    access: Access | None = getattr(request.state, "access", None)
    token = security.session_token(request)
    csrf = security.csrf_token(token) if token else ""
    field = Markup('<input type="hidden" name="{}" value="{}">').format(security.CSRF_FIELD, csrf) if csrf else ""
    return {
        "request": request,
        "user": access.user if access else None,
        "project": access.project if access and access.role else None,
        "role": access.role if access else None,
        "is_admin": access is not None and access.role == "admin",
        "is_lead": access is not None and access.role in ("lead", "admin"),
        "navigation": navigation(request, access),
        "sso_name": request.app.state.settings.oidc_name if request.app.state.settings.sso_is_configured else "",
        "csrf_token": csrf,
        "csrf_field": field,
        "url": partial(url_for, request),
    }


def url_for(request: Request, name: str, **values: Any) -> str:
    """The path of a page by its route's name. The framework's own look-up tries every route in turn, which a page
    with a dozen links feels."""
    template: str = request.app.state.paths[name]
    return template.format_map({key: quote(str(value), safe="") for key, value in values.items()})


def navigation(request: Request, access: Access | None) -> list[dict[str, Any]]:
    """Links to the project's pages: {title, url, current}."""
    if access is None or access.project is None or access.role is None:
        return []
    here, routes, links = request.url.path.rstrip("/"), request.app.state.paths, []
    for entry in NAVIGATION:
        if entry.route not in routes or not _shown_to(entry.role, access.role):
            continue
        url = url_for(request, entry.route, slug=access.project.slug)
        current = here == url or (entry.route != "project" and here.startswith(url + "/"))
        links.append({"title": i18n.gettext(entry.title), "url": url, "current": current})
    return links


def _shown_to(wanted: Role | None, role: Role) -> bool:
    if wanted is None or wanted == "expert":
        return wanted is None or role == "expert"
    return RANKS[role] >= RANKS[wanted]


def project_start(request: Request, slug: str, role: Role) -> str:
    """Where someone begins in a project: an expert at the next item, an admin at the overview."""
    first = ("label", "project") if role == "expert" else ("project", "people")
    name = next((name for name in first if name in request.app.state.paths), None)
    return url_for(request, name, slug=slug) if name else "/"


@cache
def environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(resource("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.policies["ext.i18n.trimmed"] = True
    env.install_gettext_callables(i18n.gettext, i18n.ngettext, newstyle=True)  # type: ignore[attr-defined]
    env.globals |= {
        "static_url": static_url,
        "version": __version__,
        "htmx_config": HTMX_CONFIG,
        "now": _now,
        "language": i18n.language,
    }
    env.filters |= {
        "markdown": markdown,
        "date": date,
        "datetime": date_time,
        "ago": ago,
        "number": number,
        "percent": percent,
        "kappa": kappa,
        "signed": signed,
        "plural": plural,
        "browser": browser,
    }
    return env


def static_url(path: str) -> str:
    """``/static/…`` with a hash of the content, so that it may be cached for ever and is never stale."""
    file = resource("static") / path
    if not file.is_file():
        return f"/static/{path}"
    stat = file.stat()
    known = _hashes.get(file)
    if known is None or known[0] != (stat.st_mtime_ns, stat.st_size):
        known = (stat.st_mtime_ns, stat.st_size), blake2b(file.read_bytes(), digest_size=6).hexdigest()
        _hashes[file] = known
    return f"/static/{path}?v={known[1]}"


_hashes: dict[Path, tuple[tuple[int, int], str]] = {}  # file → when and how large it was, and its content's hash


# --- filters -------------------------------------------------------------------------------------------------------


@cache
def _markdown() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")

    def link_open(renderer: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
        tokens[index].attrSet("rel", "nofollow noopener noreferrer")
        rendered: str = renderer.renderToken(tokens, index, options, env)
        return rendered

    parser.add_render_rule("link_open", link_open)
    return parser


def markdown(text: str) -> Markup:
    """Markdown as HTML. HTML inside it is shown as text, images are not loaded, links carry rel=nofollow."""
    return Markup(_markdown().render(text))  # noqa: S704 - the parser escapes everything that is not Markdown


def _now() -> datetime:
    return datetime.now(UTC)


def date(when: datetime | None) -> Markup:
    """23 Nov 2026, in a ``time`` element that app.js turns into the reader's own zone. A dash for None."""
    return _time(when, _day(when) if when else "", "date")


def date_time(when: datetime | None) -> Markup:
    return _time(when, f"{_day(when)}, {when:%H:%M} UTC" if when else "", "datetime")


def _day(when: datetime) -> str:
    if i18n.language() == i18n.SOURCE:
        return f"{when.day} {when:%b %Y}"
    from babel.dates import format_skeleton  # only here: loading a language takes a while

    return str(format_skeleton("yMMMd", when, locale=i18n.language()))


def _time(when: datetime | None, text: str, style: str) -> Markup:
    if when is None:
        return Markup("–")
    return Markup('<time datetime="{}" data-local="{}">{}</time>').format(when.isoformat(), style, text)


def ago(when: datetime | None, now: datetime | None = None) -> Markup:
    """``3 minutes ago`` or ``in 2 days``, with the exact time on hover."""
    if when is None:
        return Markup("–")
    seconds = ((now or _now()) - when).total_seconds()
    exact = f"{_day(when)}, {when:%H:%M} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(when.isoformat(), exact, _span(seconds))


def _span(seconds: float) -> str:
    size, past = abs(seconds), seconds >= 0
    if size < 45:
        return _("just now") if past else _("in a moment")
    if size < 0.9 * 3_600:
        n = max(1, round(size / 60))
        return (
            ngettext("%(n)s minute ago", "%(n)s minutes ago", n)
            if past
            else ngettext("in %(n)s minute", "in %(n)s minutes", n)
        ) % {"n": n}
    if size < 0.9 * 86_400:
        n = max(1, round(size / 3_600))
        return (
            ngettext("%(n)s hour ago", "%(n)s hours ago", n) if past else ngettext("in %(n)s hour", "in %(n)s hours", n)
        ) % {"n": n}
    n = max(1, round(size / 86_400))
    return (
        ngettext("%(n)s day ago", "%(n)s days ago", n) if past else ngettext("in %(n)s day", "in %(n)s days", n)
    ) % {"n": number(n)}


_SIGNS = {"de": str.maketrans(",.", ".,")}  # how thousands and decimals are parted; English needs no change


def number(value: float | None, digits: int = 0) -> str:
    """1,234,567 — a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}".translate(_SIGNS.get(i18n.language(), {}))


def percent(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{number(100 * value, digits)}\u202f%"


def kappa(value: float | None) -> str:
    """Two decimals and a true minus sign; "undefined" for None."""
    return "undefined" if value is None else f"{value:z.2f}".replace("-", "\u2212")


def signed(value: float | None) -> str:
    """As ``kappa``, with a plus sign too: for what rises or falls."""
    return kappa(value) if value is None or value < 0.005 else f"+{kappa(value)}"


def plural(count: int, singular: str, many: str | None = None) -> str:
    """1 item, 2 items, 1,000 items: for pages that are in English only; others use ngettext."""
    return f"{count:,} {singular if count == 1 else many or singular + 's'}"


def browser(user_agent: str) -> str:
    """A name that a person knows their browser by: "Firefox on Windows"."""
    name = _first(
        user_agent, {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "Chrome": "Chrome", "Safari": "Safari"}
    )
    where = {
        "Android": "Android",
        "iPhone": "iPhone",
        "iPad": "iPad",
        "Windows": "Windows",
        "Mac OS": "macOS",
        "CrOS": "ChromeOS",
        "Linux": "Linux",
    }
    system = _first(user_agent, where)
    if name and system:
        return _("%(browser)s on %(system)s", browser=name, system=system)
    return name or system or user_agent[:60] or _("unknown")


def _first(text: str, names: dict[str, str]) -> str:
    return next((name for mark, name in names.items() if mark in text), "")
