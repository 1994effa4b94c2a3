"""Your own account: name, preferences, browsers that are signed in, API tokens.

A password is not changed here: whoever found a token could guess the present one with it, or set one where there is
none, and so turn a token that ends into an account that doesn't.
"""

from datetime import datetime
from typing import Any

from fastapi import status
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from app.db.tables import User
from app.errors import InvalidInput
from app.services import accounts, preferences
from app.services.accounts import Scope
from app.services.preferences import Preferences
from app.web.api.common import Id, api_router
from app.web.api.schemas import Body, Given
from app.web.deps import ReadSession, SignedIn, WriteSession
from app.web.i18n import LANGUAGES

router = api_router("Account", "/account")


class Prefs(Given):
    language: str | None = Field(description="Null: as the browser asks.")
    keys: dict[str, str] = Field(description="Of the labelling page, by what they do.")
    break_minutes: int = Field(description="A break is suggested after so long; 0: never.")
    swipe: bool
    notify: bool
    email_when_work: bool


class Account(BaseModel):
    name: str
    email: str
    is_site_admin: bool
    has_password: bool = Field(description="Without one you sign in by link or single sign-on.")
    preferences: Prefs


class NewName(Body):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"name": "Grace Hopper"}]})

    name: str = Field(max_length=200)


class NewPrefs(Body):
    """What is left out stays as it is."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"language": "de", "keys": {"skip": "x"}, "break_minutes": 60}]},
    )

    language: str | None = Field(None, max_length=10, description="Null: as the browser asks.")
    keys: dict[str, str] = Field(default_factory=dict, description="Those that shall differ from the default.")
    break_minutes: int = Field(45, ge=0, le=240)
    swipe: bool = False
    notify: bool = False
    email_when_work: bool = True


class SignIn(BaseModel):
    id: int
    browser: str = Field(description="As it names itself.")
    created_at: datetime
    expires_at: datetime
    current: bool = Field(description="The one that asks.")


class Ended(BaseModel):
    ended: int


class Token(Given):
    id: int
    name: str
    hint: str = Field(description="Its first characters.")
    scopes: list[Scope] = Field(description="What it is limited to; empty: nothing.")
    made_by_id: int | None = Field(description="The token that made it, with which it ends.")
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the hour.")
    expires_at: datetime | None = Field(description="Null: it lasts until it is revoked.")


class NewToken(Body):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"name": "nightly export", "days": 30, "scopes": ["read"]}]}
    )

    name: str = Field(max_length=100)
    days: int | None = Field(90, ge=1, le=3650, description="Null: until it is revoked.")
    scopes: list[Scope] = Field(
        default_factory=list, max_length=3, description="Empty: all that what you ask with may."
    )


class MadeToken(Token):
    token: str = Field(description="In this answer alone: only its hash is kept.")


@router.get("", summary="Your account")
def show_account(access: SignedIn) -> Account:
    return _account(access.user)


def _account(user: User) -> Account:
    return Account(
        name=user.name,
        email=user.email,
        is_site_admin=user.is_site_admin,
        has_password=user.password_hash is not None,
        preferences=_prefs(preferences.get(user), user.locale),
    )


def _prefs(found: Preferences, language: str | None) -> Prefs:
    return Prefs.model_validate(found.model_dump() | {"language": language, "keys": found.all_keys})


@router.post("/name", summary="Change your name")
def rename_account(access: SignedIn, session: WriteSession, body: NewName) -> Account:
    accounts.rename(session, access.user.id, body.name)
    return _account(session.get_one(User, access.user.id, populate_existing=True))


@router.post("/preferences", summary="Change how you like your pages")
def change_preferences(access: SignedIn, session: WriteSession, body: NewPrefs) -> Prefs:
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    if "language" in changes:
        language = changes.pop("language")
        if language is not None and language not in LANGUAGES:
            raise InvalidInput(f"There is no such language; there are {', '.join(LANGUAGES)}.", field="language")
        preferences.speak(session, access.user, language)
    saved = preferences.update(session, access.user, **changes)
    return _prefs(saved, session.get_one(User, access.user.id).locale)


@router.get("/sessions", summary="Browsers in which you are signed in")
def list_sessions(access: SignedIn, session: ReadSession) -> list[SignIn]:
    return _sessions(session, access)


def _sessions(session: Session, access: SignedIn) -> list[SignIn]:
    return [
        SignIn(
            id=row.id,
            browser=row.user_agent,
            created_at=row.created_at,
            expires_at=row.expires_at,
            current=row.id == access.session_id,
        )
        for row in accounts.active_sessions(session, access.user.id)
    ]


@router.post("/sessions/{session_id}/revoke", summary="Sign a browser out")
def revoke_sign_in(access: SignedIn, session: WriteSession, session_id: Id) -> list[SignIn]:
    accounts.revoke_session(session, access.user.id, session_id)
    return _sessions(session, access)


@router.post("/sessions/revoke-others", summary="Sign out everywhere else")
def revoke_other_sign_ins(access: SignedIn, session: WriteSession) -> Ended:
    """Every browser but the one that asks."""
    return Ended(ended=accounts.revoke_all_sessions(session, access.user.id, keep=access.session_id))


@router.get("/tokens", summary="Your API tokens")
def list_tokens(access: SignedIn, session: ReadSession) -> list[Token]:
    return _tokens(session, access)


def _tokens(session: Session, access: SignedIn) -> list[Token]:
    return [Token.model_validate(row) for row in accounts.api_tokens(session, access.user.id)]


@router.post("/tokens", summary="Make an API token", status_code=status.HTTP_201_CREATED)
def make_token(access: SignedIn, session: WriteSession, body: NewToken) -> MadeToken:
    """What a token makes may do no more than that one, expires no later whatever `days` says, and ends with it."""
    token, row = accounts.create_api_token(
        session, access.user.id, body.name, days=body.days, scopes=body.scopes, by=access.token
    )
    return MadeToken(**Token.model_validate(row).model_dump(), token=token)


@router.post("/tokens/{token_id}/revoke", summary="Revoke an API token")
def revoke_token(access: SignedIn, session: WriteSession, token_id: Id) -> list[Token]:
    """And those that it has made. Those that are left come back."""
    accounts.revoke_api_token(session, access.user.id, token_id)
    return _tokens(session, access)
