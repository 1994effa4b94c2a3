"""Ways to choose the items of a round, by name. A strategy sees arrays and a Generator, and says why it chose."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from app.curation.arrays import AnyArray, Bools, Floats, Ints
from app.curation.pairs import Pairs, mine_pairs, no_pairs
from app.errors import InvalidInput


@dataclass(frozen=True)
class History:
    """What earlier rounds decided, one row an item with a consensus label, oldest round first; arrays (m,).

    ``items`` are ordinals and ``labels`` consensus labels; ``rounds`` counts from 1; ``trained`` marks the
    fine-tuning split, so that a strategy which reads labels can leave the evaluation set alone; ``propensities`` is
    nan for a mined item, else its chance of being drawn for the control slice.
    """

    items: Ints
    labels: Ints
    rounds: Ints
    trained: Bools
    propensities: Floats

    def __len__(self) -> int:
        return len(self.items)


def no_history() -> History:
    none = np.zeros(0, dtype=np.int64)
    return History(none, none, none, none.astype(np.bool_), none.astype(np.float64))


@dataclass(frozen=True)
class Pool:
    """What a strategy may look at: embeddings (n, dim), the model's labels (n,) and scores (n, labels) or (n,)
    for the label given, which items may be chosen (n,), what earlier rounds decided, and the pre-labeller's labels
    (n,), -1 for none, where they are known."""

    embeddings: AnyArray
    labels: Ints
    scores: AnyArray
    eligible: Bools
    history: History = field(default_factory=no_history)
    prelabels: Ints | None = None


@dataclass(frozen=True)
class Choice:
    """Chosen ordinals with a JSON-able detail for each; ``note`` says why there are fewer than asked for, or ""."""

    items: Ints
    details: list[dict[str, Any]]
    pairs: Pairs
    note: str = ""


Strategy = Callable[[Pool, int, np.random.Generator], Choice]


def boundary(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Whole boundary pairs: at most ``n_items // 2`` of them."""
    pairs = mine_pairs(pool.embeddings, pool.labels, pool.eligible, n_items // 2, rng)
    items = np.column_stack([pairs.left, pairs.right]).ravel()
    return Choice(items, [detail for k in range(len(pairs)) for detail in _pair_details(pairs, k)], pairs, pairs.note)


def random(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Items drawn with equal chance: what any other strategy has to beat."""
    free = np.flatnonzero(pool.eligible)
    items = rng.choice(free, min(n_items, len(free)), replace=False)
    return Choice(items, [{} for _ in items], no_pairs(), _shortage(len(items), n_items))


def margin(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Items whose two best scores differ least (Scheffer, Decomain & Wrobel 2001); ties fall at random."""
    free = rng.permutation(np.flatnonzero(pool.eligible))
    margins = _margins(pool.scores, free)
    order = np.argsort(margins, kind="stable")[:n_items]
    details: list[dict[str, Any]] = [{"margin": float(value)} for value in margins[order]]
    return Choice(free[order], details, no_pairs(), _shortage(len(order), n_items))


STRATEGIES: dict[str, Strategy] = {"boundary": boundary, "random": random, "margin": margin}
PAIRED = frozenset({"boundary"})
"""Strategies that choose whole pairs."""


def strategy(name: str) -> Strategy:
    """The strategy of that name; InvalidInput if there is none."""
    if name not in STRATEGIES:
        raise InvalidInput(f"There is no strategy {name}; choose {', '.join(STRATEGIES)}.", field="strategy")
    return STRATEGIES[name]


def _margins(scores: AnyArray, items: Ints) -> Floats:
    """Best score less the next; with only the given label's score, the score itself orders as well."""
    chosen = np.asarray(scores[items], dtype=np.float64)
    if chosen.ndim == 1:
        return chosen
    if chosen.shape[1] < 2:
        return np.ones(len(items))
    top = np.partition(chosen, -2, axis=1)
    margins: Floats = top[:, -1] - top[:, -2]
    return margins


def _pair_details(pairs: Pairs, k: int) -> list[dict[str, Any]]:
    shared = {
        "similarity": float(pairs.similarity[k]),
        "clusters": [int(pairs.left_cluster[k]), int(pairs.right_cluster[k])],
        "labels": [int(pairs.left_label[k]), int(pairs.right_label[k])],
    }
    return [{"partner": int(pairs.right[k]), **shared}, {"partner": int(pairs.left[k]), **shared}]


def _shortage(found: int, asked: int) -> str:
    return "" if found >= asked else f"Only {found} of {asked} items were left to choose from."
