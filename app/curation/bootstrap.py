"""Intervals by resampling whole groups of items, without a loop over resamples.

Every statistic that Linecall reports is a function of sums over items (a contingency table is such a sum). So the
items' terms are added up per group once, a resample is a vector of how often each group was drawn, and all
resamples together are one matrix product: (resamples, groups) @ (groups, terms).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from app.curation.arrays import Floats, Ints

RESAMPLES = 2000
BLOCK_CELLS = 4_000_000
DECIMALS = 12
"""Figures are kept to so many: below lies rounding noise, which must neither show nor decide a sign."""

Terms = Any  # scipy.sparse.csr_matrix (items, terms), which has no types of its own
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval.

    ``value`` is None exactly when ``undefined`` says, in plain words, why. ``low`` and ``high`` are also None when
    the value is known but an interval is not: fewer than two groups, or more than half of the resamples undefined.
    ``n`` counts the items that the figure rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    undefined: str | None


def undefined(n: int, reason: str) -> Estimate:
    return Estimate(None, None, None, n, reason)


def group_sums(terms: Terms, groups: Ints) -> Any:
    """Terms (items, terms) added up per group: dense unless most of it is zero."""
    _, index = np.unique(groups, return_inverse=True)
    n_items = terms.shape[0]
    membership = sparse.csr_matrix((np.ones(n_items), (index, np.arange(n_items))))
    sums = membership @ terms
    mostly_zero = sums.nnz < 0.05 * sums.shape[0] * sums.shape[1]
    return sums if mostly_zero else sums.toarray()


def draw_counts(n_groups: int, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each group is drawn in each resample: (resamples, n_groups), rows summing to n_groups."""
    drawn = rng.integers(0, n_groups, size=(resamples, n_groups), dtype=np.int32).astype(np.int64)
    drawn += (np.arange(resamples) * n_groups)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * n_groups)
    return counts.reshape(resamples, n_groups).astype(np.float64)


def resample(
    terms: Terms, groups: Ints, statistic: Statistic, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[Floats, Floats]:
    """Point values (figures,) and resampled values (resamples, figures).

    ``statistic`` maps sums of terms (rows, terms) to figures (rows, figures), nan where undefined.
    """
    sums = group_sums(terms, groups)
    point = statistic(np.asarray(sums.sum(axis=0), dtype=np.float64).reshape(1, -1))[0]
    n_groups = sums.shape[0]
    rows = max(1, BLOCK_CELLS // max(n_groups, sums.shape[1]))
    blocks = [
        statistic(np.asarray(draw_counts(n_groups, min(rows, resamples - start), rng) @ sums))
        for start in range(0, resamples, rows)
    ]
    return point, np.concatenate(blocks)


def estimate(value: float, values: Floats, n: int, n_groups: int, reason: str) -> Estimate:
    """An Estimate from a point value and its resamples (both may be nan): the percentile interval."""
    if not np.isfinite(value):
        return undefined(n, reason)
    defined = values[np.isfinite(values)]
    if n_groups < 2 or 2 * len(defined) < len(values):
        return Estimate(_clean(value), None, None, n, None)
    low, high = np.percentile(defined, [2.5, 97.5])
    return Estimate(_clean(value), _clean(low), _clean(high), n, None)


def _clean(value: float) -> float:
    """``value`` without noise, and never minus nought."""
    return round(float(value), DECIMALS) + 0.0
