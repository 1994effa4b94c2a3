"""Links that work once: an invitation into a project, or a sign-in for someone who lost their password."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session, aliased

from app.db.base import utcnow
from app.db.tables import ApiToken, Invitation, Membership, Project, User
from app.errors import Conflict, Forbidden, Gone, InvalidInput
from app.services import accounts, audit, passwords

SIGN_IN_HOURS = 24


@dataclass(frozen=True)
class OpenInvitation:
    """An invitation that can still be used, with what its page shows."""

    row: Invitation
    project: Project
    invited_by: str


def invite(
    session: Session,
    project_id: int,
    role: str,
    *,
    days: int,
    by_user_id: int,
    email: str = "",
    name: str = "",
    now: datetime | None = None,
) -> tuple[str, Invitation]:
    """A token for the link, to be shown once, and its row.

    With an ``email`` only that address can use the link, and its earlier links into this project end.
    """
    now, token = now or utcnow(), accounts.new_secret()
    email = accounts.clean_email(email) if email.strip() else ""
    if email:
        _end_earlier(session, project_id, email, now)
    row = Invitation(
        token_hash=accounts.hash_secret(token),
        purpose="invite",
        project_id=project_id,
        role=accounts.check_role(role),
        email=email or None,
        name=" ".join(name.split())[:200],
        created_by_id=by_user_id,
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    _record(session, "invitation.created", row, by_user_id, role=role)
    return token, row


def _record(session: Session, action: str, row: Invitation, by_user_id: int | None, **detail: Any) -> None:
    """Whom it is for, so far as that was said; the id, for one that is for anybody."""
    about: dict[str, Any] = {"project_id": row.project_id, "subject": row.email or row.name, "invitation": row.id}
    audit.record(session, action, user_id=by_user_id, **about, **detail)


def _end_earlier(session: Session, project_id: int, email: str, now: datetime) -> None:
    session.execute(
        update(Invitation)
        .where(
            Invitation.project_id == project_id,
            Invitation.email == email,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
        )
        .values(expires_at=now)
    )


def look_up(session: Session, token: str, now: datetime | None = None) -> OpenInvitation:
    """What an invitation link is for. Raises Gone if it was used, has expired or never was."""
    inviter = aliased(User)
    query = (
        select(Invitation, Project, inviter.name)
        .join(Project, Project.id == Invitation.project_id)
        .outerjoin(inviter, inviter.id == Invitation.created_by_id)
        .where(
            Invitation.token_hash == accounts.hash_secret(token),
            Invitation.purpose == "invite",
            Invitation.used_at.is_(None),
            Invitation.expires_at > (now or utcnow()),
            Project.deleted_at.is_(None),
        )
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise _gone("invitation")
    return OpenInvitation(row[0], row[1], row[2] or "")


def accept_as_new(
    session: Session, token: str, *, email: str, name: str, password: str, now: datetime | None = None
) -> User:
    """Make an account and join the project. An address that has an account must sign in instead: a link never
    sets the password of an account that exists. Raises Gone, InvalidInput or Conflict (field ``email``)."""
    now, email, name = now or utcnow(), accounts.clean_email(email), accounts.clean_name(name)
    password_hash = passwords.hash_password(password)  # slow, so before the first statement
    found = look_up(session, token, now)
    _check_address(found.row, email)
    if accounts.find_user(session, email) is not None:
        raise Conflict("That address has an account: sign in, then open this link again.", field="email")
    user = accounts.insert_user(session, email=email, name=name, password_hash=password_hash, now=now)
    _use(session, found.row, user.id, now)
    return user


def accept_as(session: Session, token: str, user: User, now: datetime | None = None) -> Membership:
    """Join the project with the account that is signed in. Raises Gone, or InvalidInput for someone else's link."""
    now = now or utcnow()
    found = look_up(session, token, now)
    _check_address(found.row, user.email)
    return _use(session, found.row, user.id, now)


def _check_address(row: Invitation, email: str) -> None:
    if row.email is not None and row.email != email:
        raise InvalidInput("This invitation is for %(email)s.", values={"email": row.email}, field="email")


def _use(session: Session, row: Invitation, user_id: int, now: datetime) -> Membership:
    _spend(session, row.id, user_id, now, "invitation")
    if row.project_id is None:  # the table allows it, for sign-in links
        raise _gone("invitation")
    return accounts.add_member(session, row.project_id, user_id, row.role, by_user_id=row.created_by_id, now=now)


