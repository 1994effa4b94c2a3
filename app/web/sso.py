"""Signing in through the organisation's own service: there (``/sso/start``) and back (``/sso/callback``).

What must be known again at the return is in a cookie that only this server can read or write, and for ten minutes. So
an answer that this browser did not ask for is worth nothing, and any web process can take it.
"""

import base64
import hmac
import json
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.config import Settings
from app.db.engine import Database
from app.errors import Forbidden, Gone, LinecallError, NotFound
from app.services import identities
from app.web import i18n, security
from app.web.deps import AppSettings, Db
from app.web.i18n import _
from app.web.oidc import Attempt, Provider
from app.web.render import redirect, render, url_for
from app.web.session import signed_in

router = APIRouter(prefix="/sso")
Text = Annotated[str, Form(max_length=2000)]
COOKIE_SECONDS = 600


@router.post("/start", name="sso_start")
def start(request: Request, settings: AppSettings, next: Text = "/", invitation: Text = "") -> Response:
    """A page that goes on by itself. A redirect would not do: a browser holds our forms to our own site, redirects
    of theirs included."""
    provider = provider_of(request)
    attempt = Attempt.new(security.safe_next(next), invitation)
    try:
        address = provider.address(attempt)
    except LinecallError as error:
        return _back(request, settings, error, attempt)
    response = render(request, "sso_start.html", address=address)
    _set_cookie(response, settings, attempt)
    return response


@router.get("/callback", name="sso_callback")
def callback(
    request: Request,
    db: Db,
    settings: AppSettings,
    state: str = "",
    code: str = "",
    error: str = "",
    iss: str | None = None,
) -> Response:
    """Whatever comes of it, the cookie is spent: no answer is taken twice."""
    provider = provider_of(request)
    attempt = _attempt(request, settings)
    try:
        if attempt is None or not hmac.compare_digest(attempt.state.encode(), state.encode()):
            attempt = None
            raise Forbidden("This sign-in began in another browser or too long ago. Start again.")
        if error or not code:
            raise Forbidden("The sign-in service did not let you in.")
        who = provider.identify(attempt, code, iss)
        response = _sign_in(request, db, settings, who, attempt)
    except LinecallError as refused:
        return _back(request, settings, refused, attempt)
    response.delete_cookie(_cookie_name(settings), path="/", secure=settings.cookies_are_secure, httponly=True)
    return response


def _sign_in(
    request: Request, db: Database, settings: Settings, who: identities.Identity, attempt: Attempt
) -> Response:
    policy = identities.Policy(settings.oidc_domains, settings.oidc_auto_create)
    with db.write() as session:
        found = identities.sign_in(session, who, policy, invitation=attempt.invitation)
        user_id = found.user.id
    flash = _("You have joined the project.") if attempt.invitation else None
    if found.linked:
        flash = _("From now on you sign in here. Your password and API tokens of before no longer work.")
    return signed_in(request, db, settings, user_id, attempt.target, flash)


def provider_of(request: Request) -> Provider:
    """Made at its first use. Two threads may each make one at that moment: no harm, the later one stays."""
    settings, state = request.app.state.settings, request.app.state
    if not settings.sso_is_configured:
        raise NotFound("Single sign-on is not set up here.")
    if state.sso_provider is None:
        state.sso_provider = Provider(settings)
    provider: Provider = state.sso_provider
    return provider


def _back(request: Request, settings: Settings, error: LinecallError, attempt: Attempt | None) -> Response:
    """To where it began, with the reason."""
    url = url_for(request, "sign_in")
    if attempt is not None and attempt.invitation and not isinstance(error, Gone):
        url = url_for(request, "invitation", token=attempt.invitation)
    response = redirect(request, url, flash=i18n.sentence(error), kind="error")
    response.delete_cookie(_cookie_name(settings), path="/", secure=settings.cookies_are_secure, httponly=True)
    return response


# --- the cookie ----------------------------------------------------------------------------------------------------


def _cookie_name(settings: Settings) -> str:
    return "__Host-linecall-sso" if settings.cookies_are_secure else "linecall_sso"


def _set_cookie(response: Response, settings: Settings, attempt: Attempt) -> None:
    response.set_cookie(
        _cookie_name(settings),
        _cipher(settings).encrypt(json.dumps(attempt.as_dict()).encode()).decode(),
        max_age=COOKIE_SECONDS,
        path="/",
        secure=settings.cookies_are_secure,
        httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
    )


def _attempt(request: Request, settings: Settings) -> Attempt | None:
    from cryptography.fernet import InvalidToken

    try:
        sealed = request.cookies.get(_cookie_name(settings), "").encode()
        return Attempt(**json.loads(_cipher(settings).decrypt(sealed, ttl=COOKIE_SECONDS)))
    except InvalidToken:
        return None


def _cipher(settings: Settings) -> Any:
    """The key follows from the client secret, which every web process has and no browser."""
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=b"linecall single sign-on cookie")
    return Fernet(base64.urlsafe_b64encode(derive.derive(settings.oidc_client_secret.get_secret_value().encode())))
