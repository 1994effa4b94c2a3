"""Intervals from whole groups of items, without a loop over resamples.

Every statistic that Linecall reports is a function of sums over items (a contingency table is such a sum). So the
items' terms are added up per group once, a resample is a vector of how often each group was drawn, and all
resamples together are one matrix product: (resamples, groups) @ (groups, terms).

An interval is centre ± t · standard error, with Student's t for (groups - 1) degrees of freedom (Efron & Tibshirani
1993, section 12.2). Centre and standard error are those of the groups and a few pseudo-observations together: with
them few disagreements, or none, still leave a width (Agresti & Coull 1998 do so for a proportion). The standard error
is the larger of the bootstrap's and of the delete-one-group jackknife's (ibid., chapters 6 and 11): in simulation each
was too small somewhere. benchmarks/coverage.py measures how often such intervals cover the truth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import stdtrit

from app.curation.arrays import Floats, Ints

RESAMPLES = 2000
BLOCK_CELLS = 4_000_000
DECIMALS = 12
"""Figures are kept to so many: below lies rounding noise, which must neither show nor decide a sign."""

Terms = Any  # scipy.sparse.csr_matrix (items, terms), which has no types of its own
Statistic = Callable[[Floats], Floats]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval, which always holds the figure.

    ``value`` is None exactly when ``undefined`` says, in plain words, why. ``low`` and ``high`` are also None when
    the value is known but an interval is not: fewer than two groups, or more than half of the resamples undefined.
    ``n`` counts the items that the figure rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    undefined: str | None


@dataclass(frozen=True)
class Spread:
    """Of each figure, arrays (figures,): its value on the groups alone, its value with pseudo-observations, and the
    standard error of that; nan where undefined (the standard error also if half of the resamples are)."""

    point: Floats
    centre: Floats
    error: Floats


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


def spread(
    terms: Terms,
    groups: Ints,
    pseudo: Floats,
    statistic: Statistic,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Spread:
    """Values and standard errors of figures of ``terms`` (items, terms), ``pseudo`` (rows, terms) beside them.

    ``statistic`` maps sums of terms (rows, terms) to figures (rows, figures), nan where undefined. A pseudo-row is
    drawn, and left out, like a group.
    """
    sums = group_sums(terms, groups)
    point = statistic(_total(sums))[0]
    rows = (
        sparse.vstack([sums, sparse.csr_matrix(pseudo)]).tocsr() if sparse.issparse(sums) else np.vstack([sums, pseudo])
    )
    centre = statistic(_total(rows))[0]
    error = np.fmax(_jackknife_error(rows, statistic), _bootstrap_error(rows, statistic, rng, resamples))
    return Spread(point, centre, error)


def estimate(found: Spread, figure: int, n: int, n_groups: int, reason: str, bounds: tuple[float, float]) -> Estimate:
    """Figure number ``figure`` with its interval, which is cut to the ``bounds`` of what is possible."""
    value, centre, error = (float(values[figure]) for values in (found.point, found.centre, found.error))
    if not np.isfinite(value):
        return undefined(n, reason)
    if n_groups < 2 or not np.isfinite(centre + error):
        return Estimate(_clean(value), None, None, n, None)
    half = float(stdtrit(n_groups - 1, 0.975)) * error
    low, high = max(centre - half, bounds[0]), min(centre + half, bounds[1])
    return Estimate(_clean(value), _clean(min(low, value)), _clean(max(high, value)), n, None)


def _jackknife_error(rows: Any, statistic: Statistic) -> Floats:
    """sqrt((g - 1) / g * sum of squared deviations of the g values that leave one group out)."""
    total, block = _total(rows), _block(rows)
    parts = [rows[start : start + block] for start in range(0, rows.shape[0], block)]
    values = np.concatenate([statistic(total - (p.toarray() if sparse.issparse(p) else p)) for p in parts])
    error: Floats = _deviation(values) * np.sqrt(max(rows.shape[0] - 1, 0))
    return error


def _bootstrap_error(rows: Any, statistic: Statistic, rng: np.random.Generator, resamples: int) -> Floats:
    """Standard deviation over resamples, times sqrt(g / (g - 1)) since a resample's variance is that much too small."""
    g, block = rows.shape[0], _block(rows)
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    values = np.concatenate([statistic(np.asarray(draw_counts(g, size, rng) @ rows)) for size in sizes])
    error: Floats = _deviation(values) * np.sqrt(g / max(g - 1, 1))
    return error


def _deviation(values: Floats) -> Floats:
    """Standard deviation of the defined values of each column; nan if they are less than half."""
    known = np.isfinite(values)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0) / count
    squares = np.where(known, (values - mean) ** 2, 0).sum(axis=0) / count
    deviation: Floats = np.where(2 * known.sum(axis=0) >= len(values), np.sqrt(squares), np.nan)
    return deviation


def _total(rows: Any) -> Floats:
    return np.asarray(rows.sum(axis=0), dtype=np.float64).reshape(1, -1)


def _block(rows: Any) -> int:
    return max(1, BLOCK_CELLS // int(max(rows.shape)))


def _clean(value: float) -> float:
    """``value`` without noise, and never minus nought."""
    return round(float(value), DECIMALS) + 0.0
