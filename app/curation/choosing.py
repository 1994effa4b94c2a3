"""What every strategy takes and gives back, and how choices are put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from app.curation.arrays import AnyArray, Bools, Floats, Ints
from app.curation.pairs import Pairs, no_pairs

RANDOM = "random"
"""The reason of an item that chance alone chose, to train on."""


@dataclass(frozen=True)
class History:
    """What earlier rounds decided, one row an item with a consensus label, oldest round first; arrays (m,).

    ``items`` are ordinals and ``labels`` consensus labels; ``rounds`` counts from 1; ``trained`` marks the
    fine-tuning split, so that a strategy which reads labels can leave the evaluation set alone; ``propensities`` is
    nan for a mined item, else its chance of being drawn for the control slice; ``reasons`` says what chose each, and
    is empty where that is not known.
    """

    items: Ints
    labels: Ints
    rounds: Ints
    trained: Bools
    propensities: Floats
    reasons: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.items)


def no_history() -> History:
    none = np.zeros(0, dtype=np.int64)
    return History(none, none, none, none.astype(np.bool_), none.astype(np.float64))


@dataclass(frozen=True)
class Pool:
    """What a strategy may look at: embeddings (n, dim), the model's labels (n,) and scores (n, labels) or (n,)
    for the label given, which items may be chosen (n,), and what earlier rounds decided."""

    embeddings: AnyArray
    labels: Ints
    scores: AnyArray
    eligible: Bools
    history: History = field(default_factory=no_history)

    def without(self, items: Ints) -> "Pool":
        """The pool with these items no longer eligible."""
        eligible = self.eligible.copy()
        eligible[items] = False
        return replace(self, eligible=eligible)


@dataclass(frozen=True)
class Choice:
    """Chosen ordinals with a JSON-able detail for each; ``note`` says why there are fewer than asked for, or "".

    ``reasons`` names the part of a mixed strategy that chose each item; empty where the strategy has but one.
    """

    items: Ints
    details: list[dict[str, Any]]
    pairs: Pairs
    note: str = ""
    reasons: list[str] = field(default_factory=list)


Strategy = Callable[[Pool, int, np.random.Generator], Choice]


def mix(pool: Pool, parts: Sequence[tuple[str, Strategy, int]], rng: np.random.Generator) -> Choice:
    """The choices of several strategies, one after the other and no item twice; a part is (reason, strategy, number
    of items). What one part cannot give, the next is asked for. The parts may not choose pairs."""
    choices: list[Choice] = []
    reasons: list[str] = []
    missing = 0
    for reason, choose, wanted in parts:
        choice = choose(pool, wanted + missing, rng)
        missing += wanted - len(choice.items)
        pool = pool.without(choice.items)
        choices.append(choice)
        reasons += choice.reasons or [reason] * len(choice.items)
    items = np.concatenate([np.zeros(0, dtype=np.int64), *(choice.items for choice in choices)])
    details = [detail for choice in choices for detail in choice.details]
    return Choice(items, details, no_pairs(), shortage(len(items), len(items) + missing), reasons)


def shortage(found: int, asked: int) -> str:
    return "" if found >= asked else f"Only {found} of {asked} items were left to choose from."
