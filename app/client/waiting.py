"""Waiting for what a worker does."""

import time
from collections.abc import Callable
from typing import TypeVar

from app.client.operations import Operations
from app.client.schemas import ImportState, RoundDetail

T = TypeVar("T")


class Stopped(Exception):
    """What was waited for has failed or was cancelled; the message says why, ``last`` is how it was last seen."""

    def __init__(self, message: str, last: ImportState | RoundDetail) -> None:
        super().__init__(message)
        self.last = last


def wait_for_import(
    client: Operations, slug: str, import_id: int, *, seconds: float = 600.0, every: float = 1.0
) -> ImportState:
    """The import once it is done. Raises Stopped when it failed, and TimeoutError after ``seconds``."""
    state = _watch(
        lambda: client.show_import(slug, import_id),
        lambda seen: seen["state"] in ("done", "failed"),
        lambda seen: f"After {seconds:g} s the import is still {seen['state']}.",
        (seconds, every),
    )
    if state["state"] == "failed":
        reason = state["errors"][0]["message"] if state["errors"] else "The import failed."
        raise Stopped(reason, state)
    return state


def wait_for_round(
    client: Operations, slug: str, number: int, *states: str, seconds: float = 3600.0, every: float = 1.0
) -> RoundDetail:
    """The round once it is in one of ``states`` (of none given: ``done``).

    On its way to ``done`` it may stand at ``adjudicating`` until somebody has decided the ties.
    Raises Stopped when it ends in another state, and TimeoutError after ``seconds``.
    """
    wanted = states or ("done",)
    ends = (*wanted, "done", "failed", "cancelled")
    round_ = _watch(
        lambda: client.show_round(slug, number),
        lambda seen: seen["state"] in ends,
        lambda seen: f"After {seconds:g} s round {number} is still {seen['state']}.",
        (seconds, every),
    )
    if round_["state"] not in wanted:
        raise Stopped(round_["error"] or f"Round {number} is {round_['state']}.", round_)
    return round_


def _watch(
    look: Callable[[], T], is_over: Callable[[T], bool], late: Callable[[T], str], patience: tuple[float, float]
) -> T:
    seconds, every = patience
    until = time.monotonic() + seconds
    while not is_over(seen := look()):
        if time.monotonic() >= until:
            raise TimeoutError(late(seen))
        time.sleep(every)
    return seen
