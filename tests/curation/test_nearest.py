import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.curation import nearest
from app.curation.clustering import cluster_side, overlapping
from app.curation.nearest import cell_matches, nearest_both_ways, search


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def topical(n, dim, topics, seed, spread=0.5):
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(topics, dim)))
    return unit(centres[rng.integers(0, topics, n)] + spread * rng.normal(size=(n, dim)) / dim**0.5)


def sides(rows, labels, seed=0, few_clusters=None, many_clusters=None):
    rng = np.random.default_rng(seed)
    few = cluster_side(rows, np.flatnonzero(labels == 1), rng, n_clusters=few_clusters)
    many = cluster_side(rows, np.flatnonzero(labels == 0), rng, n_clusters=many_clusters)
    return few, many, overlapping(rows, few, many).cells


def home(side, n):
    result = np.full(n, -1)
    for number, members in enumerate(side.members):
        result[members] = number
    return result


def allowed(rows, few, many, cells, used):
    """Cosines (n, n) of an unused item of few with one of many whose clusters are to be searched, else -inf."""
    a, b = home(few, len(rows)), home(many, len(rows))
    ok = (a[:, None] >= 0) & (b[None, :] >= 0) & cells[a[:, None], b[None, :]] & ~used[:, None] & ~used[None, :]
    return np.where(ok, rows @ rows.T, -np.inf)


def found_nearest(rows, few, many, cells, used):
    best = np.full(len(rows), -np.inf)
    for part in cell_matches(rows, few, many, cells, used, 1):
        np.maximum.at(best, part.left, part.similarity)
    return best


