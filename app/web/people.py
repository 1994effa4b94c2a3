"""A project's members and the links that make more of them."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from app.services import accounts, invitations, sight
from app.web.deps import AdminAccess, AppSettings, Db, ProjectAccess, SignedIn, WriteSession
from app.web.render import form_errors, redirect, render

router = APIRouter(prefix="/p/{slug}/people")
Text = Annotated[str, Form()]
ROLE_WORDS = (("expert", "Expert"), ("viewer", "Viewer"), ("lead", "Lead"), ("admin", "Admin"))


@router.get("", name="people")
def people_page(request: Request, db: Db, access: AdminAccess) -> Response:
    return _page(request, db, access)


def _page(request: Request, db: Db, access: ProjectAccess, **context: Any) -> Response:
    with db.read() as session:
        members = accounts.members(session, access.project.id)
        experts = [user.id for user, member in members if member.role == "expert"]
        seen = sight.saw_model(session, access.project.id, experts)
        invited = invitations.open_invitations(session, access.project.id)
    shown = {
        "members": members,
        "invited": invited,
        "role_words": ROLE_WORDS,
        "link": None,
        "link_for": "",
        "seen": seen,
    }
    context = shown | context
    return render(request, "people.html", fragment="_people.html", **context)


def _back(request: Request, access: ProjectAccess, flash: str) -> Response:
    return redirect(request, str(request.app.url_path_for("people", slug=access.project.slug)), flash=flash)


@router.post("/invitations", name="invite")
def invite(
    request: Request,
    db: Db,
    settings: AppSettings,
    access: AdminAccess,
    role: Text = "expert",
    name: Text = "",
    email: Text = "",
) -> Response:
    """The link is shown in this very answer, because only its hash is kept."""
    values = {"role": role, "name": name, "email": email}
    again = form_errors(lambda errors: _page(request, db, access, errors=errors, values=values))
    days, project, by = settings.invitation_days, access.project.id, access.user.id
    with again, db.write() as session:
        token, _ = invitations.invite(session, project, role, days=days, by_user_id=by, email=email, name=name)
    link = settings.resolved_base_url + str(request.app.url_path_for("invitation", token=token))
    return _page(request, db, access, link=link, link_for=name.strip() or email.strip())


@router.post("/invitations/{invitation_id}/withdraw", name="withdraw_invitation")
def withdraw_invitation(request: Request, invitation_id: int, access: AdminAccess, session: WriteSession) -> Response:
    invitations.withdraw(session, access.project.id, invitation_id, by_user_id=access.user.id)
    return _back(request, access, "The invitation is withdrawn: its link no longer works.")


@router.post("/{user_id}/role", name="change_role")
def change_role(
    request: Request,
    db: Db,
    user_id: int,
    access: AdminAccess,
    session: WriteSession,
    role: Text = "",
    although_seen: Annotated[bool, Form()] = False,
) -> Response:
    """Making an expert of somebody who has seen the model's labels asks once more, and says why."""
    project, by = access.project.id, access.user.id
    again = form_errors(lambda errors: _page(request, db, access, errors=errors, values={"seen_by": user_id}))
    with again:
        accounts.change_role(session, project, user_id, role, by_user_id=by, although_seen=although_seen)
    return _back(request, access, "The role is changed.")


@router.post("/{user_id}/remove", name="remove_member")
def remove_member(request: Request, user_id: int, access: AdminAccess, session: WriteSession) -> Response:
    accounts.remove_member(session, access.project.id, user_id, by_user_id=access.user.id)
    return _back(request, access, "Removed from the project. Their answers stay.")


@router.post("/{user_id}/sign-in-link", name="make_sign_in_link")
def make_sign_in_link(
    request: Request, user_id: int, db: Db, settings: AppSettings, access: AdminAccess, asking: SignedIn
) -> Response:
    with db.write() as session:
        user = accounts.present_member(session, access.project.id, user_id)
        invitations.require_may_sign_in_for(session, access.user, user_id, token=asking.token)
        token = invitations.create_sign_in_link(session, user_id, by_user_id=access.user.id)
    link = settings.resolved_base_url + str(request.app.url_path_for("sign_in_link", token=token))
    return _page(request, db, access, link=link, link_for=user.name)
