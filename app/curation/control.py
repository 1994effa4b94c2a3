"""The control slice: items drawn at random with known chances, so that figures can be weighted back to the pool."""

from dataclasses import dataclass

import numpy as np

from app.curation.arrays import Bools, Floats, Ints

EVERY_LABEL = -1


@dataclass(frozen=True)
class ControlSlice:
    """``items`` (n,) ordinals; ``strata`` (n,) the model's label that each was drawn under, or -1 if the draw was
    not stratified; ``drawn`` and ``sizes`` (n,) of that stratum; ``propensities`` (n,) = drawn / sizes."""

    items: Ints
    strata: Ints
    drawn: Ints
    sizes: Ints

    @property
    def propensities(self) -> Floats:
        chances: Floats = self.drawn / np.maximum(self.sizes, 1)
        return chances


def draw_control(labels: Ints, eligible: Bools, n_items: int, rng: np.random.Generator) -> ControlSlice:
    """Draw ``n_items`` of the eligible without replacement, stratified by the model's label (-1 is a stratum too).

    Every stratum gets the same number, as far as it has that many: a proportional draw from a pool with 1 %
    positives would hold none. With fewer items than strata the draw is simple random, since a stratum that is
    never drawn would bias the weighted figure.
    """
    free = np.flatnonzero(eligible)
    wanted = min(n_items, len(free))
    present = np.unique(labels[free])
    if wanted < len(present):
        strata = [(EVERY_LABEL, free)]
    else:
        strata = [(int(label), free[labels[free] == label]) for label in present]
    shares = spared_shares([len(members) for _, members in strata], wanted)
    items, names, drawn, sizes = [], [], [], []
    for (name, members), share in zip(strata, shares, strict=True):
        items.append(rng.choice(members, share, replace=False))
        names += [name] * share
        drawn += [share] * share
        sizes += [len(members)] * share
    chosen = np.concatenate([np.zeros(0, dtype=np.int64), *items])
    as_ints = [np.array(values, dtype=np.int64) for values in (names, drawn, sizes)]
    return ControlSlice(chosen, *as_ints)


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
