"""What the experts' answers to an item amount to. A tie is never broken here: a person decides it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from app.curation.arrays import MISSING, AnyArray, Ints

SOURCES = ("none", "single", "unanimous", "majority", "tie")


@dataclass(frozen=True)
class Consensus:
    """``labels`` (items,) with -1 for a tie or no answer; ``sources`` (items,) of SOURCES; ``votes`` (items,) is
    how many answers the item has; ``counts`` (items, labels) how many each label got."""

    labels: Ints
    sources: AnyArray
    votes: Ints
    counts: Ints


def consensus(ratings: ArrayLike, n_labels: int) -> Consensus:
    """Consensus of ratings (items, experts), -1 missing: the label with strictly more answers than any other."""
    table = np.asarray(ratings, dtype=np.int64)
    if table.size and int(table.max()) >= n_labels:
        raise ValueError("a rating is not one of the labels")
    counts = np.stack([(table == label).sum(axis=1) for label in range(n_labels)], axis=1)
    votes = counts.sum(axis=1)
    top = counts.max(axis=1)
    winners = (counts == top[:, None]).sum(axis=1)
    sources = np.select(
        [votes == 0, winners > 1, votes == 1, top == votes], ["none", "tie", "single", "unanimous"], default="majority"
    )
    labels = np.where((votes > 0) & (winners == 1), counts.argmax(axis=1), MISSING)
    return Consensus(labels.astype(np.int64), sources, votes, counts)
