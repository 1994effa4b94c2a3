"""Passwords: argon2id hashes, and nothing else that could be stored."""

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.errors import InvalidInput

SHORTEST = 10
LONGEST = 200

# OWASP's second choice (19 MiB, two passes, one lane): about 30 ms and cheap enough in memory to run a few at once.
_hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

# Each hash takes 19 MiB: a burst of sign-ins waits here rather than filling the memory.
_slots = threading.BoundedSemaphore(4)


def check_strength(password: str) -> None:
    """Raises InvalidInput (field ``password``). Length is what counts, so there are no rules about symbols."""
    if len(password) < SHORTEST:
        raise InvalidInput("Use at least %(n)s characters.", values={"n": SHORTEST}, field="password")
    if len(password) > LONGEST:
        raise InvalidInput("Use at most %(n)s characters.", values={"n": LONGEST}, field="password")
    if len(set(password)) < 4:
        raise InvalidInput("Use more than three different characters.", field="password")


def hash_password(password: str) -> str:
    """Slow by design: call it before the first statement of a write transaction, never within one."""
    check_strength(password)
    with _slots:
        return _hasher.hash(password)


def verify(password_hash: str | None, password: str) -> bool:
    """Whether they match. Takes the same time when there is no hash, so that timing tells nobody who has an account."""
    with _slots:
        try:
            return _hasher.verify(password_hash or _nobody(), password[: LONGEST + 1]) and password_hash is not None
        except (VerificationError, InvalidHashError):
            return False


@cache
def _nobody() -> str:
    return _hasher.hash("a password that nobody has")
