"""Who people are and what they may do: users, sign-ins, memberships and API tokens."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Literal, cast, get_args

from sqlalchemy import CursorResult, and_, bindparam, func, select, update
from sqlalchemy.orm import Session

from app.db.base import UtcDateTime, utcnow
from app.db.tables import ApiToken, Membership, Project, User, UserSession
from app.db.tables.accounts import ROLES
from app.db.tables.accounts import Role as Role
from app.errors import Conflict, Forbidden, InvalidInput, NotFound, NotSignedIn
from app.services import audit, links, passwords, sight

# Who may do what. A viewer reads all of the admin's pages, a lead also decides ties and keeps the guideline, an admin
# does everything; an expert sees only what is theirs, so that they can answer blind.
RANKS: dict[Role, int] = {"expert": 0, "viewer": 1, "lead": 2, "admin": 3}
Scope = Literal["read", "label", "manage"]
SCOPES: tuple[Scope, ...] = get_args(Scope)  # what a token may be limited to; in words in docs/api.md
API_TOKEN_PREFIX = "lc_"  # noqa: S105 - what every token starts with, so that leaked ones can be searched for

_USE_NOTED_EVERY = timedelta(hours=1)
_EMAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[^\s@<>\"'.]+")


@dataclass(frozen=True)
class Access:
    """Who is asking and, when a project was named, what they are in it.

    ``project`` is None when none was named or none has that slug; ``role`` is None for an outsider. A site admin is
    an admin of every project. ``session_id`` is None for an API token, which is in ``token``.
    """

    user: User
    session_id: int | None = None
    project: Project | None = None
    role: Role | None = None
    token: ApiToken | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """What an API token is limited to; empty: nothing, so all that the user may do."""
        return frozenset(self.token.scopes) if self.token else frozenset()


def new_secret() -> str:
    """256 random bits in 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def hash_secret(secret: str) -> bytes:
    """SHA-256. A plain hash is enough: the secrets are random, so there is nothing to guess from."""
    return hashlib.sha256(secret.encode()).digest()


# --- users ---------------------------------------------------------------------------------------------------------


def clean_email(email: str) -> str:
    """Lower case, without spaces around it. Raises InvalidInput (field ``email``)."""
    email = email.strip().lower()
    if len(email) > 320 or not _EMAIL.fullmatch(email):
        raise InvalidInput("Enter an e-mail address, such as ana@example.org.", field="email")
    return email


def clean_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise InvalidInput("Enter a name.", field="name")
    if len(name) > 200:
        raise InvalidInput("Use at most 200 characters.", field="name")
    return name


def find_user(session: Session, email: str) -> User | None:
    return session.scalar(select(User).where(User.email == email.strip().lower()))


def nobody_yet(session: Session) -> bool:
    """Whether this is an installation without a single account."""
    return session.scalar(select(User.id).limit(1)) is None


def create_user(
    session: Session,
    *,
    email: str,
    name: str,
    password: str | None = None,
    is_site_admin: bool = False,
    now: datetime | None = None,
) -> User:
    """A new account; without a password it signs in by link only. Raises InvalidInput, or Conflict if it exists."""
    email, name = clean_email(email), clean_name(name)
    password_hash = None if password is None else passwords.hash_password(password)
    return insert_user(
        session, email=email, name=name, password_hash=password_hash, is_site_admin=is_site_admin, now=now
    )


def insert_user(
    session: Session,
    *,
    email: str,
    name: str,
    password_hash: str | None,
    is_site_admin: bool = False,
    now: datetime | None = None,
) -> User:
    """create_user for a caller that hashed the password, and cleaned the rest, before its transaction began."""
    if find_user(session, email) is not None:
        raise Conflict("That e-mail address already has an account.", field="email")
    user = User(
        email=email,
        name=name,
        password_hash=password_hash,
        is_site_admin=is_site_admin,
        created_at=now or utcnow(),
    )
    session.add(user)
    session.flush()
    audit.record(session, "user.created", user_id=user.id, subject=email, site_admin=is_site_admin)
    return user


