"""Clusters of each side of a boundary, and which clusters of opposite sides overlap.

A cluster's ball has its centroid as centre and the 90 % quantile of its members' distances as radius. Two clusters
of opposite sides overlap when at least 5 % of either's members lie inside the other's ball. Centroid distance
against the sum of radii would be the simpler test, but in hundreds of dimensions radii are nearly as long as any
distance and everything would overlap.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning

from app.curation.arrays import AnyArray, Floats32, Ints, unit_rows

MAX_CLUSTERS = 256
FIT_ROWS = 20_000
SMALL_SIDE = 3_000
RADIUS_QUANTILE = 0.9
MIN_INSIDE = 0.05
BLOCK = 8192


@dataclass(frozen=True)
class Clusters:
    """Items of one side in clusters.

    ``members``: ordinals by cluster, none empty; ``centroids`` (clusters, dim); ``radii`` (clusters,) are
    Euclidean distances between unit vectors.
    """

    members: list[Ints]
    centroids: Floats32
    radii: Floats32


@dataclass(frozen=True)
class Overlaps:
    """Pairs of clusters (left, right), strongest first. ``strength`` is the larger share of one's members inside
    the other's ball; ``overlapping`` is False when no two clusters overlap and the nearest were taken instead."""

    left: Ints
    right: Ints
    strength: Floats32
    overlapping: bool


def clusters_for(n: int) -> int:
    """sqrt(n / 2) clusters, at most 256: clusters grow with the side, and so does their number."""
    return int(min(MAX_CLUSTERS, max(1, round((n / 2) ** 0.5)), max(n, 1)))


def cluster_side(
    embeddings: AnyArray, items: Ints, rng: np.random.Generator, *, n_clusters: int | None = None
) -> Clusters:
    """k-means of the rows ``items`` of ``embeddings``, fitted on at most 20,000 of them drawn at random.

    ``items`` must not be empty. Memory: the fitted rows and one block as float32, whatever the type on disk.
    """
    wanted = min(n_clusters or clusters_for(len(items)), len(items))
    fitted = items if len(items) <= FIT_ROWS else np.sort(rng.choice(items, FIT_ROWS, replace=False))
    centroids = _fit(unit_rows(embeddings[fitted]), wanted, int(rng.integers(2**31)))
    nearest = np.concatenate([_nearest_centroid(rows, centroids) for _, rows in blocks(embeddings, items)])
    return _gather(embeddings, items, nearest)


def overlapping(embeddings: AnyArray, left: Clusters, right: Clusters) -> Overlaps:
    """Which clusters of two sides overlap; if none do, each cluster of the side with fewer and its nearest."""
    inside = np.maximum(_share_inside(embeddings, left, right), _share_inside(embeddings, right, left).T)
    rows, columns = np.nonzero(inside >= MIN_INSIDE)
    found = len(rows) > 0
    if not found:
        rows, columns = _nearest_clusters(left.centroids, right.centroids)
    strength = inside[rows, columns]
    distance = _distances(left.centroids, right.centroids)[rows, columns]
    order = np.lexsort((distance, -strength))
    return Overlaps(rows[order], columns[order], strength[order], found)


def blocks(embeddings: AnyArray, items: Ints) -> Iterator[tuple[Ints, Floats32]]:
    """``items`` and their unit rows, a block at a time, so that a memory map is never read whole."""
    for start in range(0, len(items), BLOCK):
        part = items[start : start + BLOCK]
        yield part, unit_rows(embeddings[part])


def _fit(rows: Floats32, n_clusters: int, seed: int) -> Floats32:
    kind = KMeans if len(rows) <= SMALL_SIDE else MiniBatchKMeans
    options = {"max_iter": 50} if kind is KMeans else {"batch_size": 4096, "max_iter": 20}
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters is no fault: empty clusters are dropped below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = kind(n_clusters, n_init=1, random_state=seed, **options).fit(rows)
    return np.asarray(model.cluster_centers_, dtype=np.float32)


def _gather(embeddings: AnyArray, items: Ints, nearest: Ints) -> Clusters:
    members, centroids, radii = [], [], []
    for cluster in np.unique(nearest):
        own = items[nearest == cluster]
        rows = unit_rows(embeddings[own])
        centroid = rows.mean(axis=0)
        members.append(own)
        centroids.append(centroid)
        radii.append(np.quantile(np.linalg.norm(rows - centroid, axis=1), RADIUS_QUANTILE))
    return Clusters(members, np.stack(centroids), np.array(radii, dtype=np.float32))


def _distances(rows: Floats32, centroids: Floats32) -> Floats32:
    square = (rows**2).sum(axis=1)[:, None] + (centroids**2).sum(axis=1)[None, :] - 2 * rows @ centroids.T
    distances: Floats32 = np.sqrt(np.maximum(square, 0))
    return distances


def _nearest_centroid(rows: Floats32, centroids: Floats32) -> Ints:
    nearest: Ints = _distances(rows, centroids).argmin(axis=1)
    return nearest


def _share_inside(embeddings: AnyArray, inner: Clusters, outer: Clusters) -> Floats32:
    """(inner clusters, outer clusters): share of each inner cluster's members inside each outer ball."""
    shares = np.empty((len(inner.members), len(outer.members)), dtype=np.float32)
    for number, members in enumerate(inner.members):
        hits = np.zeros(len(outer.members))
        for _, rows in blocks(embeddings, members):
            # The slack keeps rounding from parting equal points, whose radius is 0.
            hits += (_distances(rows, outer.centroids) <= outer.radii + 1e-3).sum(axis=0)
        shares[number] = hits / len(members)
    return shares


def _nearest_clusters(left: Floats32, right: Floats32) -> tuple[Ints, Ints]:
    distances = _distances(left, right)
    if len(left) <= len(right):
        return np.arange(len(left)), distances.argmin(axis=1)
    return distances.argmin(axis=0), np.arange(len(right))
