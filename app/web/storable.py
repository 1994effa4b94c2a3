"""What no database, JSON or stack has room for is refused before anything is done with it.

Postgres can't hold a NUL character, and no text file half of a surrogate pair. Without this, such a request would fail
as if the server were at fault, and the labelling page sends what fails so again for ever, ahead of what comes after.
"""

import math
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, model_validator
from starlette.datastructures import UploadFile

from app.errors import InvalidInput
from app.web.security import SAFE_METHODS, is_form

T = TypeVar("T")
_DEEPEST = 20
_LARGEST_NUMBER = 2**63


def check_storable(value: Any, depth: int = 0) -> None:
    """Raises ValueError for what can't be stored, at any depth of a parsed body."""
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} deep")
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError("it holds a number that is not finite")
    elif isinstance(value, int) and abs(value) >= _LARGEST_NUMBER:
        raise ValueError("it holds a number that is too large")
    elif isinstance(value, dict | list):
        for part in [*value, *value.values()] if isinstance(value, dict) else value:
            check_storable(part, depth + 1)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it holds half of a surrogate pair")


def storable(value: T) -> T:
    """The value, where it can be stored; raises ValueError as ``check_storable`` does."""
    check_storable(value)
    return value


class Storable(BaseModel):
    """What a request brings. It is checked as a whole first, so that no error message has to quote such a value."""

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, values: Any) -> Any:
        return storable(values)


async def refuse_unstorable_form(request: Request) -> None:
    """A dependency of every route: raises InvalidInput for a form with such a text, whichever field it is in."""
    if request.method in SAFE_METHODS or not is_form(request):
        return
    for name, value in (await request.form()).multi_items():
        text = value.filename or "" if isinstance(value, UploadFile) else value
        try:
            check_storable([name, text])
        except ValueError as error:
            field = name.encode(errors="replace").decode().replace("\0", "")
            raise InvalidInput("A NUL character or half a character can't be stored.", field=field) from error
