"""Where a model and the experts' consensus part, label by label."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.curation.arrays import Ints

_Z = 1.959963984540054  # the normal distribution's .975 quantile


@dataclass(frozen=True)
class Share:
    """``hits`` of ``n`` items; ``value`` and its 95 % interval are None where n is 0."""

    hits: int
    n: int
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class LabelScore:
    """``recall``: of the items that the experts call so, those that the model does. ``precision``: of the items that
    the model calls so, those that the experts do. ``f1`` is their harmonic mean, None where nobody gave the label."""

    label: int
    recall: Share
    precision: Share
    f1: float | None


def confusion(consensus: ArrayLike, predicted: ArrayLike, n_labels: int) -> Ints:
    """Counts of shape (labels, labels): rows the consensus, columns the model. Items with a negative entry on either
    side are left out."""
    rows, columns = np.asarray(consensus, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    known = (rows >= 0) & (columns >= 0)
    cells = np.bincount(rows[known] * n_labels + columns[known], minlength=n_labels * n_labels)
    return cells.reshape(n_labels, n_labels)


def label_scores(matrix: Ints) -> list[LabelScore]:
    """Of a confusion matrix as ``confusion`` makes it."""
    found = []
    for label in range(len(matrix)):
        hits, said, given = int(matrix[label, label]), int(matrix[label].sum()), int(matrix[:, label].sum())
        f1 = 2 * hits / (said + given) if said + given else None
        found.append(LabelScore(label, share(hits, said), share(hits, given), f1))
    return found


def share(hits: int, n: int) -> Share:
    """With Wilson's (1927) score interval. It takes items as independent; pairs of near texts make it a little too
    narrow."""
    if n == 0:
        return Share(0, 0, None, None, None)
    p, z2 = hits / n, _Z * _Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * float(np.sqrt(p * (1 - p) / n + z2 / (4 * n * n)))
    return Share(hits, n, p, max(0.0, centre - half), min(1.0, centre + half))
