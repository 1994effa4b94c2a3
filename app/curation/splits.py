"""Near-duplicate groups, and a split into fine-tuning and evaluation items that never parts a group."""

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
    """Group id of each row (or of each row in ``items``) by its exact numbers, and the first of each group.

    Groups are numbered by first appearance; firsts are positions in the rows looked at, which are read by blocks.
    Rows are compared by a 64-bit hash first and in full only where two hashes are equal.
    """
    looked_at = np.arange(len(embeddings)) if items is None else items
    hashes = np.empty(len(looked_at), dtype=np.uint64)
    for start in range(0, len(looked_at), BLOCK):
        hashes[start : start + BLOCK] = _hashes(_words(embeddings, looked_at[start : start + BLOCK]))
    _, firsts, groups = np.unique(hashes, return_index=True, return_inverse=True)
    repeated = np.flatnonzero(firsts[groups] != np.arange(len(groups)))
    differing = _differing(embeddings, looked_at, repeated, firsts[groups[repeated]])
    if len(differing):
        groups = _told_apart(embeddings, looked_at, groups, np.unique(groups[differing]))
    return _by_appearance(groups)


def _words(embeddings: AnyArray, items: Ints) -> AnyArray:
    """Rows as 64-bit words, padded with zeros; -0.0 becomes 0.0, which is the same number in other bits."""
    rows = np.array(embeddings[items])
    bits = rows.view(f"u{rows.itemsize}")
    bits[bits == 1 << (8 * rows.itemsize - 1)] = 0
    missing = -(bits.shape[1] * bits.itemsize) % 8 // bits.itemsize
    return (np.pad(bits, ((0, 0), (0, missing))) if missing else bits).view(np.uint64)


def _hashes(words: AnyArray) -> AnyArray:
    """A sum of words times odd multipliers, modulo 2**64; the shift lets high bits of a word reach low ones."""
    multipliers = np.random.default_rng(0).integers(0, 2**63, words.shape[1], dtype=np.uint64) * 2 + 1
    hashes: AnyArray = ((words ^ (words >> np.uint64(29))) * multipliers).sum(axis=1, dtype=np.uint64)
    return hashes


def _differing(embeddings: AnyArray, items: Ints, left: Ints, right: Ints) -> Ints:
    """Which positions ``left`` hold another row than the position beside them in ``right``."""
    different = [np.zeros(0, dtype=np.int64)]
    for start in range(0, len(left), BLOCK):
        part = slice(start, start + BLOCK)
        same = (_words(embeddings, items[left[part]]) == _words(embeddings, items[right[part]])).all(axis=1)
        different.append(left[part][~same])
    return np.concatenate(different)


def _told_apart(embeddings: AnyArray, items: Ints, groups: Ints, shared: Ints) -> Ints:
    """``groups`` with each of the groups ``shared``, whose rows have one hash by chance, split by their rows."""
    result = groups.copy()
    for group in shared:
        members = np.flatnonzero(groups == group)
        _, apart = np.unique(_words(embeddings, items[members]), axis=0, return_inverse=True)
        result[members] = result.max() + 1 + apart
    return result


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
    return _by_appearance(connected_components(graph, directed=False)[1])[0]


def _by_appearance(groups: AnyArray) -> tuple[Ints, Ints]:
    """Groups renumbered by first appearance, and the position of each group's first."""
    _, firsts, inverse = np.unique(groups, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    rank = np.empty(len(firsts), dtype=np.int64)
    rank[order] = np.arange(len(firsts))
    return rank[inverse], firsts[order]
