"""How a person likes their pages: kept with the account, so that it follows them to another computer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy.orm import Session

from app.db.tables import User
from app.errors import InvalidInput

ACTIONS = ("undo", "skip", "flag", "note", "history", "search", "expand")
LABEL_ACTIONS = tuple(f"label{number}" for number in range(1, 10))
DEFAULT_KEYS = {
    "undo": "u",
    "skip": "s",
    "flag": "f",
    "note": "n",
    "history": "h",
    "search": "/",
    "expand": "e",
} | {action: action.removeprefix("label") for action in LABEL_ACTIONS}
_RESERVED = {"?", " ", "Enter", "Escape", "Tab"}


class Preferences(BaseModel):
    model_config = ConfigDict(extra="ignore")

    keys: dict[str, str] = Field(default_factory=dict, description="Only those that differ from the default.")
    break_minutes: int = Field(45, ge=0, le=240, description="Suggest a break after so long; 0: never.")
    swipe: bool = Field(False, description="On a touch screen, a swipe answers where there are two labels.")
    notify: bool = Field(False, description="A browser notification when there is work, while the page is open.")
    email_when_work: bool = True
    guidelines_seen: dict[str, int] = Field(
        default_factory=dict, description="By project, the version of whose changes the person has been told."
    )

    @field_validator("keys")
    @classmethod
    def _one_action_each(cls, keys: dict[str, str]) -> dict[str, str]:
        unknown = set(keys) - set(DEFAULT_KEYS)
        if unknown:
            raise ValueError(f"there is no action '{sorted(unknown)[0]}'")
        used: dict[str, str] = {}
        for action, key in (DEFAULT_KEYS | keys).items():
            if len(key) != 1 or key in _RESERVED or not key.isprintable():
                raise ValueError(f"'{key}' can't be a key: use a letter, a digit or a sign")
            if key in used:
                raise ValueError(f"the key '{key}' would have two meanings")
            used[key] = action
        return {action: key for action, key in keys.items() if key != DEFAULT_KEYS[action]}

    @property
    def all_keys(self) -> dict[str, str]:
        return DEFAULT_KEYS | self.keys


def get(user: User) -> Preferences:
    """What the user has set; what was stored by another version and is no longer valid counts as not set."""
    try:
        return Preferences.model_validate(user.preferences or {})
    except ValidationError:
        return Preferences()


def update(session: Session, user: User, **changes: Any) -> Preferences:
    """Raises InvalidInput naming the preference; nothing has changed then."""
    try:
        preferences = Preferences.model_validate((user.preferences or {}) | changes)
    except ValidationError as error:
        first = error.errors()[0]
        message = str(first["msg"]).removeprefix("Value error, ")
        raise InvalidInput(f"{message[:1].upper()}{message[1:]}.", field=str(first["loc"][0])) from error
    session.get_one(User, user.id).preferences = preferences.model_dump()
    session.flush()
    return preferences


def speak(session: Session, user: User, locale: str | None) -> None:
    """The language of the user's pages; None leaves it to their browser."""
    session.get_one(User, user.id).locale = locale
    session.flush()
