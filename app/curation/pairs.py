"""Boundary pairs: nearest items with different labels, where clusters of the two sides overlap.

After Krause & Chang 2025: cluster each side, search the overlapping pairs of clusters for nearest opposite-label
pairs, and if there are more than the budget, prefer pairs that cover a larger area. What they leave open is
settled in docs/method.md.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.curation.arrays import AnyArray, Bools, Floats32, Ints, unit_rows
from app.curation.clustering import Clusters, cluster_side, overlapping
from app.curation.nearest import Matches, search
from app.curation.splits import exact_groups

SHORTLIST = 4
PER_CELL = 8
MAX_PASSES = 16


@dataclass(frozen=True)
class Pairs:
    """Boundary pairs in order of choice; arrays (pairs,).

    ``left`` and ``right`` are ordinals, ``left_label`` < ``right_label``, ``similarity`` is the cosine, clusters
    are numbered within their label. ``note`` says in plain words why there are fewer than asked for, or is "".
    """

    left: Ints
    right: Ints
    left_label: Ints
    right_label: Ints
    similarity: Floats32
    left_cluster: Ints
    right_cluster: Ints
    note: str = ""

    def __len__(self) -> int:
        return len(self.left)


Candidate = tuple[int, int, float, int, int]
"""Left ordinal, right ordinal, cosine, left cluster, right cluster."""


def mine_pairs(
    embeddings: AnyArray,
    labels: Ints,
    eligible: Bools,
    budget_pairs: int,
    rng: np.random.Generator,
    *,
    reuse_items: bool = False,
) -> Pairs:
    """At most ``budget_pairs`` boundary pairs among the ``eligible`` items, every two labels forming a boundary.

    ``embeddings`` (n, dim) may be a float16 memory map: it is read and converted in blocks. ``labels`` (n,) are the
    model's, -1 for none. An exact copy of a text stands for all its copies with that label. Each item is in one
    pair at most unless ``reuse_items``.
    """
    sides = {
        int(label): _distinct(embeddings, np.flatnonzero(eligible & (labels == label)))
        for label in np.unique(labels[eligible])
        if label >= 0
    }
    if budget_pairs <= 0 or len(sides) < 2:
        return _pairs([], [], "" if budget_pairs <= 0 else _one_sided(sides))
    clusters = {label: cluster_side(embeddings, items, rng) for label, items in sides.items()}
    used = np.zeros(len(labels), dtype=np.bool_)
    chosen: list[Candidate] = []
    bounds: list[tuple[int, int]] = []
    notes: list[str] = []
    # Narrow boundaries first: what they leave of their share goes to the others.
    boundaries = sorted(combinations(sides, 2), key=lambda two: min(len(sides[two[0]]), len(sides[two[1]])))
    for number, (a, b) in enumerate(boundaries):
        quota = -(-(budget_pairs - len(chosen)) // (len(boundaries) - number))
        found, note = _mine_boundary(embeddings, clusters[a], clusters[b], quota, used, reuse_items)
        chosen += found
        bounds += [(a, b)] * len(found)
        notes += [note] if note else []
    if len(chosen) < budget_pairs:
        notes.append(f"Only {len(chosen)} of {budget_pairs} boundary pairs could be found.")
    return _pairs(chosen, bounds, " ".join(dict.fromkeys(notes)))


def _mine_boundary(
    embeddings: AnyArray, left: Clusters, right: Clusters, quota: int, used: Bools, reuse_items: bool
) -> tuple[list[Candidate], str]:
    overlaps = overlapping(embeddings, left, right)
    note = "" if overlaps.overlapping else "No clusters overlap, so the nearest clusters were searched."
    chosen: list[Candidate] = []
    for _ in range(MAX_PASSES):
        wanted = SHORTLIST * (quota - len(chosen))
        # Room for cells that have less than their share; what is still missing, a later pass finds.
        per_cell = max(PER_CELL, SHORTLIST * wanted // int(overlaps.cells.sum()))
        found = search(embeddings, left, right, overlaps.cells, used, per_cell)
        shortlist = _round_robin(found, wanted, used, reuse_items)
        spread = _spread(embeddings, shortlist, quota - len(chosen))
        chosen += spread
        for a, b, *_ in spread:
            used[[a, b]] = not reuse_items
        if len(chosen) >= quota or not spread or reuse_items:
            break
    return chosen, note


def _round_robin(found: Matches, size: int, used: Bools, reuse_items: bool) -> list[Candidate]:
    """The nearest pair of each pair of clusters, then the second of each, and so on; each item once."""
    taken = used.copy()
    chosen: list[Candidate] = []
    for k in np.lexsort((-found.similarity, found.rank)).tolist():
        if len(chosen) == size:
            break
        left, right = int(found.left[k]), int(found.right[k])
        if not taken[left] and not taken[right]:
            taken[[left, right]] = not reuse_items
            clusters = int(found.left_cluster[k]), int(found.right_cluster[k])
            chosen.append((left, right, float(found.similarity[k]), *clusters))
    return chosen


def _spread(embeddings: AnyArray, candidates: list[Candidate], size: int) -> list[Candidate]:
    """Farthest-first choice (Gonzalez 1985): start with the nearest pair, then whichever pair's midpoint is
    farthest from all chosen midpoints, so that few pairs cover a large area."""
    if len(candidates) <= size:
        return candidates
    lefts, rights = np.array([c[0] for c in candidates]), np.array([c[1] for c in candidates])
    middles = (unit_rows(embeddings[lefts]) + unit_rows(embeddings[rights])) / 2
    chosen = [int(np.argmax([c[2] for c in candidates]))]
    distance = np.full(len(candidates), np.inf)
    while len(chosen) < size:
        distance = np.minimum(distance, ((middles - middles[chosen[-1]]) ** 2).sum(axis=1))
        distance[chosen[-1]] = -1
        chosen.append(int(distance.argmax()))
    return [candidates[k] for k in chosen]


def _distinct(embeddings: AnyArray, items: Ints) -> Ints:
    """The first of each set of exact copies: an expert should not rule on one text twice."""
    return items[exact_groups(embeddings, items)[1]]


def _one_sided(sides: dict[int, Ints]) -> str:
    if not sides:
        return "No items are left to choose from."
    return "The model gives every item that is left the same label, so there is no boundary to search."


def _pairs(chosen: list[Candidate], bounds: list[tuple[int, int]], note: str) -> Pairs:
    ints = np.array([(a, b, left, right) for a, b, _, left, right in chosen], dtype=np.int64).reshape(-1, 4)
    labels = np.array(bounds, dtype=np.int64).reshape(-1, 2)
    similarity = np.array([pair[2] for pair in chosen], dtype=np.float32)
    return Pairs(ints[:, 0], ints[:, 1], labels[:, 0], labels[:, 1], similarity, ints[:, 2], ints[:, 3], note)


def no_pairs() -> Pairs:
    return _pairs([], [], "")