def authenticate(session: Session, email: str, password: str) -> User:
    """The user whose address and password these are. One error for every reason, after the same time."""
    user = find_user(session, email)
    matches = passwords.verify(user.password_hash if user else None, password)
    if user is None or not matches or user.disabled_at is not None:
        raise InvalidInput("That address and password do not match.", field="password")
    return user


def require_password(session: Session, user_id: int, password: str) -> None:
    """Ask for the present password again before a change. Raises InvalidInput (field ``current``)."""
    stored = session.scalar(select(User.password_hash).where(User.id == user_id))
    if stored is not None and not passwords.verify(stored, password):
        raise InvalidInput("That is not your present password.", field="current")


def set_password(session: Session, user_id: int, password: str, *, keep: int | None = None) -> None:
    """Store a new password, sign out everywhere but in the session ``keep``, and end the person's sign-in links."""
    password_hash = passwords.hash_password(password)
    session.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))
    revoke_all_sessions(session, user_id, keep=keep)
    links.end_sign_in_links(session, user_id)
    audit.record(session, "user.password_changed", user_id=user_id)


def rename(session: Session, user_id: int, name: str) -> None:
    name = clean_name(name)
    session.execute(update(User).where(User.id == user_id).values(name=name))
    audit.record(session, "user.renamed", user_id=user_id, subject=name)


def set_disabled(session: Session, user: User, *, disabled: bool, now: datetime | None = None) -> None:
    """A disabled account cannot sign in, and its sessions and tokens stop working at once. Links into it, and the
    invitations that it made, end for good."""
    now = now or utcnow()
    user.disabled_at = now if disabled else None
    session.add(user)
    if disabled:
        links.end_sign_in_links(session, user.id, now=now)
        links.end_invitations_by(session, user.id, now=now)
    audit.record(session, "user.disabled" if disabled else "user.enabled", user_id=user.id, subject=user.email)


# --- sign-ins ------------------------------------------------------------------------------------------------------


def start_session(
    session: Session, user_id: int, *, days: int, user_agent: str = "", now: datetime | None = None
) -> str:
    """Sign a browser in and return its token, which is stored nowhere."""
    now, token = now or utcnow(), new_secret()
    row = UserSession(
        token_hash=hash_secret(token),
        user_id=user_id,
        user_agent=user_agent[:300],
        created_at=now,
        expires_at=now + timedelta(days=days),
    )
    session.add(row)
    session.flush()
    return token


def resolve_session(
    session: Session, token: str, project_slug: str | None = None, now: datetime | None = None
) -> Access | None:
    """Whose sign-in this is and, for ``project_slug``, what they are there: one statement. None if it is not valid."""
    values = {"secret": hash_secret(token), "now": now or utcnow(), "slug": project_slug}
    return _access(session, _by_session(project_slug is not None), values)


def resolve_api_token(
    session: Session, token: str, project_slug: str | None = None, now: datetime | None = None
) -> Access | None:
    """As resolve_session, for the token of a bearer request."""
    values = {"secret": hash_secret(token), "now": now or utcnow(), "slug": project_slug}
    return _access(session, _by_api_token(project_slug is not None), values)


# Every request asks one of these; making the statement anew each time cost more than running it.
_NOW = bindparam("now", type_=UtcDateTime())


@cache
def _by_session(in_project: bool) -> Any:
    return _with_project(select(User, UserSession.id), in_project).where(
        UserSession.token_hash == bindparam("secret"),
        UserSession.user_id == User.id,
        UserSession.revoked_at.is_(None),
        UserSession.expires_at > _NOW,
        User.disabled_at.is_(None),
    )


@cache
def _by_api_token(in_project: bool) -> Any:
    return _with_project(select(User, ApiToken), in_project).where(
        ApiToken.token_hash == bindparam("secret"),
        ApiToken.user_id == User.id,
        ApiToken.revoked_at.is_(None),
        (ApiToken.expires_at.is_(None)) | (ApiToken.expires_at > _NOW),
        User.disabled_at.is_(None),
    )


def _with_project(query: Any, in_project: bool) -> Any:
    if not in_project:
        return query
    membership = and_(
        Membership.project_id == Project.id, Membership.user_id == User.id, Membership.removed_at.is_(None)
    )
    return (
        query.add_columns(Project, Membership.role)
        .select_from(User)
        .outerjoin(Project, and_(Project.slug == bindparam("slug"), Project.deleted_at.is_(None)))
        .outerjoin(Membership, membership)
    )


