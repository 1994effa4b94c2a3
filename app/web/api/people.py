"""A project's members and invitations, and its settings: for its admins."""

from datetime import datetime
from typing import Any

from fastapi import Request, status
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.services import accounts, invitations, projects, sight
from app.services.accounts import Role
from app.services.projects import ProjectSettings
from app.web.api.common import Id, api_router, errors
from app.web.api.schemas import Body, Given
from app.web.deps import AdminAccess, AppSettings, ReadSession, SignedIn, WriteSession

router = api_router("People")


class Member(Given):
    user_id: int
    name: str
    email: str
    role: Role
    joined_at: datetime
    has_seen_model: bool = Field(description="An expert who once saw the model's labels in another role.")


class Invited(Given):
    id: int
    role: Role
    name: str
    email: str | None
    created_at: datetime
    expires_at: datetime


class People(Given):
    members: list[Member]
    invitations: list[Invited] = Field(description="Those that are still open.")


class NewInvitation(Body):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"role": "expert", "name": "Grace", "email": "grace@example.org"}]},
    )

    role: Role = "expert"
    name: str = Field("", max_length=200)
    email: str = Field("", max_length=320, description="When given, only this address can use the link.")


class Invitation(Invited):
    link: str = Field(description="Works once. It is in this answer alone: only its hash is kept.")


class SignInLink(BaseModel):
    link: str = Field(description="Works once. It is in this answer alone: only its hash is kept.")
    hours: int = Field(description="How long it works.")


class NewRole(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"role": "lead"}]})

    role: Role
    although_seen: bool = Field(False, description="Make an expert of somebody who has seen the model's labels.")


class Changed(Body):
    """What is left out stays as it is."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"settings": {"round_size": 60}}]})

    name: str | None = Field(None, max_length=200)
    labels: list[str] | None = Field(None, max_length=9, description="Only before the first round.")
    settings: dict[str, Any] = Field(default_factory=dict, description="By name, those that shall change.")


@router.get("/people", summary="Members and open invitations")
def list_people(access: AdminAccess, session: ReadSession) -> People:
    return _people(session, access.project.id)


@router.post("/people/invitations", summary="Invite somebody", status_code=status.HTTP_201_CREATED)
def invite_person(
    request: Request, access: AdminAccess, session: WriteSession, settings: AppSettings, body: NewInvitation
) -> Invitation:
    """The link is for you to send."""
    token, row = invitations.invite(
        session,
        access.project.id,
        body.role,
        days=settings.invitation_days,
        by_user_id=access.user.id,
        email=body.email,
        name=body.name,
    )
    session.flush()
    link = settings.resolved_base_url + str(request.app.url_path_for("invitation", token=token))
    return Invitation(**Invited.model_validate(row).model_dump(), link=link)


@router.post("/people/invitations/{invitation_id}/withdraw", summary="Withdraw an invitation", responses=errors(409))
def withdraw_invited(access: AdminAccess, session: WriteSession, invitation_id: Id) -> People:
    """Its link no longer works."""
    invitations.withdraw(session, access.project.id, invitation_id, by_user_id=access.user.id)
    return _people(session, access.project.id)


@router.post("/people/{user_id}/role", summary="Change a member's role", responses=errors(409))
def change_members_role(access: AdminAccess, session: WriteSession, user_id: Id, body: NewRole) -> People:
    """409 for the last admin, and (`detail.field` is `seen`) for somebody who has seen the model's labels."""
    accounts.change_role(
        session,
        access.project.id,
        user_id,
        body.role,
        by_user_id=access.user.id,
        although_seen=body.although_seen,
    )
    return _people(session, access.project.id)


@router.post("/people/{user_id}/remove", summary="Remove a member", responses=errors(409))
def remove_person(access: AdminAccess, session: WriteSession, user_id: Id) -> People:
    """Their answers stay. 409 for the last admin."""
    accounts.remove_member(session, access.project.id, user_id, by_user_id=access.user.id)
    return _people(session, access.project.id)


@router.post("/people/{user_id}/sign-in-link", summary="Make a sign-in link for a member")
def create_sign_in_link(
    request: Request, access: AdminAccess, asking: SignedIn, session: WriteSession, settings: AppSettings, user_id: Id
) -> SignInLink:
    """For a member who works in no project that you do not administer. It is their whole account, so a token that is
    limited can't make one, nor any token one for yourself or for a site admin."""
    accounts.present_member(session, access.project.id, user_id)
    invitations.require_may_sign_in_for(session, access.user, user_id, token=asking.token)
    token = invitations.create_sign_in_link(session, user_id, by_user_id=access.user.id)
    link = settings.resolved_base_url + str(request.app.url_path_for("sign_in_link", token=token))
    return SignInLink(link=link, hours=invitations.SIGN_IN_HOURS)


def _people(session: Session, project_id: int) -> People:
    session.flush()
    found = accounts.members(session, project_id)
    seen = sight.saw_model(session, project_id, [user.id for user, member in found if member.role == "expert"])
    members = [
        Member.model_validate(
            {
                "user_id": user.id,
                "name": user.name,
                "email": user.email,
                "role": member.role,
                "joined_at": member.created_at,
                "has_seen_model": user.id in seen,
            }
        )
        for user, member in found
    ]
    return People(
        members=members,
        invitations=[Invited.model_validate(row) for row in invitations.open_invitations(session, project_id)],
    )


@router.post("/settings", summary="Change name, labels or settings", responses=errors(409))
def change_settings(access: AdminAccess, session: WriteSession, body: Changed) -> ProjectSettings:
    """The settings as they are now. A round that is open keeps those it began with. The settings of the automation
    (`next_round`, `most_rounds`, `most_answers`, `most_cost`) are among them."""
    from app.ml.prelabel.configs import parse_config

    project = projects.get_project(session, access.project.slug)
    present = projects.settings_of(project).model_dump()
    settings = projects.parse_settings(present | body.settings)
    if "prelabel" in body.settings:
        parse_config(settings.prelabel)
    projects.update_project(
        session, project, name=body.name, labels=body.labels, settings=settings, user_id=access.user.id
    )
    return settings
