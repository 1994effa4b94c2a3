"""Who a single sign-on provider says somebody is, and which account that is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.db.base import utcnow
from app.db.tables import ApiToken, User, UserIdentity
from app.errors import Conflict, Forbidden
from app.services import accounts, audit, invitations, links

_LONGEST = 300  # characters of an issuer or a subject; the standard allows 255


@dataclass(frozen=True)
class Identity:
    """A person as the provider vouches for them. ``issuer`` and ``subject`` are theirs for good; an address is not."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str = ""


@dataclass(frozen=True)
class Policy:
    """Whom single sign-on lets in: only these domains (empty: any), and people without an invitation or not."""

    allowed_domains: frozenset[str] = frozenset()
    auto_create: bool = False


@dataclass(frozen=True)
class SignedInAs:
    user: User
    linked: bool  # an account that was there before now belongs to this identity


def sign_in(
    session: Session, who: Identity, policy: Policy, *, invitation: str = "", now: datetime | None = None
) -> SignedInAs:
    """Whose account this is: the one linked to the identity, else the one with its verified address, else a new one
    if an invitation or the policy allows it. An ``invitation`` (its token) is accepted on the way.

    Raises Forbidden with the reason, or what accepting an invitation raises.
    """
    now = now or utcnow()
    if not 0 < len(who.subject) <= _LONGEST or len(who.issuer) > _LONGEST:
        raise Forbidden("The sign-in service gives you a name that Linecall can't keep.")
    _require_domain(who, policy)
    user = _known(session, who)
    linked = False
    if user is None:
        user, linked = _by_address(session, who, policy, invitation, now)
    if user.disabled_at is not None:
        raise Forbidden("This account is disabled. Ask an admin.")
    if invitation:
        invitations.accept_as(session, invitation, user, now)
    return SignedInAs(user, linked)


def _require_domain(who: Identity, policy: Policy) -> None:
    if not policy.allowed_domains:
        return
    domain = who.email.rpartition("@")[2].lower()
    if not who.email_verified or domain not in policy.allowed_domains:
        raise Forbidden("Only people of this organisation can sign in here, with an address that it has confirmed.")


def _known(session: Session, who: Identity) -> User | None:
    return session.scalar(
        select(User)
        .join(UserIdentity, UserIdentity.user_id == User.id)
        .where(UserIdentity.issuer == who.issuer, UserIdentity.subject == who.subject)
    )


def _by_address(session: Session, who: Identity, policy: Policy, invitation: str, now: datetime) -> tuple[User, bool]:
    if not who.email_verified or not who.email:
        raise Forbidden("The sign-in service has not confirmed your e-mail address, so it can't be used here.")
    email = accounts.clean_email(who.email)
    user = accounts.find_user(session, email)
    if user is not None:
        if (known := _known(session, who)) is not None:  # linked by another return since we looked
            return known, False
        _link_existing(session, user, who, now)
        return user, True
    if invitation:
        invitations.look_up(session, invitation, now)  # before an account is made for a link that is spent
    elif not policy.auto_create:
        raise Forbidden(
            "There is no account for %(email)s. Open your invitation link, and sign in from there.",
            values={"email": email},
        )
    name = accounts.clean_name(who.name or email.partition("@")[0])
    with _first(session):
        user = accounts.insert_user(session, email=email, name=name, password_hash=None, now=now)
    _link(session, user, who, now)
    return user, False


def _link_existing(session: Session, user: User, who: Identity, now: datetime) -> None:
    """The provider has proven the address; whoever made the account never had to. So what they may have set up
    before (a password, sign-ins, sign-in links, API tokens) ends: nobody can lie in wait in an account with another's
    address."""
    if user.disabled_at is not None:
        raise Forbidden("This account is disabled. Ask an admin.")
    taken = exists().where(UserIdentity.user_id == user.id, UserIdentity.issuer == who.issuer)
    if session.scalar(select(taken)):  # the address has been given to somebody else since
        raise Forbidden("Another person signs in to the account with your address. Ask an admin.")
    _link(session, user, who, now)
    user.password_hash = None
    accounts.revoke_all_sessions(session, user.id, now=now)
    links.end_sign_in_links(session, user.id, now=now)
    session.execute(
        update(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None)).values(revoked_at=now)
    )
    audit.record(session, "identity.linked", user_id=user.id, subject=user.email, issuer=who.issuer)


def _link(session: Session, user: User, who: Identity, now: datetime) -> None:
    with _first(session):
        session.add(UserIdentity(user_id=user.id, issuer=who.issuer, subject=who.subject, created_at=now))


@contextmanager
def _first(session: Session) -> Iterator[None]:
    """Two returns from the provider at one moment: the constraints let one of them in."""
    try:
        with session.begin_nested():
            yield
    except IntegrityError as error:
        raise Conflict("You have just signed in elsewhere. Try again.") from error
