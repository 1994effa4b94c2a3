"""Boundary pairs: nearest items with different labels, where clusters of the two sides overlap.

After Krause & Chang 2025: cluster each side, search the overlapping pairs of clusters for nearest opposite-label
pairs, and if there are more than the budget, prefer pairs that cover a larger area. What they leave open is
settled in docs/method.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from app.curation.arrays import AnyArray, Bools, Floats32, Ints, unit_rows
from app.curation.clustering import Clusters, cluster_side, overlapping
from app.curation.splits import exact_groups

BLOCK_CELLS = 4_000_000
SHORTLIST = 4
MAX_CLUSTER_PAIRS = 1024
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
    cells = list(zip(overlaps.left.tolist(), overlaps.right.tolist(), strict=True))[:MAX_CLUSTER_PAIRS]
    chosen: list[Candidate] = []
    for _ in range(MAX_PASSES):
        lists = [_nearest_pairs(embeddings, left, right, cell, used) for cell in cells]
        cells = [cell for cell, found in zip(cells, lists, strict=True) if found]
        shortlist = _round_robin(lists, SHORTLIST * (quota - len(chosen)), used, reuse_items)
        spread = _spread(embeddings, shortlist, quota - len(chosen))
        chosen += spread
        for a, b, *_ in spread:
            used[[a, b]] = not reuse_items
        if len(chosen) >= quota or not spread or reuse_items:
            break
    return chosen, note


def _nearest_pairs(
    embeddings: AnyArray, left: Clusters, right: Clusters, cell: tuple[int, int], used: Bools
) -> list[Candidate]:
    """Each unused item's nearest of the other side within two clusters, nearest pairs first, each item once."""
    a, b = (side.members[number] for side, number in zip((left, right), cell, strict=True))
    a, b = a[~used[a]], b[~used[b]]
    if not len(a) or not len(b):
        return []
    pairs, cosines = _nearest_both_ways(unit_rows(embeddings[a]), unit_rows(embeddings[b]))
    order = np.argsort(-cosines, kind="stable")
    taken_a, taken_b = np.zeros(len(a), np.bool_), np.zeros(len(b), np.bool_)
    found: list[Candidate] = []
    for k in order:
        i, j = pairs[k]
        if taken_a[i] or taken_b[j]:
            continue
        taken_a[i] = taken_b[j] = True
        found.append((int(a[i]), int(b[j]), float(cosines[k]), *cell))
    return found


def _nearest_both_ways(a: Floats32, b: Floats32) -> tuple[Ints, Floats32]:
    """Index pairs (i, j) and cosines: every row of ``a`` with its nearest of ``b``, and the reverse."""
    rows = max(1, BLOCK_CELLS // len(b))
    best_b = np.full(len(b), -np.inf, dtype=np.float32)
    from_b = np.zeros(len(b), dtype=np.int64)
    from_a, best_a = [], []
    for start in range(0, len(a), rows):
        cosines = a[start : start + rows] @ b.T
        nearest = cosines.argmax(axis=1)
        from_a.append(nearest)
        best_a.append(cosines[np.arange(len(nearest)), nearest])
        top = cosines.argmax(axis=0)
        value = cosines[top, np.arange(len(b))]
        better = value > best_b
        best_b[better], from_b[better] = value[better], top[better] + start
    forward = np.column_stack([np.arange(len(a)), np.concatenate(from_a)])
    backward = np.column_stack([from_b, np.arange(len(b))])
    return np.concatenate([forward, backward]), np.concatenate([*best_a, best_b])


def _round_robin(lists: list[list[Candidate]], size: int, used: Bools, reuse_items: bool) -> list[Candidate]:
    """The nearest pair of each pair of clusters, then the second of each, and so on; each item once."""
    taken = used.copy()
    chosen: list[Candidate] = []
    for layer in _layers(lists):
        for pair in layer:
            if len(chosen) == size:
                return chosen
            if taken[pair[0]] or taken[pair[1]]:
                continue
            taken[[pair[0], pair[1]]] = not reuse_items
            chosen.append(pair)
    return chosen


def _layers(lists: list[list[Candidate]]) -> Iterator[list[Candidate]]:
    depth = max((len(found) for found in lists), default=0)
    for rank in range(depth):
        yield sorted((found[rank] for found in lists if len(found) > rank), key=lambda pair: -pair[2])


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
