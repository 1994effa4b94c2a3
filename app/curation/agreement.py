"""Agreement between experts, and between a model and experts; every figure with n and a 95 % interval.

Ratings are int arrays (items, experts) of label indices with -1 where an expert gave no answer; a model's labels
are (items,) likewise. ``groups`` (items,) names pair and near-duplicate groups: intervals rest on whole groups
(Davison & Hinkley 1997, section 3.8), because members of a group are not independent. ``weights`` (items,) are
inverse propensities for a slice drawn with known chances (Horvitz & Thompson 1952); only their ratios matter.

A figure that cannot be computed is an Estimate without value and with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from app.curation.arrays import MISSING, Floats, Ints
from app.curation.bootstrap import RESAMPLES, Estimate, Terms, estimate, spread, undefined
from app.curation.pairwise import Comparison, Pair, Side, compared_items, expert_side, model_side

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
"""With fewer answers to compare there is no figure: it would be noise."""

KAPPA, SHARE = (-1.0, 1.0), (0.0, 1.0)
NO_ITEMS = "There are no answers to compare yet."
CONSTANT = "All answers compared are the same label, so agreement beyond chance cannot be told."


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
    pair = Pair(_labels(a), _labels(b), (0, 1))
    given = _weights(weights, len(pair.first))
    rows = compared_items([pair], given)
    if not rows.any():
        return float("nan")
    comparison = Comparison([[pair.take(rows)]], given[rows])
    return float(comparison.kappas(_totals(comparison.terms()))[0, 0])


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
    keys, item_weights = _ints(groups), _weights(weights, len(table))
    side = [pair for pair in expert_side(table) if compared_items([pair], item_weights).any()]
    if not side:
        return []
    rows = compared_items(side, item_weights)
    comparison = Comparison([[pair.take(rows) for pair in side]], item_weights[rows])
    found = spread(comparison.terms(), keys[rows], comparison.pseudo(alone=True), comparison.kappas, rng, resamples)
    estimates = []
    for number, pair in enumerate(side):
        shared = compared_items([pair], item_weights)
        n, n_groups = int(shared.sum()), len(np.unique(keys[shared]))
        figure = estimate(found, number, n, n_groups, CONSTANT, KAPPA)
        figure = figure if n >= min_shared else undefined(n, _too_few(n, min_shared))
        estimates.append(PairEstimate(*pair.raters, figure))
    return estimates


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

    Pairs with few items in common are pooled (see app.curation.pairwise); a pair whose kappa is undefined is not in
    the mean. Undefined with fewer than ``min_shared`` items.
    """
    return _compare([expert_side(_ratings(ratings))], groups, weights, rng, min_shared, resamples)


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
    return _compare([model_side(_labels(model_labels), _ratings(ratings))], groups, weights, rng, min_shared, resamples)


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
    both = (first >= 0) & (second >= 0)
    table = np.where(both[:, None], table, MISSING)
    sides = [model_side(first, table), model_side(second, table)]
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
    """Model–human alignment less internal alignment, paired over the same items; 0 or more: the model matches.

    Only items with a model label and answers from two experts or more are compared.
    """
    labels, table = _labels(model_labels), _ratings(ratings)
    both = (labels >= 0) & ((table >= 0).sum(axis=1) >= 2)
    table = np.where(both[:, None], table, MISSING)
    return _compare([model_side(labels, table), expert_side(table)], groups, weights, rng, min_shared, resamples)


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
    return _compare([expert_side(_ratings(ratings))], groups, weights, rng, min_shared, resamples, agreement=True)


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
    return _compare(
        [model_side(_labels(model_labels), _ratings(ratings))],
        groups,
        weights,
        rng,
        min_shared,
        resamples,
        agreement=True,
    )


def krippendorff_alpha(ratings: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """Krippendorff's alpha for nominal labels with missing answers (Krippendorff 2011).

    1 - (n - 1) * sum_u (disagreeing ordered pairs of u) / (m_u - 1) / (n^2 - sum_c n_c^2), over items with two
    answers or more. nan if there is none, or if all answers are one label.
    """
    table = _ratings(ratings)
    terms = _alpha_terms(table, _weights(weights, len(table)))
    return float(_alphas(_totals(terms))[0, 0])


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
    found = spread(terms, keys, _alpha_pseudo(terms), _alphas, rng, resamples)
    return estimate(found, 0, int(compared.sum()), len(np.unique(keys)), CONSTANT, KAPPA)


def _compare(
    sides: Sequence[Side],
    groups: ArrayLike,
    weights: ArrayLike | None,
    rng: np.random.Generator,
    min_shared: int,
    resamples: int,
    *,
    agreement: bool = False,
) -> Estimate:
    """Mean kappa (or share of agreement) of one side, or the first side's mean less the second's."""
    keys = _ints(groups)
    item_weights = _weights(weights, len(keys))
    n = min(int(compared_items(side, item_weights).sum()) for side in sides)
    if n == 0:
        return undefined(0, NO_ITEMS)
    if n < min_shared:
        return undefined(n, _too_few(n, min_shared))
    rows = compared_items([pair for side in sides for pair in side], item_weights)
    comparison = Comparison([[pair.take(rows) for pair in side] for side in sides], item_weights[rows])
    statistic = comparison.mean_agreement if agreement else comparison.mean_kappa
    found = spread(comparison.terms(), keys[rows], comparison.pseudo(), statistic, rng, resamples)
    bounds = (-2.0, 2.0) if len(sides) == 2 else SHARE if agreement else KAPPA
    return estimate(found, 0, n, len(np.unique(keys[rows])), CONSTANT, bounds)


def _alpha_terms(table: Ints, weights: Floats) -> Terms:
    """Per item: its disagreement, then its answers at each label; zeros for items with fewer than two answers."""
    k = max(2, 1 + int(table.max(initial=0)))
    counts = np.stack([(table == label).sum(axis=1) for label in range(k)], axis=1).astype(np.float64)
    answers = counts.sum(axis=1)
    counts[answers < 2] = 0
    ordered = answers**2 - (counts**2).sum(axis=1)
    disagree = np.where(answers >= 2, ordered / np.maximum(answers - 1, 1), 0)
    return sparse.csr_matrix(np.column_stack([disagree, counts]) * weights[:, None])


def _alpha_pseudo(terms: Terms) -> Floats:
    """An item on which all agree and one whose answers differ, spread evenly over the labels, with as many answers
    as the items have on the average: pseudo-observations for the interval (see app.curation.bootstrap)."""
    answers = float(terms[:, 1:].sum()) / terms.shape[0]
    k = max(2, terms.shape[1] - 1)
    one = answers / k * np.eye(k)
    agreeing = np.column_stack([np.zeros(k), one])
    differing = np.column_stack([np.full(k, answers / k), np.full((k, k), answers / k / k)])
    return np.vstack([agreeing, differing])


def _alphas(sums: Floats) -> Floats:
    disagree, counts = sums[:, 0], sums[:, 1:]
    n = counts.sum(axis=1)
    expected = n * n - (counts**2).sum(axis=1)
    known = (n > 1) & (expected > 1e-12 * n * n)
    ratio = np.divide((n - 1) * disagree, expected, out=np.full_like(n, np.nan), where=known)
    values: Floats = (1 - ratio)[:, None]
    return values


def _too_few(n: int, min_shared: int) -> str:
    return f"At most {n} items were answered by both; {min_shared} are needed."


def _totals(terms: Terms) -> Floats:
    return np.asarray(terms.sum(axis=0), dtype=np.float64).reshape(1, -1)


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