def _spend(session: Session, invitation_id: int, user_id: int, now: datetime, what: str) -> None:
    # The condition in the UPDATE decides between two browsers that come at the same moment.
    spent = session.execute(
        update(Invitation)
        .where(Invitation.id == invitation_id, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(used_at=now, used_by_id=user_id)
        .returning(Invitation.id)
    ).one_or_none()
    if spent is None:
        raise _gone(what)


def _gone(what: str) -> Gone:
    if what == "invitation":
        return Gone("This invitation link has been used or has expired. Ask for a new one.")
    return Gone("This sign-in link has been used or has expired. Ask for a new one.")


def open_invitations(session: Session, project_id: int, now: datetime | None = None) -> Sequence[Invitation]:
    query = select(Invitation).where(
        Invitation.project_id == project_id,
        Invitation.purpose == "invite",
        Invitation.used_at.is_(None),
        Invitation.expires_at > (now or utcnow()),
    )
    return session.scalars(query.order_by(Invitation.id.desc())).all()


def withdraw(
    session: Session, project_id: int, invitation_id: int, *, by_user_id: int, now: datetime | None = None
) -> None:
    """End an invitation before its time. Raises Gone if it was used meanwhile."""
    now = now or utcnow()
    ended = session.execute(
        update(Invitation)
        .where(
            Invitation.id == invitation_id,
            Invitation.project_id == project_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
        )
        .values(expires_at=now)
        .returning(Invitation)
    ).scalar_one_or_none()
    if ended is None:
        raise _gone("invitation")
    _record(session, "invitation.withdrawn", ended, by_user_id)


def create_sign_in_link(
    session: Session, user_id: int, *, by_user_id: int | None = None, now: datetime | None = None
) -> str:
    """A token that signs ``user_id`` in once within a day. The caller has called require_may_sign_in_for."""
    now, token = now or utcnow(), accounts.new_secret()
    session.add(
        Invitation(
            token_hash=accounts.hash_secret(token),
            purpose="sign_in",
            user_id=user_id,
            created_by_id=by_user_id,
            created_at=now,
            expires_at=now + timedelta(hours=SIGN_IN_HOURS),
        )
    )
    audit.record(session, "sign_in_link.created", user_id=by_user_id, subject=session.get_one(User, user_id).email)
    return token


def require_may_sign_in_for(session: Session, actor: User, user_id: int, *, token: ApiToken | None = None) -> None:
    """Raises Forbidden. A sign-in link is the whole account, so a project admin may make one only for a person who
    has nothing to lose elsewhere: no site admin, and no member of a project that the actor does not administer.

    With the API ``token`` that the actor asks with, not for themselves, nor for a site admin, nor if it is limited:
    a link would turn a token that ends, or may do little, into an account that does not.
    """
    if token is not None and (token.scopes or user_id == actor.id or session.get_one(User, user_id).is_site_admin):
        raise Forbidden("This sign-in link can be made only by an admin who is signed in with a browser.")
    if actor.is_site_admin:
        return
    theirs, ours = aliased(Membership), aliased(Membership)
    administered = exists().where(
        ours.project_id == theirs.project_id,
        ours.user_id == actor.id,
        ours.role == "admin",
        ours.removed_at.is_(None),
    )
    elsewhere = exists().where(theirs.user_id == User.id, theirs.removed_at.is_(None), ~administered)
    somewhere = exists().where(theirs.user_id == User.id, theirs.removed_at.is_(None))
    query = select(User.id).where(User.id == user_id, User.is_site_admin.is_(False), somewhere, ~elsewhere)
    if session.scalar(query) is None:
        raise Forbidden("This person also works elsewhere, so only a site admin can make a sign-in link for them.")


def use_sign_in_link(session: Session, token: str, now: datetime | None = None) -> User:
    """Whom the link signs in; it is spent. Raises Gone, also where its maker could not make it any more: the person
    has become a site admin, say, or works elsewhere too, or the maker is no admin now."""
    now = now or utcnow()
    query = (
        select(Invitation, User)
        .join(User, User.id == Invitation.user_id)
        .where(
            Invitation.token_hash == accounts.hash_secret(token),
            Invitation.purpose == "sign_in",
            User.disabled_at.is_(None),
        )
    )
    row = session.execute(query).one_or_none()
    if row is None:
        raise _gone("sign-in")
    link, user = row
    if not _may_still_sign_in(session, link, user):
        raise _gone("sign-in")
    _spend(session, link.id, user.id, now, "sign-in")
    return user


def _may_still_sign_in(session: Session, link: Invitation, user: User) -> bool:
    if link.created_by_id is None:  # made on the command line
        return True
    maker = session.get_one(User, link.created_by_id)
    try:
        require_may_sign_in_for(session, maker, user.id)
    except Forbidden:
        return False
    return maker.disabled_at is None
