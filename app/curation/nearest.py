"""Nearest items of opposite sides within overlapping clusters: the search that mining a large pool spends its time on.

Items of the smaller side ask, clusters of the larger side answer. An item asks the 32 nearest clusters of those that
overlap its own (an inverted file, as in Jégou, Douze & Schmid 2011, confined to the overlap), so that the cost grows
with the smaller side and the size of a cluster, not with the product of the sides.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from app.curation.arrays import AnyArray, Bools, Floats32, Ints, unit_rows
from app.curation.clustering import BLOCK, Clusters, nearness

PROBES = 32
HELD_ROWS = 262_144
BLOCK_CELLS = 4_000_000


@dataclass(frozen=True)
class Matches:
    """Pairs of opposite items from pairs of clusters, arrays (pairs,): ordinals, cosines, cluster numbers.

    ``rank`` counts a pair of clusters' pairs from its nearest, 0.
    """

    left: Ints
    right: Ints
    similarity: Floats32
    left_cluster: Ints
    right_cluster: Ints
    rank: Ints


def search(embeddings: AnyArray, left: Clusters, right: Clusters, cells: Bools, used: Bools, per_cell: int) -> Matches:
    """The ``per_cell`` nearest pairs of every two clusters that ``cells`` (left, right) marks, an item once in each.

    Items marked in ``used`` (n,) are passed over. Exact if no cluster overlaps more than 32 of the larger side.
    """
    if sum(map(len, left.members)) > sum(map(len, right.members)):
        found = search(embeddings, right, left, cells.T, used, per_cell)
        return replace(
            found,
            left=found.right,
            right=found.left,
            left_cluster=found.right_cluster,
            right_cluster=found.left_cluster,
        )
    parts = [_each_once(part, per_cell) for part in cell_matches(embeddings, left, right, cells, used, per_cell)]
    return _ranked(parts)


def cell_matches(
    embeddings: AnyArray, few: Clusters, many: Clusters, cells: Bools, used: Bools, per_cell: int
) -> Iterator[Matches]:
    """For two clusters at a time, every asking item's nearest of ``many``, and the ``per_cell`` nearest pairs among
    each item of ``many`` with its nearest asking item. Left is ``few``; ranks are 0; all in no order.

    Memory: 262,144 rows of ``few``, one cluster of ``many`` and one block of cosines, as float32.
    """
    items, homes = _unused(few, used)
    for start in range(0, len(items), HELD_ROWS):
        held, own = items[start : start + HELD_ROWS], homes[start : start + HELD_ROWS]
        rows = np.concatenate([unit_rows(embeddings[held[k : k + BLOCK]]) for k in range(0, len(held), BLOCK)])
        for cluster, who in _visitors(rows, own, many, cells):
            others = many.members[cluster][~used[many.members[cluster]]]
            if not len(others):
                continue
            other_rows = unit_rows(embeddings[others])
            for part in np.split(who, np.flatnonzero(np.diff(own[who])) + 1):
                i, j, cosines = nearest_both_ways(rows[part], other_rows, per_cell)
                numbers = (np.full(len(i), own[part[0]]), np.full(len(i), cluster), np.zeros(len(i), dtype=np.int64))
                yield Matches(held[part[i]], others[j], cosines, *numbers)


def nearest_both_ways(a: Floats32, b: Floats32, most: int) -> tuple[Ints, Ints, Floats32]:
    """Rows of ``a``, rows of ``b`` and cosines: every row of ``a`` with its nearest of ``b``, and then the reverse for
    the ``most`` rows of ``b`` that have the nearest."""
    size = max(1, BLOCK_CELLS // len(b))
    best = np.full(len(b), -np.inf, dtype=np.float32)
    nearest, cosines = np.empty(len(a), dtype=np.int64), np.empty(len(a), dtype=np.float32)
    for start in range(0, len(a), size):
        block = a[start : start + size] @ b.T
        place = slice(start, start + len(block))
        nearest[place] = block.argmax(axis=1)
        cosines[place] = block[np.arange(len(block)), nearest[place]]
        np.maximum(best, block.max(axis=0), out=best)
    top = np.argpartition(-best, most)[:most] if len(b) > most else np.arange(len(b))
    # The highest value of a column is cheap to find and its row is not: products anew, for the few that count.
    back = (b[top] @ a.T).argmax(axis=1)
    return np.concatenate([np.arange(len(a)), back]), np.concatenate([nearest, top]), np.append(cosines, best[top])


def _unused(side: Clusters, used: Bools) -> tuple[Ints, Ints]:
    """Items not yet used and their clusters, cluster by cluster."""
    items = np.concatenate(side.members)
    homes = np.repeat(np.arange(len(side.members)), [len(own) for own in side.members])
    return items[~used[items]], homes[~used[items]]


def _visitors(rows: Floats32, homes: Ints, many: Clusters, cells: Bools) -> Iterator[tuple[int, Ints]]:
    """Each cluster of ``many`` that is asked and the positions of those that ask it, in ascending order."""
    asked = [_asked(rows[k : k + BLOCK], many, cells[homes[k : k + BLOCK]]) for k in range(0, len(rows), BLOCK)]
    who = np.concatenate([part[0] + number * BLOCK for number, part in enumerate(asked)])
    which = np.concatenate([part[1] for part in asked])
    if not len(which):  # every item left on this side lies in clusters that overlap none
        return
    order = np.argsort(which, kind="stable")
    numbers, starts = np.unique(which[order], return_index=True)
    yield from zip(numbers.tolist(), np.split(who[order], starts[1:]), strict=True)


def _asked(rows: Floats32, many: Clusters, allowed: Bools) -> tuple[Ints, Ints]:
    """(row, cluster) pairs: each row's nearest clusters among those ``allowed`` (rows, clusters), at most 32."""
    if allowed.shape[1] > PROBES:
        values = np.where(allowed, nearness(rows, many.centroids), -np.inf)
        first = np.argpartition(-values, PROBES - 1, axis=1)[:, :PROBES]
        near = np.zeros_like(allowed)
        np.put_along_axis(near, first, np.True_, axis=1)
        allowed = allowed & near
    row, cluster = np.nonzero(allowed)
    return row, cluster


def _each_once(found: Matches, most: int) -> Matches:
    """The nearest pairs, at most ``most``, each item in one of them."""
    left, right = found.left.tolist(), found.right.tolist()
    seen: set[int] = set()
    kept: list[int] = []
    for k in np.argsort(-found.similarity, kind="stable").tolist():
        if len(kept) == most:
            break
        if left[k] not in seen and right[k] not in seen:
            seen |= {left[k], right[k]}
            kept.append(k)
    return _chosen(found, np.array(kept, dtype=np.int64))


def _ranked(parts: list[Matches]) -> Matches:
    """All parts as one, with ranks."""
    every = _joined(parts)
    every = _chosen(every, np.lexsort((-every.similarity, every.right_cluster, every.left_cluster)))
    changes = np.diff(every.left_cluster, prepend=-1) | np.diff(every.right_cluster, prepend=-1)
    starts = np.flatnonzero(changes)
    sizes = np.diff(starts, append=len(every.left))
    return replace(every, rank=np.arange(len(every.left)) - np.repeat(starts, sizes))


def _joined(parts: list[Matches]) -> Matches:
    none = np.zeros(0, dtype=np.int64)
    columns = [[vars(part)[name] for part in parts] or [none] for name in Matches.__dataclass_fields__]
    return Matches(*map(np.concatenate, columns))


def _chosen(found: Matches, rows: Ints) -> Matches:
    return Matches(*(vars(found)[name][rows] for name in Matches.__dataclass_fields__))
