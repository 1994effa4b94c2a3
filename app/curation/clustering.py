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
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

from app.curation.arrays import AnyArray, Bools, Floats32, Ints, unit_rows

MAX_CLUSTERS = 1024
FIT_ROWS = 20_000
FIT_ROWS_PER_CLUSTER = 30
SMALL_SIDE = 3_000
RADIUS_QUANTILE = 0.9
MIN_INSIDE = 0.05
LOOKED_AT = 512
BLOCK = 4096


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
    """``cells`` (left clusters, right clusters) marks the pairs of clusters to search; ``overlapping`` is False when
    no two overlap and the nearest were taken instead."""

    cells: Bools
    overlapping: bool


def clusters_for(n: int) -> int:
    """sqrt(n / 2) clusters, at most 1,024: clusters grow with the side, and so does their number."""
    return int(min(MAX_CLUSTERS, max(1, round((n / 2) ** 0.5)), max(n, 1)))


def cluster_side(
    embeddings: AnyArray, items: Ints, rng: np.random.Generator, *, n_clusters: int | None = None
) -> Clusters:
    """k-means of the rows ``items`` of ``embeddings``, fitted on 20,000 of them drawn at random, or 30 a cluster.

    ``items`` must not be empty. Memory: the fitted rows and one block as float32, whatever the type on disk.
    """
    wanted = min(n_clusters or clusters_for(len(items)), len(items))
    most = max(FIT_ROWS, FIT_ROWS_PER_CLUSTER * wanted)
    fitted = items if len(items) <= most else np.sort(rng.choice(items, most, replace=False))
    centroids = _fit(unit_rows(embeddings[fitted]), wanted, int(rng.integers(2**31)))
    return _gather(items, *_assign(embeddings, items, centroids), centroids)


def overlapping(embeddings: AnyArray, left: Clusters, right: Clusters) -> Overlaps:
    """Which clusters of two sides overlap; if none do, each cluster of the side with fewer and its nearest."""
    inside = np.maximum(_share_inside(embeddings, left, right), _share_inside(embeddings, right, left).T)
    cells = inside >= MIN_INSIDE
    found = bool(cells.any())
    return Overlaps(cells if found else _nearest_clusters(left.centroids, right.centroids), found)


def blocks(embeddings: AnyArray, items: Ints) -> Iterator[tuple[slice, Floats32]]:
    """Unit rows of ``items`` and their places, a block at a time, so that a memory map is never read whole."""
    for start in range(0, len(items), BLOCK):
        place = slice(start, start + BLOCK)
        yield place, unit_rows(embeddings[items[place]])


def nearness(rows: Floats32, centroids: Floats32) -> Floats32:
    """(rows, centroids): higher is nearer in Euclidean distance, which is sqrt(row**2 - 2 * nearness)."""
    values: Floats32 = rows @ centroids.T
    values -= np.einsum("ij,ij->i", centroids, centroids) / 2
    return values


def _fit(rows: Floats32, n_clusters: int, seed: int) -> Floats32:
    # Seeding by k-means++ costs more than all the rest on a large side, and gains next to nothing there.
    large = len(rows) > SMALL_SIDE
    options = {"init": "random", "max_iter": 10} if large else {"init": "k-means++", "max_iter": 50}
    with warnings.catch_warnings():
        # Fewer distinct rows than clusters is no fault: empty clusters are dropped below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(n_clusters, n_init=1, random_state=seed, **options).fit(rows)
    return np.asarray(model.cluster_centers_, dtype=np.float32)


def _assign(embeddings: AnyArray, items: Ints, centroids: Floats32) -> tuple[Ints, Floats32]:
    """Each item's nearest centroid and its distance."""
    nearest, distance = np.empty(len(items), dtype=np.int64), np.empty(len(items), dtype=np.float32)
    for place, rows in blocks(embeddings, items):
        values = nearness(rows, centroids)
        nearest[place] = values.argmax(axis=1)
        best = np.take_along_axis(values, nearest[place, None], axis=1)[:, 0]
        distance[place] = _distance(rows, best)
    return nearest, distance


def _gather(items: Ints, nearest: Ints, distance: Floats32, centroids: Floats32) -> Clusters:
    order = np.argsort(nearest, kind="stable")
    held, starts = np.unique(nearest[order], return_index=True)
    members = np.split(items[order], starts[1:])
    radii = [np.quantile(own, RADIUS_QUANTILE) for own in np.split(distance[order], starts[1:])]
    return Clusters(members, centroids[held], np.array(radii, dtype=np.float32))


def _distance(rows: Floats32, value: Floats32) -> Floats32:
    """Euclidean distance of each row from the centroid to which ``value``, of shape (rows, …), is its nearness."""
    squares = np.einsum("ij,ij->i", rows, rows).reshape(-1, *[1] * (value.ndim - 1))
    distance: Floats32 = np.sqrt(np.maximum(squares - 2 * value, 0))
    return distance


def _share_inside(embeddings: AnyArray, inner: Clusters, outer: Clusters) -> Floats32:
    """(inner clusters, outer clusters): share of each inner cluster's members inside each outer ball.

    Of a large cluster every k-th member is looked at, so that at most 512 are.
    """
    shares = np.empty((len(inner.members), len(outer.members)), dtype=np.float32)
    for number, members in enumerate(inner.members):
        rows = unit_rows(embeddings[members[:: -(-len(members) // LOOKED_AT)]])
        # The slack keeps rounding from parting equal points, whose radius is 0.
        shares[number] = (_distance(rows, nearness(rows, outer.centroids)) <= outer.radii + 1e-3).mean(axis=0)
    return shares


def _nearest_clusters(left: Floats32, right: Floats32) -> Bools:
    values = nearness(left, right) - np.einsum("ij,ij->i", left, left)[:, None] / 2
    cells = np.zeros(values.shape, dtype=np.bool_)
    if len(left) <= len(right):
        cells[np.arange(len(left)), values.argmax(axis=1)] = True
    else:
        cells[values.argmax(axis=0), np.arange(len(right))] = True
    return cells
