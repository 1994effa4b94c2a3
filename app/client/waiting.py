"""Waiting for what a worker does."""

import time
from collections.abc import Callable
from typing import TypeVar

from app.client.operations import Operations
from app.client.schemas import BaselineState, DryRunDetail, ImportState, RoundDetail

T = TypeVar("T")
Job = TypeVar("Job", ImportState, BaselineState, DryRunDetail)


class Stopped(Exception):
    """What was waited for has failed or was cancelled; the message says why, ``last`` is how it was last seen."""

    def __init__(self, message: str, last: ImportState | BaselineState | DryRunDetail | RoundDetail) -> None:
        super().__init__(message)
        self.last = last


def wait_for_import(
    client: Operations, slug: str, import_id: int, *, seconds: float = 600.0, every: float = 1.0
) -> ImportState:
    """The import once it is done. Raises Stopped when it failed, and TimeoutError after ``seconds``."""
    state = _ended(lambda: client.show_import(slug, import_id), "import", seconds, every)
    if state["state"] == "failed":
        raise Stopped(state["errors"][0]["message"] if state["errors"] else "The import failed.", state)
    return state


def wait_for_baseline(
    client: Operations, slug: str, baseline_id: int, *, seconds: float = 600.0, every: float = 1.0
) -> BaselineState:
    """The baseline once it is done. Raises Stopped when it failed, and TimeoutError after ``seconds``."""
    state = _ended(lambda: client.show_baseline(slug, baseline_id), "baseline", seconds, every)
    if state["state"] == "failed":  # of the rows' problems before it, none is the reason
        raise Stopped(state["errors"][-1]["message"] if state["errors"] else "The baseline failed.", state)
    return state


def wait_for_dry_run(
    client: Operations, slug: str, run_id: int, *, seconds: float = 600.0, every: float = 1.0
) -> DryRunDetail:
    """The dry run once it is done. Raises Stopped when it failed, and TimeoutError after ``seconds``."""
    run = _ended(lambda: client.show_dry_run(slug, run_id), "dry run", seconds, every)
    if run["state"] == "failed":
        raise Stopped(run["error"] or "The dry run failed.", run)
    return run


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


def _ended(look: Callable[[], Job], name: str, seconds: float, every: float) -> Job:
    return _watch(
        look,
        lambda seen: seen["state"] in ("done", "failed"),
        lambda seen: f"After {seconds:g} s the {name} is still {seen['state']}.",
        (seconds, every),
    )


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
