"""The order in which experts see a round's items: shuffled, the members of a pair apart."""

import numpy as np

from app.curation.arrays import Ints


def spread_positions(n: int, pairs: list[tuple[int, int]], rng: np.random.Generator) -> Ints:
    """Position (n,) of each item, 0..n-1: a random order in which no pair's members are neighbours, if possible.

    An expert who sees two look-alikes in a row compares them, and the answers are no longer independent. Each
    offending neighbour changes places with the first item, in random order, that mends more than it spoils.
    """
    order = rng.permutation(n)
    partner = np.full(n, -1, dtype=np.int64)
    for a, b in pairs:
        partner[a], partner[b] = b, a
    for _ in range(3):
        clashes = _clashes(order, partner)
        for k in clashes:
            _move_apart(order, partner, int(k), rng)
        if not len(clashes):
            break
    positions = np.empty(n, dtype=np.int64)
    positions[order] = np.arange(n)
    return positions


def _clashes(order: Ints, partner: Ints) -> Ints:
    """Places whose item is followed by its partner."""
    return np.flatnonzero(partner[order[:-1]] == order[1:])


def _move_apart(order: Ints, partner: Ints, place: int, rng: np.random.Generator) -> None:
    before = len(_clashes(order, partner))
    for one in (place + 1, place):
        for other in rng.permutation(len(order)):
            order[[one, other]] = order[[other, one]]
            if len(_clashes(order, partner)) < before:
                return
            order[[one, other]] = order[[other, one]]