@settings(max_examples=40, deadline=None)
@given(
    st.integers(20, 400), st.integers(2, 24), st.integers(1, 6), st.floats(0.05, 0.5), st.floats(0, 0.9), st.integers(0)
)
def test_the_search_is_exact_within_overlapping_clusters_while_they_are_few(n, dim, topics, positive, used, seed):
    rng = np.random.default_rng(seed)
    rows, labels = topical(n, dim, topics, seed), (rng.random(n) < positive).astype(int)
    labels[:2] = 0, 1
    gone = rng.random(n) < used
    few, many, cells = sides(rows, labels)
    exact = allowed(rows, few, many, cells, gone).max(axis=1)
    np.testing.assert_allclose(found_nearest(rows, few, many, cells, gone), exact, atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_with_more_clusters_than_an_item_asks_recall_stays_above_98_percent(seed):
    rng = np.random.default_rng(seed)
    rows, labels = topical(6000, 32, 40, seed), (rng.random(6000) < 0.1).astype(int)
    few, many, cells = sides(rows, labels, seed, few_clusters=6, many_clusters=200)
    assert cells.sum(axis=1).max() > nearest.PROBES
    unused = np.zeros(len(rows), bool)
    exact = allowed(rows, few, many, cells, unused).max(axis=1)
    asked = np.isfinite(exact)
    found = found_nearest(rows, few, many, cells, unused)
    assert (found[asked] >= exact[asked] - 1e-5).mean() >= 0.98
    assert (found <= exact + 1e-5).all()


def test_blocks_of_any_size_find_the_same(monkeypatch):
    rows, labels = topical(500, 16, 5, 0), (np.random.default_rng(0).random(500) < 0.3).astype(int)
    few, many, cells = sides(rows, labels)
    used = np.zeros(500, bool)
    whole = search(rows, few, many, cells, used, 5)
    monkeypatch.setattr(nearest, "BLOCK_CELLS", 100)
    monkeypatch.setattr(nearest, "BLOCK", 7)
    parts = search(rows, few, many, cells, used, 5)
    assert parts.left.tolist() == whole.left.tolist()
    assert parts.right.tolist() == whole.right.tolist()
    monkeypatch.setattr(nearest, "HELD_ROWS", 50)
    held = search(rows, few, many, cells, used, 5)
    firsts = dict(zip(zip(whole.left_cluster, whole.right_cluster, strict=True), whole.similarity, strict=True))
    assert firsts
    for number in np.flatnonzero(held.rank == 0):
        cell = (whole.left_cluster == held.left_cluster[number]) & (whole.right_cluster == held.right_cluster[number])
        assert held.similarity[number] == pytest.approx(whole.similarity[cell].max(), abs=1e-6)


def test_each_cell_gives_its_nearest_pairs_in_order_and_no_item_twice():
    rows, labels = topical(400, 8, 3, 1), (np.random.default_rng(1).random(400) < 0.4).astype(int)
    few, many, cells = sides(rows, labels)
    used = np.random.default_rng(2).random(400) < 0.2
    found = search(rows, few, many, cells, used, 6)
    cosines = allowed(rows, few, many, cells, used)
    assert not used[found.left].any()
    assert not used[found.right].any()
    np.testing.assert_allclose(found.similarity, cosines[found.left, found.right], atol=1e-5)
    for a, b in np.argwhere(cells):
        cell = np.flatnonzero((found.left_cluster == a) & (found.right_cluster == b))
        order = cell[np.argsort(found.rank[cell])]
        assert found.rank[order].tolist() == list(range(len(order)))
        assert (np.diff(found.similarity[order]) <= 0).all()
        assert len(set(found.left[cell])) == len(set(found.right[cell])) == len(cell) <= 6
        inside = cosines[np.ix_(few.members[a], many.members[b])]
        if np.isfinite(inside).any():
            assert found.similarity[order[0]] == pytest.approx(inside.max(), abs=1e-5)


def test_the_smaller_side_asks_whichever_side_it_is():
    rows, labels = topical(300, 8, 3, 1), (np.random.default_rng(1).random(300) < 0.2).astype(int)
    few, many, cells = sides(rows, labels)
    used = np.zeros(300, bool)
    one, other = search(rows, few, many, cells, used, 4), search(rows, many, few, cells.T, used, 4)
    assert (labels[one.left] == 1).all()
    assert (labels[other.left] == 0).all()
    assert sorted(zip(one.left, one.right, one.rank, strict=True)) == sorted(
        zip(other.right, other.left, other.rank, strict=True)
    )


def test_nothing_left_to_search_gives_no_matches():
    rows, labels = topical(50, 8, 2, 0), np.arange(50) % 2
    few, many, cells = sides(rows, labels)
    assert len(search(rows, few, many, cells, np.ones(50, bool), 3).left) == 0
    assert len(search(rows, few, many, cells, labels == 1, 3).left) == 0


def test_both_ways_finds_the_exact_nearest_of_every_row_and_the_nearest_columns(monkeypatch):
    monkeypatch.setattr(nearest, "BLOCK_CELLS", 500)
    a, b = topical(70, 16, 3, 0), topical(45, 16, 3, 1)
    exact = a @ b.T
    i, j, cosines = nearest_both_ways(a, b, 100)
    assert i[:70].tolist() == list(range(70))
    assert j[:70].tolist() == exact.argmax(axis=1).tolist()
    assert j[70:].tolist() == list(range(45))
    assert i[70:].tolist() == exact.argmax(axis=0).tolist()
    np.testing.assert_allclose(cosines, exact[i, j], atol=1e-6)
    _, top, _ = nearest_both_ways(a, b, 4)
    assert set(top[70:]) == set(np.argsort(-exact.max(axis=0))[:4])


def test_items_that_may_ask_no_cluster_find_nothing():
    rows = topical(200, 8, 4, 0)
    few, many, cells = sides(rows, (np.arange(200) % 4 == 0).astype(int), few_clusters=3, many_clusters=4)
    used = np.zeros(200, dtype=np.bool_)
    assert not sum(len(found.left) for found in cell_matches(rows, few, many, np.zeros_like(cells), used, 5))
    used[few.members[0]] = True
    only_first = np.zeros_like(cells)
    only_first[0] = True
    assert not sum(len(found.left) for found in cell_matches(rows, few, many, only_first, used, 5))
