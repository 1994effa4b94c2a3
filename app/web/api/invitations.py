"""Invitation links: what one is for, and joining a project by it with the account that asks.

Somebody without an account has no token either: they open the link in a browser.
"""

from typing import Annotated

from fastapi import Depends, Path
from pydantic import BaseModel, Field

from app.services import invitations
from app.services.accounts import Role
from app.web.api.common import api_router, errors
from app.web.deps import ReadSession, SignedIn, WriteSession, require_access

router = api_router("People", "/invitations")
LinkToken = Annotated[str, Path(min_length=1, max_length=100, description="The last part of the link.")]


class InvitedTo(BaseModel):
    project: str
    role: Role
    invited_by: str
    email: str | None = Field(description="When given, only the account with this address can use the link.")


class Joined(BaseModel):
    slug: str
    name: str
    role: Role = Field(description="Yours now: that of the link, or a higher one that you had.")


@router.get(
    "/{token}", summary="What an invitation is for", responses=errors(410), dependencies=[Depends(require_access)]
)
def show_invitation(session: ReadSession, token: LinkToken) -> InvitedTo:
    """Looking does not spend it."""
    found = invitations.look_up(session, token)
    return InvitedTo.model_validate(
        {
            "project": found.project.name,
            "role": found.row.role,
            "invited_by": found.invited_by,
            "email": found.row.email,
        }
    )


@router.post("/{token}/join", summary="Join a project by an invitation", responses=errors(410))
def join_project(access: SignedIn, session: WriteSession, token: LinkToken) -> Joined:
    """With your own account; the link is spent."""
    project = invitations.look_up(session, token).project
    member = invitations.accept_as(session, token, access.user)
    return Joined.model_validate({"slug": project.slug, "name": project.name, "role": member.role})
