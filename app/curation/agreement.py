"""Agreement between experts, and between a model and experts; every figure with n and a 95 % interval.

Ratings are int arrays (items, experts) of label indices with -1 where an expert gave no answer; a model's labels
are (items,) likewise. ``groups`` (items,) names pair and near-duplicate groups: the bootstrap draws whole groups
(Davison & Hinkley 1997, section 3.8), because members of a group are not independent. ``weights`` (items,) are
inverse propensities for a slice drawn with known chances (Horvitz & Thompson 1952); only their ratios matter.

A figure that cannot be computed is an Estimate without value and with the reason. Resamples in which it cannot be
computed are left out, and if they are more than half, there is no interval.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from app.curation.arrays import MISSING, Bools, Floats, Ints
from app.curation.bootstrap import RESAMPLES, Estimate, Terms, estimate, resample, undefined

__all__ = [
    "MIN_SHARED",
    "MISSING",
    "Estimate",
    "PairEstimate",
    "alignment_difference",
    "alignment_gap",
    "alpha",
    "cohen_kappa",
    "expert_pair_kappas",
    "internal_alignment",
    "krippendorff_alpha",
    "model_human_alignment",
    "model_percent_agreement",
    "percent_agreement",
]

MIN_SHARED = 5
"""Two raters with fewer items in common have no kappa of their own: it would be noise in the mean."""

NO_ITEMS = "There are no answers to compare yet."
CONSTANT = "All answers compared are the same label, so agreement beyond chance cannot be told."

Columns = tuple[Ints, Ints]
Figures = Callable[[Floats, int], Floats]


@dataclass(frozen=True)
class PairEstimate:
    """Kappa of two experts, by their column in the ratings."""

    first: int
    second: int
    estimate: Estimate


def cohen_kappa(a: ArrayLike, b: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Cohen's kappa (Cohen 1960): (p_o - p_e) / (1 - p_e), over items where both labels are present.

    nan if there is no such item, or if both raters gave one and the same label throughout (p_e = 1).
    """
    first, second = _labels(a), _labels(b)
    terms = _pair_terms([(first, second)], _weights(weights, len(first)))
    return float(_kappas(np.asarray(terms.sum(axis=0), dtype=np.float64).reshape(1, -1), 1)[0, 0])


