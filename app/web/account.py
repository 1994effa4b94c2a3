"""One's own account: name, password, browsers that are signed in, API tokens."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from app.errors import Forbidden
from app.services import accounts, preferences
from app.web import i18n
from app.web.deps import Db, ReadSession, SignedIn, WriteSession
from app.web.i18n import N_, _
from app.web.render import form_errors, redirect, render

router = APIRouter(prefix="/account")
Text = Annotated[str, Form()]

# By the scopes that a token is limited to, joined by spaces; a page offers fewer than the combinations there are.
TOKEN_MAY = {
    "": N_("all that you may"),
    "read": N_("only read"),
    "read label": N_("read and label"),
    "read manage": N_("read and manage"),
}


@router.get("", name="account")
def account_page(request: Request, db: Db, access: SignedIn) -> Response:
    return _page(request, db, access)


def _page(request: Request, db: Db, access: accounts.Access, **context: Any) -> Response:
    with db.read() as session:
        sessions = accounts.active_sessions(session, access.user.id)
        tokens = accounts.api_tokens(session, access.user.id)
    prefs = preferences.get(access.user)
    context = {
        "sessions": sessions,
        "tokens": tokens,
        "session_id": access.session_id,
        "new_token": None,
        "token_may": TOKEN_MAY,
        "prefs": prefs,
        "languages": [("", _("As the browser asks")), *i18n.LANGUAGES.items()],
        "break_choices": _break_choices(prefs.break_minutes),
    } | context
    can_mail = bool(request.app.state.settings.smtp_host)
    return render(request, "account.html", can_mail=can_mail, **context)


def _break_choices(present: int) -> list[tuple[int, str]]:
    minutes = sorted({30, 45, 60, 90, present} - {0})
    return [(0, _("Never")), *((n, _("After %(n)s minutes", n=n)) for n in minutes)]


@router.post("/name", name="rename_account")
def rename(request: Request, db: Db, access: SignedIn, session: WriteSession, name: Text = "") -> Response:
    with form_errors(lambda errors: _page(request, db, access, errors=errors, values={"name": name})):
        accounts.rename(session, access.user.id, name)
    return redirect(request, "/account", flash=_("Your name is saved."))


async def in_a_browser(access: SignedIn) -> accounts.Access:
    """Whoever finds a token must be able neither to guess the password with it, nor to set one where there is none."""
    if access.token is not None:
        raise Forbidden("A password can't be changed with an API token. Sign in with a browser.")
    return access


@router.post("/password", name="change_password")
def change_password(
    request: Request,
    db: Db,
    access: Annotated[accounts.Access, Depends(in_a_browser)],
    reading: ReadSession,
    writing: WriteSession,
    current: Text = "",
    password: Text = "",
) -> Response:
    with form_errors(lambda errors: _page(request, db, access, errors=errors)):
        accounts.require_password(reading, access.user.id, current)
        accounts.set_password(writing, access.user.id, password, keep=access.session_id)
    return redirect(request, "/account", flash=_("Your password is changed. Other browsers have been signed out."))


@router.post("/sessions/{session_id}/revoke", name="revoke_session")
def revoke_session(request: Request, session_id: int, access: SignedIn, session: WriteSession) -> Response:
    accounts.revoke_session(session, access.user.id, session_id)
    return redirect(request, "/account", flash=_("That browser is signed out."))


@router.post("/sessions/revoke-others", name="revoke_other_sessions")
def revoke_other_sessions(request: Request, access: SignedIn, session: WriteSession) -> Response:
    accounts.revoke_all_sessions(session, access.user.id, keep=access.session_id)
    return redirect(request, "/account", flash=_("All other browsers are signed out."))


@router.post("/tokens", name="create_api_token")
def create_api_token(
    request: Request,
    db: Db,
    access: SignedIn,
    token_name: Text = "",
    days: Annotated[int, Form(ge=0, le=3650)] = 90,
    scopes: Text = "",
) -> Response:
    """The token is shown in this very answer, because only its hash is kept."""
    values = {"token_name": token_name, "days": str(days), "scopes": scopes}
    again = form_errors(lambda errors: _page(request, db, access, errors=errors, values=values))
    with again, db.write() as session:
        token, _row = accounts.create_api_token(
            session, access.user.id, token_name, days=days or None, scopes=scopes.split(), by=access.token
        )
    return _page(request, db, access, new_token=token)


@router.post("/tokens/{token_id}/revoke", name="revoke_api_token")
def revoke_api_token(request: Request, token_id: int, access: SignedIn, session: WriteSession) -> Response:
    accounts.revoke_api_token(session, access.user.id, token_id)
    return redirect(request, "/account", flash=_("The token is revoked."))
