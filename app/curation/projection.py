"""The pool in two dimensions: a layout of landmarks that is fitted once, and a rule that places any item among them.

A seeded sample of items, the landmarks, is laid out by t-SNE on cosine distance. Every item, landmark or not, is then
placed at the mean of its ten nearest landmarks' places, weighted by exp(-8 · squared distance). So an item's place
depends on its own embedding alone: items imported later join the same map, and rounds compare. A mean of landmarks
lies among them, so nothing ever falls outside.

Two principal components would be simpler, but of a text's nearest neighbours they keep less than half of what this
keeps (docs/map.md has the figures), and the pairs of a boundary would lie across the map from each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.curation.arrays import AnyArray, Floats, Floats32, Ints, unit_rows

LANDMARKS = 2048
CHECKED = 1000
NEIGHBOURS = 10
GRID = 256  # cells a side of the density
SCALE = 65535  # the map's right and lower edge as an uint16
_SHARPNESS = 8.0
_PASSES = 500
_PERPLEXITY = 30.0
_MARGIN = 0.03  # of the map's side, left free around the landmarks
_FEWEST = 5  # items that t-SNE can tell apart
_BLOCK = 4096

Places = NDArray[np.uint16]  # (n, 2): x to the right and y downwards, 0 … SCALE


@dataclass(frozen=True)
class Projection:
    """``landmarks`` (m, dim) are unit rows; ``places`` (m, 2) are theirs, in 0 … 1."""

    landmarks: Floats32
    places: Floats32


@dataclass(frozen=True)
class Kept:
    """Of the ``neighbours`` items nearest to one of ``n`` in the space, the share that is among as many nearest to it
    on the map; ``chance`` is what a random map keeps. None where there are too few items to say."""

    share: float | None
    chance: float | None
    n: int
    neighbours: int


def draw_sample(n: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Ordinals of the landmarks and of the items that the map is checked on, ascending. A small pool is all landmarks
    and is checked on them."""
    drawn = rng.permutation(n)[: LANDMARKS + CHECKED]
    landmarks, rest = np.sort(drawn[:LANDMARKS]), np.sort(drawn[LANDMARKS:])
    return landmarks, rest if len(rest) >= CHECKED else landmarks[:: max(1, len(landmarks) // CHECKED)][:CHECKED]


def fit(landmarks: AnyArray, seed: int) -> Projection:
    """Lay out ``landmarks`` (m, dim), in about 0.25 s for each hundred of 2,048. The same rows and seed give the same
    layout on the same machine: one thread, because the order of a sum over threads would change it."""
    from threadpoolctl import threadpool_limits

    rows = unit_rows(landmarks)
    start = _principal(rows)
    if len(rows) < _FEWEST:
        return Projection(rows, _within(start))
    from sklearn.manifold import TSNE

    jitter = np.random.default_rng(seed).normal(size=start.shape)  # equal rows must not begin at one point
    model = TSNE(
        2,
        perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3),
        init=(1e-4 * (start + 0.01 * jitter)).astype(np.float32),
        learning_rate="auto",
        max_iter=_PASSES,
        random_state=seed,
        n_jobs=1,
    )
    with threadpool_limits(1):
        return Projection(rows, _within(model.fit_transform(rows)))


def place(projection: Projection, rows: AnyArray) -> Floats32:
    """Where each of ``rows`` (n, dim) lies, (n, 2) in 0 … 1."""
    unit = unit_rows(rows)
    cosine = unit @ projection.landmarks.T
    k = min(NEIGHBOURS, cosine.shape[1])
    nearest = np.argpartition(-cosine, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(cosine, nearest, axis=1)
    weights = np.exp(2 * _SHARPNESS * (values - values.max(axis=1, keepdims=True)))
    weights /= weights.sum(axis=1, keepdims=True)
    placed: Floats32 = np.einsum("ij,ijk->ik", weights, projection.places[nearest])
    return placed


def place_all(
    projection: Projection, embeddings: AnyArray, start: int, stop: int, report: Callable[[int], None]
) -> Places:
    """Places of rows ``start`` to ``stop - 1``, a block at a time; ``report`` hears how many are done."""
    placed = np.empty((stop - start, 2), dtype=np.uint16)
    for first in range(start, stop, _BLOCK):
        block = embeddings[first : min(first + _BLOCK, stop)]
        placed[first - start : first - start + len(block)] = quantise(place(projection, block))
        report(first - start + len(block))
    return placed


def quantise(placed: Floats32) -> Places:
    return np.rint(np.clip(placed, 0, 1) * SCALE).astype(np.uint16)


def neighbours_kept(projection: Projection, rows: AnyArray) -> Kept:
    """How far near on the map means near in the space, on ``rows`` (n, dim)."""
    n = len(rows)
    if n <= NEIGHBOURS + 1:
        return Kept(None, None, n, NEIGHBOURS)
    unit, placed = unit_rows(rows), place(projection, rows)
    cosine = unit @ unit.T
    apart = -((placed[:, None, :] - placed[None, :, :]) ** 2).sum(axis=2)
    both = np.zeros((n, n), dtype=np.int8)
    for nearness in (cosine, apart):
        np.fill_diagonal(nearness, -np.inf)
        nearest = np.argpartition(-nearness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
        np.put_along_axis(both, nearest, np.take_along_axis(both, nearest, axis=1) + 1, axis=1)
    share = float((both == 2).sum() / (n * NEIGHBOURS))
    return Kept(share, NEIGHBOURS / (n - 1), n, NEIGHBOURS)


def density(places: Places, labels: AnyArray, n_labels: int, side: int = GRID) -> NDArray[np.uint32]:
    """Counts (n_labels + 1, side, side) by label, row and column; the last is of items without a label (-1)."""
    layer = np.where(labels < 0, n_labels, labels).astype(np.int64)
    flat = layer * side * side + cells(places, side)
    counts = np.bincount(flat, minlength=(n_labels + 1) * side * side)
    return counts.reshape(n_labels + 1, side, side).astype(np.uint32)


def cells(places: Places, side: int) -> Ints:
    """The cell of each place, row by row from the upper left one."""
    at = places.astype(np.int64) * side // (SCALE + 1)
    return np.asarray(at[:, 1] * side + at[:, 0])


def examples(places: Places, labels: AnyArray, n_labels: int, side: int) -> Ints:
    """One item of each label in each cell, (n_labels, side * side): its ordinal, or -1 where there is none.

    Of several, the one whose ordinal's hash is the least: it changes only with the label of one that comes first.
    """
    labelled = np.flatnonzero(labels >= 0)
    key = labels[labelled].astype(np.int64) * side * side + cells(places[labelled], side)
    mixed = labelled.astype(np.uint64) * np.uint64(2654435761) % np.uint64(2**32)
    order = np.lexsort((labelled, mixed, key))
    held, first = np.unique(key[order], return_index=True)
    found = np.full(n_labels * side * side, -1, dtype=np.int64)
    found[held] = labelled[order[first]]
    return found.reshape(n_labels, side * side)


def regions(places: Floats32, seed: int) -> Floats:
    """Centres (k, 2) of the map's regions, from left to right: k-means of a sample's places, sqrt(n) / 4 of them and
    14 at most."""
    from sklearn.cluster import KMeans

    distinct = len(np.unique(places, axis=0))
    wanted = min(14, max(1, round(math.sqrt(len(places)) / 4)), distinct)
    centres = KMeans(wanted, n_init=4, random_state=seed).fit(places.astype(np.float64)).cluster_centers_
    ordered: Floats = centres[np.lexsort((centres[:, 1], centres[:, 0]))]
    return ordered


def region_of(places: AnyArray, centres: Floats) -> Ints:
    """The nearest centre of each place; both in 0 … 1."""
    apart = ((np.asarray(places)[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
    return np.asarray(apart.argmin(axis=1))


def _principal(rows: Floats32) -> Floats32:
    """The first two principal components, scaled to a spread of 1; a missing one is 0."""
    centred = rows - rows.mean(axis=0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    found = np.zeros((len(rows), 2), dtype=np.float32)
    for axis in range(min(2, len(s))):
        if s[axis] > 1e-6 * max(1.0, float(s[0])):
            sign = 1.0 if vt[axis][np.abs(vt[axis]).argmax()] > 0 else -1.0  # SVD leaves it open
            found[:, axis] = sign * u[:, axis] * math.sqrt(len(rows))
    return found


def _within(layout: AnyArray) -> Floats32:
    """The layout moved and scaled into 0 … 1, both axes alike."""
    low, high = layout.min(axis=0), layout.max(axis=0)
    size = float((high - low).max()) or 1.0
    centred = (layout - (low + high) / 2) / size
    scaled: Floats32 = (0.5 + centred * (1 - 2 * _MARGIN)).astype(np.float32)
    return scaled
