"""Rater pairs compared: the sums that their agreement needs, its mean over pairs, and pseudo-observations.

A comparison has one side, or two sides whose means are subtracted. A side is a list of rater pairs.

A pair with FEW items in common or more, or whose raters answered nothing else, has a kappa of its own. Thinner pairs
would each give a figure that is mostly noise, or none. They are pooled: the agreements beyond chance of all of them
over the room that chance leaves (the pooled kappa of de Vries et al. 2008), where each rater's shares of the labels
lean on that rater's other answers by LEAN items. The thin pairs count in the mean as one pair for every FEW items.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import sparse

from app.curation.arrays import Bools, Floats, Ints
from app.curation.bootstrap import Terms

FEW = 20
LEAN = 10.0

Columns = tuple[Ints, Ints]


@dataclass(frozen=True)
class Pair:
    """Labels (items,) of two raters, -1 missing, and the numbers by which a side knows the raters."""

    first: Ints
    second: Ints
    raters: tuple[int, int]

    def shared(self) -> Bools:
        return (self.first >= 0) & (self.second >= 0)

    def take(self, rows: Bools) -> "Pair":
        return Pair(self.first[rows], self.second[rows], self.raters)


Side = Sequence[Pair]


def expert_side(table: Ints) -> list[Pair]:
    """Every two experts of ratings (items, experts)."""
    return [Pair(table[:, i], table[:, j], (i, j)) for i, j in combinations(range(table.shape[1]), 2)]


def model_side(labels: Ints, table: Ints) -> list[Pair]:
    """The model, as rater -1, and each expert."""
    return [Pair(labels, table[:, i], (-1, i)) for i in range(table.shape[1])]


def compared_items(pairs: Sequence[Pair], weights: Floats) -> Bools:
    """Items (items,) of some weight that both raters of some pair have answered."""
    mask = np.zeros(len(weights), dtype=np.bool_)
    for pair in pairs:
        mask |= pair.shared()
    return mask & (weights > 0)


class Comparison:
    """Statistics of one side's mean, or of the first side's less the second's, from sums of terms.

    ``weights`` (items,) are positive. ``terms`` come as pairs x (1 + 2k) for k labels: weight if the raters agree,
    then the weight at the first's and at the second's label; all that kappa needs of a k x k table.
    """

    def __init__(self, sides: Sequence[Side], weights: Floats) -> None:
        self._pairs = [pair for side in sides for pair in side]
        self._sides = np.repeat(np.arange(len(sides)), [len(side) for side in sides])
        self._weights = weights
        self._labels = max(2, 1 + max((int(max(p.first.max(), p.second.max())) for p in self._pairs), default=0))
        self.counts = np.array([int(pair.shared().sum()) for pair in self._pairs])
        self._raters = self._numbered()
        thin = (self.counts < FEW) & ~self._complete()
        self._own = (~thin & (self.counts > 0)).astype(np.float64)
        self._thin = (thin & (self.counts > 0)).astype(np.float64)

    def terms(self) -> Terms:
        k, width, weights = self._labels, 1 + 2 * self._labels, self._weights
        rows, columns, values = [], [], []
        for number, pair in enumerate(self._pairs):
            items = np.flatnonzero(pair.shared())
            a, b, start = pair.first[items], pair.second[items], number * width
            rows += [items[a == b], items, items]
            columns += [np.full(int((a == b).sum()), start), start + 1 + a, start + 1 + k + b]
            values += [weights[items[a == b]], weights[items], weights[items]]
        cells = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
        return sparse.csr_matrix(cells, shape=(len(weights), len(self._pairs) * width))

    def pseudo(self, *, alone: bool = False) -> Floats:
        """Pseudo-rows (rows, terms). For one side: an item on which all agree and one on which all disagree; for two:
        half an item on which only the first side's pairs agree, and half of the opposite. Each is spread evenly over
        the labels, a pair has its usual share of it (all of it if pairs stand ``alone``), and its weight is what the
        first rater's items with that label weigh on the average."""
        one = len(np.unique(self._sides)) == 1
        patterns = [(1, 1), (0, 0)] if one else [(1, 0), (0, 1)]
        share = 1.0 if alone else self.counts / len(self._weights)
        mass = np.broadcast_to((1.0 if one else 0.5) * share / self._labels, len(self._pairs))
        weights = self._weights_at_labels()
        rows = [
            self._pseudo_row(np.array(pattern)[self._sides] == 1, label, mass, weights)
            for pattern in patterns
            for label in range(self._labels)
        ]
        return np.array(rows)

    def kappas(self, sums: Floats) -> Floats:
        """Cohen's kappa of each pair by itself: (rows, pairs)."""
        agree, first, second, total = self._split(sums)
        return _ratio(*_beyond_chance(agree, total, first, second))

    def mean_kappa(self, sums: Floats) -> Floats:
        """(rows, 1): the mean kappa of the side, or the difference of two sides' means."""
        agree, first, second, total = self._split(sums)
        own = _beyond_chance(agree, total, first, second)
        if not self._thin.any():
            return self._mean(own, own)
        every = np.einsum("rpk,pn->rnk", first, self._raters[0]) + np.einsum("rpk,pn->rnk", second, self._raters[1])
        leant = LEAN * _shares(every)
        a, b = (
            part + np.einsum("rnk,pn->rpk", leant, raters)
            for part, raters in zip((first, second), self._raters, strict=True)
        )
        return self._mean(own, _beyond_chance(agree, total, a, b))

    def mean_agreement(self, sums: Floats) -> Floats:
        """(rows, 1): as mean_kappa, of the share of items on which the pair agrees."""
        agree, _, _, total = self._split(sums)
        return self._mean((agree, total), (agree, total))

    def _mean(self, own: tuple[Floats, Floats], pooled: tuple[Floats, Floats]) -> Floats:
        """Mean over own kappas and the thin pairs' pooled one, from numerators and denominators (rows, pairs)."""
        values = _ratio(*own)
        means = []
        for side in np.unique(self._sides):
            mine = self._sides == side
            thin = self._thin * mine
            lumped = _ratio(pooled[0] @ thin, pooled[1] @ thin)[:, None]
            parts = np.concatenate([values[:, mine], lumped], axis=1)
            weights = np.append(self._own[mine], (thin * self.counts).sum() / FEW)
            known = np.isfinite(parts) * weights
            means.append(_ratio((known * np.nan_to_num(parts)).sum(axis=1), known.sum(axis=1)))
        result: Floats = (means[0] - means[1] if len(means) == 2 else means[0])[:, None]
        return result

    def _split(self, sums: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Agreement, first marginal, second marginal and total, per row and pair."""
        table = sums.reshape(len(sums), len(self._pairs), -1)
        first, second = table[:, :, 1 : 1 + self._labels], table[:, :, 1 + self._labels :]
        return table[:, :, 0], first, second, first.sum(axis=2)

    def _numbered(self) -> tuple[Floats, Floats]:
        """Which rater is first, and which second, in each pair: two arrays (pairs, raters) of ones and zeros."""
        keys = [
            [(int(side), rater) for rater in pair.raters] for side, pair in zip(self._sides, self._pairs, strict=True)
        ]
        known = {key: number for number, key in enumerate(dict.fromkeys(key for both in keys for key in both))}
        which = np.eye(len(known))
        firsts, seconds = ([known[both[place]] for both in keys] for place in (0, 1))
        return which[firsts], which[seconds]

    def _complete(self) -> Bools:
        """Pairs whose raters have answered no other item of this side."""
        firsts, seconds = self._raters
        answered = np.zeros((firsts.shape[1], len(self._weights)), dtype=np.bool_)
        for number, pair in enumerate(self._pairs):
            answered[(firsts + seconds)[number] > 0] |= pair.shared()
        totals = answered.sum(axis=1)
        complete: Bools = (firsts @ totals == self.counts) & (seconds @ totals == self.counts)
        return complete

    def _weights_at_labels(self) -> Floats:
        """(pairs, labels): mean weight of a pair's items by the first rater's label, or of all where there is none."""
        found = np.empty((len(self._pairs), self._labels))
        for number, pair in enumerate(self._pairs):
            shared = pair.shared()
            given, weights = pair.first[shared], self._weights[shared]
            n = np.bincount(given, minlength=self._labels)
            mean = weights.mean() if len(weights) else 1.0
            found[number] = np.where(n > 0, np.bincount(given, weights, self._labels) / np.maximum(n, 1), mean)
        return found

    def _pseudo_row(self, agrees: Bools, label: int, mass: Floats, weights: Floats) -> Floats:
        """One row: the second rater gives ``label``; the first gives it too, or all the other labels evenly."""
        k = self._labels
        same = np.eye(k)[label]
        first = np.where(agrees[:, None], same, (1 - same) / (k - 1))
        weight = mass * (first * weights).sum(axis=1)
        row: Floats = weight[:, None] * np.column_stack([agrees, first, np.tile(same, (len(mass), 1))])
        return row.ravel()


def _beyond_chance(agree: Floats, total: Floats, first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Weight of agreement beyond chance, and the weight that chance leaves for it; kappa is their ratio."""
    by_chance = np.einsum("rpk,rpk->rp", _shares(first), _shares(second))
    room = total * (1 - by_chance)
    return agree - total * by_chance, np.where(1 - by_chance > 1e-12, room, 0)


def _shares(weights: Floats) -> Floats:
    total = weights.sum(axis=-1, keepdims=True)
    shares: Floats = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    return shares


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient of at most 1 (rounding of weights must not pass it), nan where there is nothing to divide by."""
    known = below > 1e-300
    ratio: Floats = np.divide(above, below, out=np.full_like(below, np.nan), where=known)
    return np.minimum(ratio, 1)
