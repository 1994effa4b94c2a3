"""Errors that a person may read: each class carries its HTTP status and is turned into a page in one place."""

from collections.abc import Mapping
from typing import Any


class LinecallError(Exception):
    """Base of every error that is meant for a user.

    ``message`` is one plain sentence in English; ``detail`` is JSON-serialisable and says which field or row. A
    sentence with ``%(name)s`` in it is filled in from ``values``, which are kept apart, so that a page can say the
    same in another language.
    """

    status = 400

    def __init__(self, message: str, *, values: Mapping[str, Any] | None = None, **detail: Any) -> None:
        self.template = message
        self.values = values
        self.message = message % values if values else message
        super().__init__(self.message)
        self.detail = detail


class InvalidInput(LinecallError):
    """What was sent can't be used; ``field`` or ``row`` in ``detail`` says where."""

    status = 422


class NotSignedIn(LinecallError):
    status = 401


class Forbidden(LinecallError):
    status = 403


class NotFound(LinecallError):
    """The thing is not there, or this person may not know that it is."""

    status = 404


class Conflict(LinecallError):
    """The request was fine once, but the state has moved on."""

    status = 409


class Gone(LinecallError):
    """A link or token that was valid and no longer is."""

    status = 410


class TooLarge(LinecallError):
    status = 413


class TooManyRequests(LinecallError):
    """Enough of this waits already; later it will be taken."""

    status = 429


class Unavailable(LinecallError):
    """A part that is not installed or not reachable; the message says how to get it."""

    status = 503


class RoundCancelled(LinecallError):
    """Raised inside a worker when an admin has cancelled the round it is working on."""

    status = 409


class RoundPaused(RoundCancelled):
    """Raised inside a worker when an admin has paused it; a workflow of its own takes it up again."""