def _access(session: Session, query: Any, values: dict[str, Any]) -> Access | None:
    row = session.execute(query, values).one_or_none()
    if row is None:
        return None
    user, proof, project, role = (*row, None, None)[:4]
    if project is not None and user.is_site_admin:
        role = "admin"
    if isinstance(proof, ApiToken):
        return Access(user, None, project, role, proof)
    return Access(user, proof, project, role)


def active_sessions(session: Session, user_id: int, now: datetime | None = None) -> Sequence[UserSession]:
    query = select(UserSession).where(
        UserSession.user_id == user_id, UserSession.revoked_at.is_(None), UserSession.expires_at > (now or utcnow())
    )
    return session.scalars(query.order_by(UserSession.created_at.desc())).all()


def revoke_session(session: Session, user_id: int, session_id: int, now: datetime | None = None) -> None:
    """Sign one of this user's browsers out. Raises NotFound for anybody else's."""
    query = update(UserSession).where(
        UserSession.id == session_id, UserSession.user_id == user_id, UserSession.revoked_at.is_(None)
    )
    if not _changed(session, query.values(revoked_at=now or utcnow())):
        raise NotFound("That sign-in has already ended.")


def revoke_token(session: Session, token: str, now: datetime | None = None) -> None:
    """Sign out the browser that holds ``token``; one that is not valid any more is no error."""
    query = update(UserSession).where(UserSession.token_hash == hash_secret(token), UserSession.revoked_at.is_(None))
    session.execute(query.values(revoked_at=now or utcnow()))


def revoke_all_sessions(session: Session, user_id: int, *, keep: int | None = None, now: datetime | None = None) -> int:
    """Sign this user out everywhere but in ``keep``; returns how many sign-ins ended."""
    query = update(UserSession).where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
    if keep is not None:
        query = query.where(UserSession.id != keep)
    return _changed(session, query.values(revoked_at=now or utcnow()))


# --- API tokens ----------------------------------------------------------------------------------------------------