def expert_pair_kappas(
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> list[PairEstimate]:
    """Kappa of every two experts that share at least one item, in column order; n counts the shared items."""
    table = _ratings(ratings)
    pairs = [(i, j) for i, j in combinations(range(table.shape[1]), 2) if _shared(table[:, i], table[:, j]).any()]
    if not pairs:
        return []
    columns = [(table[:, i], table[:, j]) for i, j in pairs]
    keys, item_weights = _ints(groups), _weights(weights, len(table))
    terms = _pair_terms(columns, item_weights)
    point, values = resample(terms, keys, lambda sums: _kappas(sums, len(pairs)), rng, resamples)
    found = []
    for number, (i, j) in enumerate(pairs):
        shared = _shared(table[:, i], table[:, j]) & (item_weights > 0)
        n, n_groups = int(shared.sum()), len(np.unique(keys[shared]))
        figure = estimate(float(point[number]), values[:, number], n, n_groups, CONSTANT)
        found.append(PairEstimate(i, j, figure if n >= min_shared else undefined(n, _too_few(n, min_shared))))
    return found


def internal_alignment(
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean over expert pairs of Cohen's kappa; n counts the items with answers from two experts or more.

    Pairs with fewer than ``min_shared`` items in common, and pairs whose kappa is undefined, are not in the mean.
    """
    table = _ratings(ratings)
    return _compare([_expert_columns(table)], groups, weights, rng, min_shared, resamples)


def model_human_alignment(
    model_labels: ArrayLike,
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean over experts of kappa(model, expert); n counts the items with a model label and any answer."""
    columns = _model_columns(_labels(model_labels), _ratings(ratings))
    return _compare([columns], groups, weights, rng, min_shared, resamples)


def alignment_difference(
    newer: ArrayLike,
    older: ArrayLike,
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Model–human alignment of ``newer`` less that of ``older``, paired: the same items in every resample.

    Only items that both models have labelled are compared.
    """
    first, second, table = _labels(newer), _labels(older), _ratings(ratings)
    both = _shared(first, second)
    table = np.where(both[:, None], table, MISSING)
    sides = [_model_columns(first, table), _model_columns(second, table)]
    return _compare(sides, groups, weights, rng, min_shared, resamples)


def alignment_gap(
    model_labels: ArrayLike,
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Model–human alignment less internal alignment, paired over the same items; 0 or more: the model matches."""
    table = _ratings(ratings)
    model = _model_columns(_labels(model_labels), table)
    return _compare([model, _expert_columns(table)], groups, weights, rng, min_shared, resamples)


def percent_agreement(
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean over expert pairs of the share (0 to 1) of shared items to which both gave the same label."""
    columns = _expert_columns(_ratings(ratings))
    return _compare([columns], groups, weights, rng, min_shared, resamples, figures=_agreements)


def model_percent_agreement(
    model_labels: ArrayLike,
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    min_shared: int = MIN_SHARED,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Mean over experts of the share (0 to 1) of items to which the model gave the expert's label."""
    columns = _model_columns(_labels(model_labels), _ratings(ratings))
    return _compare([columns], groups, weights, rng, min_shared, resamples, figures=_agreements)


def krippendorff_alpha(ratings: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Krippendorff's alpha for nominal labels with missing answers (Krippendorff 2011).

    1 - (n - 1) * sum_u (disagreeing ordered pairs of u) / (m_u - 1) / (n^2 - sum_c n_c^2), over items with two
    answers or more. nan if there is none, or if all answers are one label.
    """
    table = _ratings(ratings)
    terms = _alpha_terms(table, _weights(weights, len(table)))
    return float(_alphas(np.asarray(terms.sum(axis=0), dtype=np.float64).reshape(1, -1))[0, 0])


def alpha(
    ratings: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    *,
    weights: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> Estimate:
    """Krippendorff's alpha with its interval; n counts the items with two answers or more."""
    table = _ratings(ratings)
    item_weights = _weights(weights, len(table))
    compared = ((table >= 0).sum(axis=1) >= 2) & (item_weights > 0)
    if not compared.any():
        return undefined(0, NO_ITEMS)
    keys = _ints(groups)[compared]
    terms = _alpha_terms(table[compared], item_weights[compared])
    point, values = resample(terms, keys, _alphas, rng, resamples)
    return estimate(float(point[0]), values[:, 0], int(compared.sum()), len(np.unique(keys)), CONSTANT)


def _compare(
    sides: Sequence[Sequence[Columns]],
    groups: ArrayLike,
    weights: ArrayLike | None,
    rng: np.random.Generator,
    min_shared: int,
    resamples: int,
    *,
    figures: Figures | None = None,
) -> Estimate:
    """Mean of a figure over the rater pairs of one side, or the first side's mean less the second's."""
    measure = figures or _kappas
    n_items = max((len(a) for side in sides for a, _ in side), default=0)
    item_weights = _weights(weights, n_items)
    kept = [[pair for pair in side if _count(pair, item_weights) >= min_shared] for side in sides]
    n = min(_items_compared(side, item_weights) for side in sides)
    if n == 0:
        return undefined(0, NO_ITEMS)
    if not all(kept):
        return undefined(n, _too_few(max(_count(pair, item_weights) for side in sides for pair in side), min_shared))
    compared = _compared_mask([pair for side in kept for pair in side], item_weights)
    columns = [(a[compared], b[compared]) for side in kept for a, b in side]
    keys = _ints(groups)[compared]

    def statistic(sums: Floats) -> Floats:
        values = measure(sums, len(columns))
        first = _row_means(values[:, : len(kept[0])])
        return first - _row_means(values[:, len(kept[0]) :]) if len(kept) == 2 else first

    point, values = resample(_pair_terms(columns, item_weights[compared]), keys, statistic, rng, resamples)
    return estimate(float(point[0]), values[:, 0], n, len(np.unique(keys)), CONSTANT)


def _expert_columns(table: Ints) -> list[Columns]:
    return [(table[:, i], table[:, j]) for i, j in combinations(range(table.shape[1]), 2)]


def _model_columns(labels: Ints, table: Ints) -> list[Columns]:
    return [(labels, table[:, i]) for i in range(table.shape[1])]


def _shared(a: Ints, b: Ints) -> Bools:
    return (a >= 0) & (b >= 0)


def _count(pair: Columns, weights: Floats) -> int:
    return int((_shared(*pair) & (weights > 0)).sum())


def _compared_mask(pairs: Sequence[Columns], weights: Floats) -> Bools:
    mask = np.zeros(len(weights), dtype=np.bool_)
    for pair in pairs:
        mask |= _shared(*pair)
    return mask & (weights > 0)


def _items_compared(pairs: Sequence[Columns], weights: Floats) -> int:
    return int(_compared_mask(pairs, weights).sum())


def _pair_terms(pairs: Sequence[Columns], weights: Floats) -> Terms:
    """Per item and rater pair: weight if they agree, then the weight at the first's and at the second's label.

    Columns come as pairs x (1 + 2k) for k labels; all that kappa needs of a k x k table.
    """
    k = 1 + max((int(max(a.max(initial=0), b.max(initial=0))) for a, b in pairs), default=0)
    width = 1 + 2 * k
    rows, columns, values = [], [], []
    for number, (a, b) in enumerate(pairs):
        items = np.flatnonzero(_shared(a, b) & (weights > 0))
        start = number * width
        same = items[a[items] == b[items]]
        rows += [same, items, items]
        columns += [np.full(len(same), start), start + 1 + a[items], start + 1 + k + b[items]]
        values += [weights[same], weights[items], weights[items]]
    cells = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return sparse.csr_matrix(cells, shape=(len(weights), len(pairs) * width))


def _split_terms(sums: Floats, pairs: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Agreement, first marginal, second marginal and total, per row and pair."""
    table = sums.reshape(len(sums), pairs, -1)
    k = (table.shape[2] - 1) // 2
    first, second = table[:, :, 1 : 1 + k], table[:, :, 1 + k :]
    return table[:, :, 0], first, second, first.sum(axis=2)


def _kappas(sums: Floats, pairs: int) -> Floats:
    agree, first, second, total = _split_terms(sums, pairs)
    square = total * total
    by_chance = np.einsum("rpk,rpk->rp", first, second)
    room = square - by_chance
    known = (total > 0) & (room > 1e-12 * square)
    kappas: Floats = np.divide(agree * total - by_chance, room, out=np.full_like(total, np.nan), where=known)
    return np.minimum(kappas, 1)  # rounding of weights must not pass 1


def _agreements(sums: Floats, pairs: int) -> Floats:
    agree, _, _, total = _split_terms(sums, pairs)
    shares: Floats = np.divide(agree, total, out=np.full_like(total, np.nan), where=total > 0)
    return np.minimum(shares, 1)


def _alpha_terms(table: Ints, weights: Floats) -> Terms:
    """Per item: its disagreement, then its answers at each label; zeros for items with fewer than two answers."""
    k = 1 + int(table.max(initial=0))
    counts = np.stack([(table == label).sum(axis=1) for label in range(k)], axis=1).astype(np.float64)
    answers = counts.sum(axis=1)
    counts[answers < 2] = 0
    ordered = answers**2 - (counts**2).sum(axis=1)
    disagree = np.where(answers >= 2, ordered / np.maximum(answers - 1, 1), 0)
    return sparse.csr_matrix(np.column_stack([disagree, counts]) * weights[:, None])


def _alphas(sums: Floats) -> Floats:
    disagree, counts = sums[:, 0], sums[:, 1:]
    n = counts.sum(axis=1)
    expected = n * n - (counts**2).sum(axis=1)
    known = (n > 1) & (expected > 1e-12 * n * n)
    ratio = np.divide((n - 1) * disagree, expected, out=np.full_like(n, np.nan), where=known)
    values: Floats = (1 - ratio)[:, None]
    return values


def _row_means(values: Floats) -> Floats:
    """Mean of the defined values of each row as (rows, 1); nan where a row has none."""
    known = np.isfinite(values)
    count = known.sum(axis=1)
    total = np.where(known, values, 0).sum(axis=1)
    means: Floats = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return means[:, None]


def _too_few(n: int, min_shared: int) -> str:
    return f"At most {n} items were answered by both; {min_shared} are needed."


def _labels(values: ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64).reshape(-1)


def _ints(values: ArrayLike) -> Ints:
    return np.asarray(values, dtype=np.int64)


def _ratings(values: ArrayLike) -> Ints:
    table = np.asarray(values, dtype=np.int64)
    if table.ndim != 2:
        raise ValueError("ratings must be (items, experts)")
    return table


def _weights(values: ArrayLike | None, n: int) -> Floats:
    """Weights scaled to a mean of 1, so that n - 1 in alpha keeps its meaning."""
    if values is None:
        return np.ones(n)
    given = np.asarray(values, dtype=np.float64)
    if given.shape != (n,) or not np.isfinite(given).all() or (given < 0).any():
        raise ValueError("weights must be one finite number of at least 0 for each item")
    total = given.sum()
    return given * (n / total) if total > 0 else given
