"""Near-duplicate groups, and a split into fine-tuning and evaluation items that never parts a group."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from app.curation.arrays import AnyArray, Bools, Ints, unit_rows
from app.errors import InvalidInput

TRAIN, EVALUATION = "train", "evaluation"
SPLIT_MODES = ("grouped", "paper")
NEAR_DUPLICATE = 0.95
BLOCK = 2048


def near_duplicate_groups(embeddings: AnyArray, threshold: float = NEAR_DUPLICATE) -> Ints:
    """Group ids (n,), numbered by first appearance: items joined by a chain of cosines of ``threshold`` or more.

    Exact copies are joined first, so that many copies of a text cost no more than one. Memory: one block of
    cosines; time: n * n * dim. Rows of zeros are only joined to each other.
    """
    copies, firsts = exact_groups(embeddings)
    rows = unit_rows(np.asarray(embeddings)[firsts])
    lefts, rights = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for i in range(0, len(rows), BLOCK):
        for j in range(i, len(rows), BLOCK):
            near = rows[i : i + BLOCK] @ rows[j : j + BLOCK].T >= threshold
            left, right = np.nonzero(np.triu(near, 1) if i == j else near)
            lefts.append(left + i)
            rights.append(right + j)
    return _components(len(firsts), np.concatenate(lefts), np.concatenate(rights))[copies]


def exact_groups(embeddings: AnyArray, items: Ints | None = None) -> tuple[Ints, Ints]:
    """Group id of each row (or of each row in ``items``) by its exact bytes, and the first of each group.

    Groups are numbered by first appearance; firsts are positions in the rows looked at, which are read by blocks.
    """
    looked_at = np.arange(len(embeddings)) if items is None else items
    seen: dict[bytes, int] = {}
    groups = np.empty(len(looked_at), dtype=np.int64)
    firsts: list[int] = []
    for start in range(0, len(looked_at), BLOCK):
        # Adding zero turns -0.0 into 0.0, which is the same number in other bytes.
        block = np.ascontiguousarray(np.asarray(embeddings[looked_at[start : start + BLOCK]]) + 0.0)
        for offset, row in enumerate(block):
            key = hashlib.blake2b(row, digest_size=16).digest()
            group = seen.setdefault(key, len(firsts))
            if group == len(firsts):
                firsts.append(start + offset)
            groups[start + offset] = group
    return groups, np.array(firsts, dtype=np.int64)


def merge_groups(n: int, pairs: Iterable[tuple[int, int]], duplicates: Ints | None = None) -> Ints:
    """Group ids (n,) that join pair members (positions 0..n-1) and the groups in ``duplicates`` (n,)."""
    edges = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
    if duplicates is not None and n:
        _, firsts, inverse = np.unique(duplicates, return_index=True, return_inverse=True)
        edges = np.concatenate([edges, np.column_stack([np.arange(n), firsts[inverse]])])
    return _components(n, edges[:, 0], edges[:, 1])


def split_groups(
    groups: Ints,
    evaluation_share: float,
    rng: np.random.Generator,
    *,
    fixed: Mapping[int, str] | None = None,
    mode: str = "grouped",
) -> AnyArray:
    """'train' or 'evaluation' for each item, whole groups at a time.

    Groups come in random order and join the evaluation set while that brings its size closer to
    ``evaluation_share`` of all items given. ``fixed`` maps group ids to the split that they already have: a twin
    of an earlier item follows it, and counts towards the share. Mode 'paper' draws items one by one, as the
    published method does, and leaves twins on both sides; ``fixed`` holds there too.
    """
    if mode not in SPLIT_MODES:
        raise InvalidInput(f"The split mode is {' or '.join(SPLIT_MODES)}, not {mode}.", field="split_mode")
    keys = np.asarray(groups, dtype=np.int64)
    known = fixed or {}
    split = np.array([known.get(int(key), "") for key in keys], dtype="<U10")
    free = np.flatnonzero(split == "")
    split[free] = TRAIN
    target = round(evaluation_share * len(keys)) - int((split == EVALUATION).sum())
    _, units = np.unique(keys[free], return_inverse=True) if mode == "grouped" else (None, np.arange(len(free)))
    split[free[_filled(units, target, rng)]] = EVALUATION
    return split


def split_round(
    groups: Ints,
    earlier: Sequence[str],
    new: Bools,
    control: Bools,
    evaluation_share: float,
    rng: np.random.Generator,
    *,
    mode: str = "grouped",
) -> AnyArray:
    """The split of a round's items, one entry per True in ``new``; '' for an item that belongs to neither.

    Rows are the items of all rounds so far: ``groups`` (items,) keys over all of them, ``earlier`` (items,) the
    split given before or '', ``control`` (items,) the control slice. A near-duplicate of an earlier item follows it;
    one that would join a training and an evaluation group is left out. The control slice measures the pool, so all
    of this round's is evaluated, within the evaluation share; mode 'paper' draws every item alike.
    """
    before: dict[int, set[str]] = {}
    for group, split in zip(groups, earlier, strict=True):
        if split:
            before.setdefault(int(group), set()).add(str(split))
    kept_apart = new & control & (mode != "paper")
    fixed = dict.fromkeys(groups[kept_apart].tolist(), EVALUATION)
    fixed |= {group: next(iter(splits)) for group, splits in before.items() if len(splits) == 1}
    mine = np.flatnonzero(new)
    usable = np.array([len(before.get(int(groups[row]), ())) < 2 for row in mine], dtype=np.bool_)
    result = np.full(len(mine), "", dtype="<U10")
    result[usable] = split_groups(groups[mine[usable]], evaluation_share, rng, fixed=fixed, mode=mode)
    return result


def _filled(units: Ints, target: int, rng: np.random.Generator) -> Ints:
    """Positions whose units, taken whole and in random order, come closest to ``target`` in number."""
    sizes = np.bincount(units) if len(units) else np.zeros(0, dtype=np.int64)
    chosen, total = np.zeros(len(sizes), dtype=np.bool_), 0
    for unit in rng.permutation(len(sizes)):
        if abs(total + sizes[unit] - target) < abs(total - target):
            chosen[unit] = True
            total += int(sizes[unit])
    return np.flatnonzero(chosen[units])


def _components(n: int, left: Ints, right: Ints) -> Ints:
    """Connected components of n nodes, numbered by first appearance."""
    graph = sparse.coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    found = connected_components(graph, directed=False)[1]
    _, firsts, inverse = np.unique(found, return_index=True, return_inverse=True)
    rank = np.empty(len(firsts), dtype=np.int64)
    rank[np.argsort(firsts)] = np.arange(len(firsts))
    return rank[inverse]
