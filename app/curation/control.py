"""The control slice: items drawn at random with known chances, so that figures can be weighted back to the pool."""

from dataclasses import dataclass

import numpy as np

from app.curation.arrays import AnyArray, Bools, Floats, Ints

EVERY_LABEL = -1
WHOLE, DOUBTED, TRUSTED = 0, 1, 2
LEAST_DOUBT = 0.005
"""Scores are never believed to be surer than this: a half that were nearly empty would leave the other unmeasured."""

Stratum = tuple[int, int, Ints]


@dataclass(frozen=True)
class ControlSlice:
    """``items`` (n,) ordinals; ``strata`` (n,) the model's label that each was drawn under, or -1 if the draw was
    not stratified; ``halves`` (n,) WHOLE, or DOUBTED or TRUSTED where that label's items were parted by score;
    ``drawn`` and ``sizes`` (n,) of that stratum or half; ``propensities`` (n,) = drawn / sizes."""

    items: Ints
    strata: Ints
    halves: Ints
    drawn: Ints
    sizes: Ints

    @property
    def propensities(self) -> Floats:
        chances: Floats = self.drawn / np.maximum(self.sizes, 1)
        return chances


def draw_control(
    labels: Ints, eligible: Bools, n_items: int, rng: np.random.Generator, scores: AnyArray | None = None
) -> ControlSlice:
    """Draw ``n_items`` of the eligible without replacement, stratified by the model's label (-1 is a stratum too).

    Every stratum gets the same number, as far as it has that many: a proportional draw from a pool with 1 %
    positives would hold none. With fewer items than strata the draw is simple random, since a stratum that is
    never drawn would bias the weighted figure. With ``scores`` (n, labels) the largest stratum is parted into the
    items that the model doubts and those that it trusts, if that leaves each stratum and half an item: what the model
    misses in a rare label lies mostly among the doubted, and weighs most.
    """
    free = np.flatnonzero(eligible)
    wanted = min(n_items, len(free))
    strata = _strata(labels, free, wanted)
    if scores is not None and len(strata) < wanted:
        strata = _parted(strata, scores)
    shares = spared_shares([len(members) for *_, members in strata], wanted)
    items, names = [np.zeros(0, dtype=np.int64)], []
    for (label, half, members), share in zip(strata, shares, strict=True):
        items.append(rng.choice(members, share, replace=False))
        names += [(label, half, share, len(members))] * share
    return ControlSlice(np.concatenate(items), *np.array(names, dtype=np.int64).reshape(-1, 4).T)


def _strata(labels: Ints, free: Ints, wanted: int) -> list[Stratum]:
    present = np.unique(labels[free])
    if wanted < len(present):
        return [(EVERY_LABEL, WHOLE, free)]
    return [(int(label), WHOLE, free[labels[free] == label]) for label in present]


def _parted(strata: list[Stratum], scores: AnyArray) -> list[Stratum]:
    """The largest stratum cut where the sum of sqrt(p (1 - p)) of its items, from the most doubted on, is half of the
    whole; p is the score of their label (the cumulative root rule of Dalenius & Hodges 1959)."""
    largest = max(range(len(strata)), key=lambda k: len(strata[k][2]))
    label, _, members = strata[largest]
    if label < 0:
        return strata
    trust = np.asarray(scores[members, label], dtype=np.float64)
    order = np.argsort(trust, kind="stable")
    clipped = np.clip(trust[order], LEAST_DOUBT, 1 - LEAST_DOUBT)
    rising = np.cumsum(np.sqrt(clipped * (1 - clipped)))
    cut = int(np.searchsorted(rising, rising[-1] / 2)) + 1
    if cut >= len(members):
        return strata
    halves = [(label, DOUBTED, members[order[:cut]]), (label, TRUSTED, members[order[cut:]])]
    return [*strata[:largest], *halves, *strata[largest + 1 :]]


def spared_shares(sizes: list[int], wanted: int) -> list[int]:
    """Even shares that leave half of every stratum to the mining, while the others can give what is missing: a few
    positives drawn to the last one would leave the mining no second side."""
    shares = even_shares([(size + 1) // 2 for size in sizes], wanted)
    return shares if sum(shares) == wanted else even_shares(sizes, wanted)


def even_shares(sizes: list[int], wanted: int) -> list[int]:
    """``wanted`` split evenly over strata that hold ``sizes``; what a small one cannot give, larger ones do."""
    shares = [0] * len(sizes)
    left = wanted
    for position, stratum in enumerate(sorted(range(len(sizes)), key=lambda k: sizes[k])):
        shares[stratum] = min(sizes[stratum], left // (len(sizes) - position))
        left -= shares[stratum]
    return shares
