"""Signing in and out, and the links that work once."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request, Response

from app.errors import InvalidInput
from app.services import accounts, invitations
from app.web import security
from app.web.deps import AppSettings, Db, MaybeAccess, ReadSession, SignedIn, WriteSession, find_access
from app.web.i18n import N_, _
from app.web.render import form_errors, redirect, render

router = APIRouter()
Text = Annotated[str, Form()]
JOINING_AS = {"expert": N_("an expert"), "viewer": N_("a viewer"), "lead": N_("a lead"), "admin": N_("an admin")}


@router.get("/sign-in", name="sign_in")
def sign_in_page(request: Request, access: MaybeAccess, session: ReadSession, next: str = "/") -> Response:
    if access is not None:
        return redirect(request, security.safe_next(next))
    nobody_yet = accounts.nobody_yet(session)
    return _sign_in_form(request, {"next": security.safe_next(next)}, nobody_yet=nobody_yet)


@router.post("/sign-in")
def sign_in(
    request: Request, db: Db, settings: AppSettings, email: Text = "", password: Text = "", next: Text = "/"
) -> Response:
    limit: security.SignInLimit = request.app.state.sign_in_limit
    address = request.client.host if request.client else ""
    limit.check(address, email)
    target = security.safe_next(next)
    with form_errors(lambda errors: _sign_in_form(request, {"email": email, "next": target}, errors)):
        try:
            with db.read() as reading:
                user = accounts.authenticate(reading, email, password)
        except InvalidInput:
            limit.failed(address, email)
            raise
    limit.succeeded(address, email)
    return signed_in(request, db, settings, user.id, target)


def _sign_in_form(
    request: Request, values: dict[str, str], errors: dict[str, str] | None = None, *, nobody_yet: bool = False
) -> Response:
    values = {"email": "", **values}
    return render(request, "sign_in.html", values=values, errors=errors or {}, nobody_yet=nobody_yet)


def signed_in(
    request: Request, db: Db, settings: AppSettings, user_id: int, target: str, flash: str | None = None
) -> Response:
    """A new session replaces the one that this browser may have had, so that nobody can plant one beforehand."""
    agent = request.headers.get("User-Agent", "")
    with db.write() as session:
        if (former := security.session_token(request)) is not None:
            accounts.revoke_token(session, former)
        token = accounts.start_session(session, user_id, days=settings.session_days, user_agent=agent)
    response = redirect(request, target, flash=flash)
    security.set_session_cookie(response, settings, token)
    return response


@router.post("/sign-out", name="sign_out")
def sign_out(request: Request, session: WriteSession, settings: AppSettings) -> Response:
    if (token := security.session_token(request)) is not None:
        accounts.revoke_token(session, token)
    response = redirect(request, str(request.app.url_path_for("sign_in")), flash=_("You are signed out."))
    security.clear_session_cookie(response, settings)
    return response


@router.get("/sign-in/{token}", name="sign_in_link", dependencies=[Depends(find_access)])
def sign_in_link_page(request: Request, token: str) -> Response:
    """Only the button spends the link: mail programs that look at links must not."""
    return render(request, "sign_in_link.html", token=token)


@router.post("/sign-in/{token}")
def use_sign_in_link(request: Request, token: str, db: Db, settings: AppSettings) -> Response:
    with db.write() as session:
        user_id = invitations.use_sign_in_link(session, token).id
    return signed_in(
        request, db, settings, user_id, "/", _("You are signed in. You can choose a password under your name.")
    )


@router.get("/invitation/{token}", name="invitation", dependencies=[Depends(find_access)])
def invitation_page(request: Request, token: str, session: ReadSession) -> Response:
    found = invitations.look_up(session, token)
    values = {"email": found.row.email or "", "name": found.row.name}
    return render(request, "invitation.html", invitation=found, token=token, values=values, joining_as=JOINING_AS)


@router.post("/invitation/{token}", name="accept_invitation")
def accept_invitation(
    request: Request, token: str, db: Db, settings: AppSettings, name: Text = "", email: Text = "", password: Text = ""
) -> Response:
    values = {"email": email, "name": name}
    with form_errors(lambda errors: _invitation_again(request, db, token, values, errors)), db.write() as session:
        user = invitations.accept_as_new(session, token, email=email, name=name, password=password)
    return signed_in(request, db, settings, user.id, "/", _("Welcome, %(name)s.", name=user.name))


@router.post("/invitation/{token}/join", name="join_by_invitation")
def join_by_invitation(request: Request, token: str, session: WriteSession, access: SignedIn) -> Response:
    invitations.accept_as(session, token, access.user)
    return redirect(request, "/", flash=_("You have joined the project."))


def _invitation_again(request: Request, db: Db, token: str, values: dict[str, str], errors: dict[str, str]) -> Response:
    with db.read() as session:
        found = invitations.look_up(session, token)
    again: dict[str, Any] = {"invitation": found, "token": token, "joining_as": JOINING_AS}
    return render(request, "invitation.html", values=values, errors=errors, **again)
