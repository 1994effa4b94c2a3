"""Ways to choose the items of a round, by name. A strategy sees arrays and a Generator, and says why it chose."""

from typing import Any

import numpy as np

from app.curation.adaptive import adapt
from app.curation.arrays import AnyArray, Floats, Ints
from app.curation.choosing import RANDOM, Choice, History, Pool, Strategy, mix, no_history, shortage
from app.curation.diversity import spread
from app.curation.margins import margins
from app.curation.pairs import Pairs, mine_pairs, no_pairs
from app.errors import InvalidInput

__all__ = ["PAIRED", "STRATEGIES", "Choice", "History", "Pool", "Strategy", "no_history", "strategy"]

CANDIDATES = 8
"""Of how many times as many uncertain items a diverse choice is made."""
LIKELY_CANDIDATES = 4
LARGEST_LIKELY = 0.5
"""Of a round, at most."""
ENOUGH_LABELS = 10
"""Fine-tuning labels of every kind that end the exploring: as many as the engines need to choose a threshold."""
MOST_EXPLORING_ROUNDS = 3


def boundary(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Whole boundary pairs: at most ``n_items // 2`` of them."""
    pairs = mine_pairs(pool.embeddings, pool.labels, pool.eligible, n_items // 2, rng)
    items = np.column_stack([pairs.left, pairs.right]).ravel()
    return Choice(items, [detail for k in range(len(pairs)) for detail in _pair_details(pairs, k)], pairs, pairs.note)


def random(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Items drawn with equal chance: what any other strategy has to beat."""
    free = np.flatnonzero(pool.eligible)
    items = rng.choice(free, min(n_items, len(free)), replace=False)
    return Choice(items, [{} for _ in items], no_pairs(), shortage(len(items), n_items))


def margin(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Items that lie nearest to where the model would change its label; ties fall at random."""
    return _with_margins(*_least_sure(pool, n_items, rng), n_items)


def margin_diverse(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Of the items that the model is least sure of, those that lie far apart (after Zhdanov 2019)."""
    items, distances = _least_sure(pool, CANDIDATES * n_items, rng)
    kept = spread(pool.embeddings, items, n_items, rng)
    return _with_margins(items[kept], distances[kept], n_items)


def likely(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Items with the highest scores of the rarer labels, far apart: most of a rare label's items are never seen by
    chance. Rare is what the model gives less often than its most frequent label; such labels share evenly."""
    scores = _scores_by_label(pool)
    given = np.bincount(pool.labels[pool.eligible & (pool.labels >= 0)], minlength=scores.shape[1])
    rare = np.delete(np.arange(len(given)), given.argmax())
    items, details = [np.zeros(0, dtype=np.int64)], list[dict[str, Any]]()
    for number, label in enumerate(rare):
        share = -(-(n_items - len(details)) // (len(rare) - number))
        free = rng.permutation(np.flatnonzero(pool.eligible))
        top = free[np.argsort(-scores[free, label], kind="stable")[: LIKELY_CANDIDATES * share]]
        found = top[spread(pool.embeddings, top, share, rng)]
        pool = pool.without(found)
        items.append(found)
        details += [{"label": int(label), "score": float(scores[item, label])} for item in found]
    return Choice(np.concatenate(items), details, no_pairs(), shortage(len(details), n_items))


def hybrid(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """Likely items of the rarer labels, as long as the fine-tuning labels are uneven; of the rest, what the model is
    least sure of as far as the pool is uneven, and what chance brings.

    While labels are few the rest is all drawn at random: a model that has seen only likely items knows little of the
    others, and a threshold needs them. Where no label is rare chance shows enough of each, and the items that a model
    is least sure of are mostly those on which experts differ, so that few or none of them are asked for.
    """
    found = round(LARGEST_LIKELY * _lack(pool) * n_items)
    unsure = round(_rarity(pool) * (n_items - found)) if explored(pool) else 0
    parts = [("likely", likely, found), ("margin", margin_diverse, unsure), (RANDOM, random, n_items - found - unsure)]
    return mix(pool, parts, rng)


def adaptive(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
    """The hybrid, but once explored, a share of the round is drawn at random, which the measured gain of mining
    decides."""
    if not explored(pool):
        return hybrid(pool, n_items, rng)
    return adapt(pool, n_items, rng, mined=hybrid, random=random)


STRATEGIES: dict[str, Strategy] = {
    "boundary": boundary,
    "random": random,
    "margin": margin,
    "margin_diverse": margin_diverse,
    "hybrid": hybrid,
    "adaptive": adaptive,
}
PAIRED = frozenset({"boundary"})
"""Strategies that choose whole pairs."""


def strategy(name: str) -> Strategy:
    """The strategy of that name; InvalidInput if there is none."""
    if name not in STRATEGIES:
        raise InvalidInput(f"There is no strategy {name}; choose {', '.join(STRATEGIES)}.", field="strategy")
    return STRATEGIES[name]


def explored(pool: Pool) -> bool:
    """Whether the fine-tuning set has enough items of every label, or enough rounds have looked for them: there may
    be a label that no text deserves."""
    if pool.history.rounds.max(initial=0) >= MOST_EXPLORING_ROUNDS:
        return True
    labels = pool.history.labels[pool.history.trained]
    counts = np.bincount(labels, minlength=_label_count(pool))
    return bool(counts.min() >= ENOUGH_LABELS)


def _lack(pool: Pool) -> float:
    """How uneven the fine-tuning labels are, from 0 to 1; while there are none, how uneven the pool seems to be."""
    labels = pool.history.labels[pool.history.trained]
    return unevenness(np.bincount(labels, minlength=_label_count(pool))) if len(labels) else _rarity(pool)


def _rarity(pool: Pool) -> float:
    """How uneven the model's labels of the pool are, twice over: a label is rare where it has a quarter of the items
    of two, as much as where it has none, since models overrate what is rare."""
    given = pool.labels[pool.eligible & (pool.labels >= 0)]
    return min(1.0, 2 * unevenness(np.bincount(given, minlength=_label_count(pool))))


def unevenness(counts: Ints) -> float:
    """What the labels lack of even shares, over the most that they could lack: 0 where all are as frequent, 1 where
    there is one label only. The distance in total variation from the uniform distribution, scaled."""
    if not counts.sum():
        return 0.0
    even = 1 / len(counts)
    return float(np.maximum(0, even - counts / counts.sum()).sum() / max(1 - even, even))


def _label_count(pool: Pool) -> int:
    return int(pool.scores.shape[1]) if pool.scores.ndim == 2 else int(pool.labels.max(initial=0)) + 1


def _scores_by_label(pool: Pool) -> AnyArray:
    """Scores (n, labels). Where only the given label's score is known, other labels share what it leaves."""
    if pool.scores.ndim == 2:
        return pool.scores
    labels = max(_label_count(pool), 2)
    scores = np.repeat((1 - pool.scores)[:, None] / (labels - 1), labels, axis=1)
    scores[np.arange(len(scores)), pool.labels] = pool.scores
    return scores


def _least_sure(pool: Pool, n_items: int, rng: np.random.Generator) -> tuple[Ints, Floats]:
    """At most ``n_items`` eligible items of least margin, and their margins."""
    free = rng.permutation(np.flatnonzero(pool.eligible))
    distances = margins(pool.scores, pool.labels, free)
    order = np.argsort(distances, kind="stable")[:n_items]
    return free[order], distances[order]


def _with_margins(items: Ints, distances: Floats, asked: int) -> Choice:
    details: list[dict[str, Any]] = [{"margin": float(value)} for value in distances]
    return Choice(items, details, no_pairs(), shortage(len(items), asked))


def _pair_details(pairs: Pairs, k: int) -> list[dict[str, Any]]:
    shared = {
        "similarity": float(pairs.similarity[k]),
        "clusters": [int(pairs.left_cluster[k]), int(pairs.right_cluster[k])],
        "labels": [int(pairs.left_label[k]), int(pairs.right_label[k])],
    }
    return [{"partner": int(pairs.right[k]), **shared}, {"partner": int(pairs.left[k]), **shared}]