def create_api_token(
    session: Session,
    user_id: int,
    name: str,
    *,
    days: int | None = None,
    scopes: Sequence[str] = (),
    by: ApiToken | None = None,
    now: datetime | None = None,
) -> tuple[str, ApiToken]:
    """A token to be shown once, and its row. ``days`` None: it lasts until it is revoked. Without ``scopes`` it may
    do all that the user may.

    ``by`` is the token that asks for it: the new one then lasts no longer, may do no more (without ``scopes``, the
    same), and ends when that one is revoked. Raises InvalidInput, Forbidden for more than ``by`` may do, and
    NotSignedIn where ``by`` has been revoked meanwhile.
    """
    now, token = now or utcnow(), API_TOKEN_PREFIX + new_secret()
    name = " ".join(name.split())
    if not name or len(name) > 100:
        raise InvalidInput("Give the token a name of up to 100 characters.", field="token_name")
    if not set(scopes) <= set(SCOPES):
        raise InvalidInput(f"What a token may do is {', '.join(SCOPES)}.", field="scopes")
    expires_at = None if days is None else now + timedelta(days=days)
    if by is not None:
        scopes, expires_at = _within(session, by, scopes, expires_at)
    row = ApiToken(
        user_id=user_id,
        name=name,
        token_hash=hash_secret(token),
        hint=token[:8],
        scopes=[scope for scope in SCOPES if scope in scopes],
        made_by_id=None if by is None else by.id,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    session.flush()
    audit.record(session, "api_token.created", user_id=user_id, subject=name, token=row.id, scopes=row.scopes)
    return token, row


def _within(
    session: Session, by: ApiToken, scopes: Sequence[str], expires_at: datetime | None
) -> tuple[Sequence[str], datetime | None]:
    """Scopes and end of a token that ``by`` makes. Its row is locked, so that a token which is being revoked does not
    leave one behind that nobody sees."""
    standing = select(ApiToken.id).where(ApiToken.id == by.id, ApiToken.revoked_at.is_(None)).with_for_update()
    if session.scalar(standing) is None:
        raise NotSignedIn("That API token is not valid, has expired or was revoked.")
    if by.scopes and not set(scopes) <= set(by.scopes):
        raise Forbidden("A token makes no token that may do more than it may itself.", field="scopes")
    return scopes or by.scopes, min((end for end in (expires_at, by.expires_at) if end is not None), default=None)


def is_due(token: ApiToken, now: datetime | None = None) -> bool:
    """Whether note_use has something to write: at most once an hour, so that requests need not write."""
    return token.last_used_at is None or token.last_used_at <= (now or utcnow()) - _USE_NOTED_EVERY


def note_use(session: Session, token_id: int, now: datetime | None = None) -> None:
    now = now or utcnow()
    unnoted = (ApiToken.last_used_at.is_(None)) | (ApiToken.last_used_at <= now - _USE_NOTED_EVERY)
    session.execute(update(ApiToken).where(ApiToken.id == token_id, unnoted).values(last_used_at=now))


def api_tokens(session: Session, user_id: int) -> Sequence[ApiToken]:
    query = select(ApiToken).where(ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    return session.scalars(query.order_by(ApiToken.id.desc())).all()


def revoke_api_token(session: Session, user_id: int, token_id: int, now: datetime | None = None) -> None:
    """End a token, and with it all that it has made. Raises NotFound for anybody else's or one that has ended."""
    now = now or utcnow()
    query = update(ApiToken).where(ApiToken.id == token_id, ApiToken.user_id == user_id, ApiToken.revoked_at.is_(None))
    name = session.scalar(query.values(revoked_at=now).returning(ApiToken.name))
    if name is None:
        raise NotFound("That token has already been revoked.")
    ended, descendants = [token_id], list[int]()
    while ended:
        made = update(ApiToken).where(ApiToken.made_by_id.in_(ended), ApiToken.revoked_at.is_(None))
        ended = list(session.scalars(made.values(revoked_at=now).returning(ApiToken.id)))
        descendants += ended
    detail: dict[str, Any] = {"token": token_id, "with_it": sorted(descendants)}
    audit.record(session, "api_token.revoked", user_id=user_id, subject=name, **detail)


def end_all_api_tokens(session: Session) -> int:
    """Everybody's; how many were in use."""
    standing = update(ApiToken).where(ApiToken.revoked_at.is_(None))
    return _changed(session, standing.values(revoked_at=utcnow()))


# --- memberships ---------------------------------------------------------------------------------------------------


def check_role(role: str) -> Role:
    if role not in ROLES:
        raise InvalidInput("The role is admin, lead, viewer or expert.", field="role")
    return role


def add_member(
    session: Session,
    project_id: int,
    user_id: int,
    role: str,
    *,
    by_user_id: int | None = None,
    now: datetime | None = None,
) -> Membership:
    """Make someone a member, or let a former one back in. Someone who is a member keeps the higher of the two roles.

    Whoever comes back as an expert and has seen the model's labels is let in, and the log says so.
    """
    role, now = check_role(role), now or utcnow()
    member = _membership(session, project_id, user_id)
    if member is None:
        member = Membership(project_id=project_id, user_id=user_id, role=role, created_at=now)
        session.add(member)
    elif member.removed_at is not None:
        member.role, member.removed_at = role, None
    elif RANKS[role] > RANKS[cast(Role, member.role)]:
        member.role = role
    session.flush()
    saw = member.role == "expert" and user_id in sight.saw_model(session, project_id, [user_id])
    detail: dict[str, Any] = {"role": member.role} | ({"saw_model": True} if saw else {})
    _record_member(session, "member.added", member, by_user_id or user_id, **detail)
    return member


def change_role(
    session: Session, project_id: int, user_id: int, role: str, *, by_user_id: int | None, although_seen: bool = False
) -> None:
    """Raises NotFound for someone who is no member, Conflict for the last admin, and Conflict (field ``seen``) for
    making an expert of someone who has seen the model's labels, unless that is meant (``although_seen``, logged).

    Open invitations that an admin made end when they are none any more."""
    member, role = _present_member(session, project_id, user_id), check_role(role)
    if member.role == "admin" and role != "admin":
        _require_another_admin(session, project_id, user_id)
    saw = role == "expert" and user_id in sight.saw_model(session, project_id, [user_id])
    if saw and not although_seen:
        raise Conflict(
            "This person has been able to see the model's labels in this project, so they can't answer blind any more. "
            "Confirm it on the page People if they are to answer all the same.",
            field="seen",
        )
    ended = _end_invitations(session, member) if role != "admin" else {}
    member.role = role
    session.flush()
    detail: dict[str, Any] = {"role": role} | ({"saw_model": True} if saw else {}) | ended
    _record_member(session, "member.role_changed", member, by_user_id, **detail)


def remove_member(
    session: Session, project_id: int, user_id: int, *, by_user_id: int, now: datetime | None = None
) -> None:
    """Their answers stay; they can no longer open the project, and the open invitations that they made into it end.
    Raises NotFound, or Conflict for the last admin."""
    member = _present_member(session, project_id, user_id)
    if member.role == "admin":
        _require_another_admin(session, project_id, user_id)
    ended = _end_invitations(session, member, now=now)
    member.removed_at = now or utcnow()
    session.flush()
    _record_member(session, "member.removed", member, by_user_id, **ended)


def _end_invitations(session: Session, member: Membership, now: datetime | None = None) -> dict[str, Any]:
    """For the audit log: which ended."""
    ended = links.end_invitations_by(session, member.user_id, member.project_id, now=now)
    return {"invitations_ended": ended} if ended else {}


def _record_member(session: Session, action: str, member: Membership, by_user_id: int | None, **detail: Any) -> None:
    """The address tells a reader who it is about; the id is what ``sight`` goes by."""
    email = session.get_one(User, member.user_id).email
    about: dict[str, Any] = {"project_id": member.project_id, "subject": email, "member": member.user_id}
    audit.record(session, action, user_id=by_user_id, **about, **detail)


def members(session: Session, project_id: int) -> list[tuple[User, Membership]]:
    """Present members, admins first, then by name."""
    query = (
        select(User, Membership)
        .join(Membership, Membership.user_id == User.id)
        .where(Membership.project_id == project_id, Membership.removed_at.is_(None))
        .order_by(Membership.role, func.lower(User.name), User.id)
    )
    return [(user, member) for user, member in session.execute(query)]


def projects_of(session: Session, user: User) -> list[tuple[Project, Role]]:
    """Every project this user may open with their role in it, by name. A site admin sees them all."""
    mine = and_(Membership.project_id == Project.id, Membership.user_id == user.id, Membership.removed_at.is_(None))
    query = select(Project, Membership.role).join(Membership, mine, isouter=user.is_site_admin)
    query = query.where(Project.deleted_at.is_(None)).order_by(func.lower(Project.name), Project.id)
    return [(project, "admin" if user.is_site_admin else cast(Role, role)) for project, role in session.execute(query)]


def _membership(session: Session, project_id: int, user_id: int) -> Membership | None:
    return session.scalar(select(Membership).where(Membership.project_id == project_id, Membership.user_id == user_id))


def present_member(session: Session, project_id: int, user_id: int) -> User:
    """Raises NotFound for someone who is no member of this project, or no longer."""
    _present_member(session, project_id, user_id)
    return session.get_one(User, user_id)


def _present_member(session: Session, project_id: int, user_id: int) -> Membership:
    member = _membership(session, project_id, user_id)
    if member is None or member.removed_at is not None:
        raise NotFound("That person is not a member of this project.")
    return member


def _require_another_admin(session: Session, project_id: int, user_id: int) -> None:
    # Locking the admins' rows makes two admins who remove each other at once wait for one another on Postgres.
    # SQLite's writers exclude each other anyway.
    admins = session.scalars(
        select(Membership.user_id)
        .where(Membership.project_id == project_id, Membership.role == "admin", Membership.removed_at.is_(None))
        .order_by(Membership.id)
        .with_for_update()
    ).all()
    if all(admin == user_id for admin in admins):
        raise Conflict("A project needs an admin: make someone else admin first.")


def _changed(session: Session, statement: Any) -> int:
    return cast(CursorResult[Any], session.execute(statement)).rowcount
