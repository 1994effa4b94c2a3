"""Contrast pairs among items that were chosen for other reasons than being one: for the experts' eyes."""

import numpy as np
from numpy.typing import ArrayLike

from app.curation.arrays import AnyArray, unit_rows
from app.curation.pairs import Pairs

LEAST_COSINE = 0.4  # below it two short texts have too little in common to be compared side by side


def contrast_pairs(embeddings: AnyArray, items: ArrayLike, labels: ArrayLike, least: float = LEAST_COSINE) -> Pairs:
    """Pairs of the ``items`` (ordinals) that are each other's nearest among those with another label.

    ``labels`` (n,) are the model's for the whole pool. Each item is in one pair at most; the nearest pairs come
    first. A strategy that mines single items has no boundary pairs, and its experts would never see two texts of
    opposite labels beside each other, which is where a guideline's gaps show.
    """
    chosen = np.asarray(items, dtype=np.int64)
    sides = np.asarray(labels, dtype=np.int64)[chosen]
    rows = unit_rows(embeddings[chosen])
    cosine = np.where(sides[:, None] != sides[None, :], rows @ rows.T, -np.inf)
    if len(chosen) < 2 or not np.isfinite(cosine).any():
        return _pairs(chosen[:0], chosen[:0], sides[:0], sides[:0], np.zeros(0, dtype=np.float32))
    nearest = cosine.argmax(axis=1)
    place = np.arange(len(chosen))
    mutual = (nearest[nearest] == place) & (sides < sides[nearest]) & (cosine[place, nearest] >= least)
    first = np.flatnonzero(mutual)
    first = first[np.argsort(-cosine[first, nearest[first]], kind="stable")]
    second = nearest[first]
    return _pairs(chosen[first], chosen[second], sides[first], sides[second], cosine[first, second])


def _pairs(left: AnyArray, right: AnyArray, left_label: AnyArray, right_label: AnyArray, cosine: AnyArray) -> Pairs:
    nowhere = np.full(len(left), -1, dtype=np.int64)  # such a pair comes from no clusters
    return Pairs(left, right, left_label, right_label, cosine.astype(np.float32), nowhere, nowhere)
