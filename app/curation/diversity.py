"""Few items that stand for many: what keeps a round from asking about one kind of text again and again."""

import warnings

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from app.curation.arrays import AnyArray, Ints, unit_rows

MAX_CLUSTERS = 256
PASSES = 20
FIT_ROWS = 8192


def spread(embeddings: AnyArray, candidates: Ints, n_items: int, rng: np.random.Generator) -> Ints:
    """Positions in ``candidates`` of at most ``n_items`` that lie far apart, after Zhdanov 2019: weighted k-means of
    the candidates into as many clusters as items, and of each cluster the item nearest its centre.

    ``candidates`` (m,) are rows of ``embeddings``, best first, and only those are read. A candidate of rank r, from
    0, weighs n_items / (n_items + r): by rank and not by score, because scores of different models differ in scale.
    More than 256 items come from 256 clusters, each giving its nearest, then its second nearest, and so on. Clusters
    are fitted on 8,192 candidates at most, evenly spaced in rank; so time is m * 256 * dim at most.
    """
    if len(candidates) <= n_items:
        return np.arange(len(candidates))
    if n_items < 1:
        return np.zeros(0, dtype=np.int64)
    rows = unit_rows(embeddings[candidates])
    weights, step = n_items / (n_items + np.arange(len(rows))), -(-len(rows) // FIT_ROWS)
    model = KMeans(min(n_items, MAX_CLUSTERS), n_init=1, max_iter=PASSES, random_state=int(rng.integers(2**31)))
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters is no fault: the other clusters give a second item.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows[::step], sample_weight=weights[::step])
    clusters = model.predict(rows)
    distances = np.linalg.norm(rows - model.cluster_centers_[clusters], axis=1)
    rank = _rank_within(clusters, distances)
    return np.lexsort((distances, rank))[:n_items]


def _rank_within(clusters: Ints, distances: AnyArray) -> Ints:
    """0 for the item of each cluster that is nearest its centre, 1 for the next, and so on."""
    order = np.lexsort((distances, clusters))
    starts = np.searchsorted(clusters[order], clusters[order])
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - starts
    return rank
