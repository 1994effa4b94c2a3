"""Where a model and the experts' consensus part, label by label."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

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


def confusion(cells: Iterable[tuple[int, int, int]], n_labels: int) -> list[list[int]]:
    """Of (consensus, model's label, items): counts of shape (labels, labels), rows the consensus, columns the model."""
    matrix = [[0] * n_labels for _ in range(n_labels)]
    for row, column, count in cells:
        matrix[row][column] += count
    return matrix


def label_scores(matrix: Sequence[Sequence[int]]) -> list[LabelScore]:
    """Of a confusion matrix as ``confusion`` makes it."""
    found = []
    for label in range(len(matrix)):
        hits, said, given = matrix[label][label], sum(matrix[label]), sum(row[label] for row in matrix)
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
    half = _Z / (1 + z2 / n) * sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return Share(hits, n, p, max(0.0, centre - half), min(1.0, centre + half))
