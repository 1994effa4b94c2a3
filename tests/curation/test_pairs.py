import json

import numpy as np
import pytest

from app.curation.clustering import cluster_side, overlapping
from app.curation.pairs import mine_pairs
from app.curation.strategies import STRATEGIES, Pool, strategy
from app.errors import InvalidInput


def sphere(n, dim, seed, centres=None, spread=0.3):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, dim))
    if centres is not None:
        rows = centres[rng.integers(0, len(centres), n)] + spread * rows / np.sqrt(dim)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def mine(rows, labels, budget, seed=0, **options):
    labels = np.asarray(labels)
    eligible = options.pop("eligible", np.ones(len(labels), bool))
    return mine_pairs(rows, labels, eligible, budget, np.random.default_rng(seed), **options)


def test_pairs_have_two_labels_their_true_cosine_and_items_used_once():
    rows = sphere(600, 16, 0)
    labels = np.random.default_rng(1).integers(0, 3, 600)
    eligible = np.random.default_rng(2).random(600) < 0.7
    pairs = mine(rows, labels, 40, eligible=eligible)
    assert len(pairs) == 40
    assert pairs.note == ""
    assert (labels[pairs.left] == pairs.left_label).all()
    assert (labels[pairs.right] == pairs.right_label).all()
    assert (pairs.left_label < pairs.right_label).all()
    used = np.concatenate([pairs.left, pairs.right])
    assert len(np.unique(used)) == 80
    assert eligible[used].all()
    np.testing.assert_allclose(pairs.similarity, (rows[pairs.left] * rows[pairs.right]).sum(axis=1), atol=1e-5)


def test_three_labels_form_three_boundaries():
    pairs = mine(sphere(300, 8, 0), np.arange(300) % 3, 30)
    seen = {(int(a), int(b)) for a, b in zip(pairs.left_label, pairs.right_label, strict=True)}
    assert seen == {(0, 1), (0, 2), (1, 2)}


def test_pairs_come_from_where_the_sides_touch():
    centres = sphere(6, 64, 5)
    shared = sphere(200, 64, 1, centres[:1])
    apart_negative, apart_positive = sphere(400, 64, 2, centres[1:4]), sphere(60, 64, 3, centres[4:])
    rows = np.concatenate([shared, apart_negative, apart_positive])
    labels = np.r_[np.arange(200) % 2, np.zeros(400, int), np.ones(60, int)]
    pairs = mine(rows, labels, 20)
    assert len(pairs) == 20
    assert (pairs.left < 200).all()
    assert (pairs.right < 200).all()


def test_every_reported_pair_is_a_nearest_neighbour_when_one_cluster_holds_each_side():
    rows, labels = sphere(40, 4, 0), np.r_[np.zeros(38, int), np.ones(2, int)]
    pairs = mine(rows, labels, 1)
    cosines = rows[labels == 0] @ rows[labels == 1].T
    assert pairs.similarity[0] == pytest.approx(cosines.max(), abs=1e-6)


def test_with_more_pairs_than_budget_several_areas_are_covered():
    centres = sphere(8, 64, 5)
    r = np.random.default_rng(0)
    sizes = [400, 20, 20, 20, 20, 20, 20, 20]
    rows = np.concatenate([sphere(n, 64, k, centres[k : k + 1]) for k, n in enumerate(sizes)])
    area = np.repeat(np.arange(8), sizes)
    pairs = mine(rows, r.integers(0, 2, len(rows)), 8)
    assert len(set(area[pairs.left])) >= 6


@pytest.mark.parametrize("labels", [[0] * 30, [-1] * 30, [1] * 30])
def test_one_side_empty_gives_no_pairs_and_a_reason(labels):
    pairs = mine(sphere(30, 8, 0), labels, 10)
    assert len(pairs) == 0
    assert pairs.note


def test_a_tiny_side_gives_as_many_pairs_as_it_has_items():
    pairs = mine(sphere(200, 8, 0), np.r_[1, 1, np.zeros(198, int)], 10)
    assert len(pairs) == 2
    assert "Only 2 of 10" in pairs.note


def test_equal_embeddings_give_one_pair_because_copies_need_no_second_ruling():
    pairs = mine(np.ones((50, 8), np.float32), np.arange(50) % 2, 10)
    assert len(pairs) == 1
    assert "Only 1 of 10" in pairs.note


def test_a_budget_above_the_pool_uses_nearly_all_of_it():
    pairs = mine(sphere(40, 8, 0), np.arange(40) % 2, 500)
    assert 10 <= len(pairs) <= 20
    assert pairs.note


def test_nothing_eligible_and_zero_rows_are_fine():
    assert len(mine(sphere(10, 4, 0), np.arange(10) % 2, 5, eligible=np.zeros(10, bool))) == 0
    rows = np.zeros((10, 4), np.float32)
    assert len(mine(rows, np.arange(10) % 2, 5)) == 1
    assert len(mine(sphere(10, 4, 0), np.arange(10) % 2, 0)) == 0


def test_a_float16_memory_map_gives_the_pairs_of_the_array(tmp_path):
    rows = sphere(3000, 32, 0).astype(np.float16)
    np.save(tmp_path / "rows.npy", rows)
    labels = (np.random.default_rng(0).random(3000) < 0.1).astype(int)
    mapped = mine(np.load(tmp_path / "rows.npy", mmap_mode="r"), labels, 30)
    plain = mine(rows, labels, 30)
    assert mapped.left.tolist() == plain.left.tolist()
    assert mapped.right.tolist() == plain.right.tolist()


def test_the_seed_decides_and_nothing_else_does():
    rows, labels = sphere(2000, 16, 0), np.random.default_rng(1).integers(0, 2, 2000)
    first, again = mine(rows, labels, 20), mine(rows, labels, 20)
    assert first.left.tolist() == again.left.tolist()


def test_clusters_cover_their_side_and_far_sides_do_not_overlap():
    rows = np.concatenate([sphere(100, 32, 0, sphere(1, 32, 7), 0.1), sphere(100, 32, 1, sphere(1, 32, 8), 0.1)])
    rng = np.random.default_rng(0)
    left, right = (cluster_side(rows, np.arange(start, start + 100), rng) for start in (0, 100))
    assert sorted(np.concatenate(left.members)) == list(range(100))
    assert not overlapping(rows, left, right).overlapping
    mixed = cluster_side(rows, np.arange(0, 200, 2), rng), cluster_side(rows, np.arange(1, 200, 2), rng)
    assert overlapping(rows, *mixed).overlapping


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_every_strategy_keeps_to_the_eligible_and_the_size(name):
    rows, r = sphere(400, 16, 0), np.random.default_rng(0)
    positive = r.random(400)
    pool = Pool(rows, (positive > 0.5).astype(int), np.column_stack([1 - positive, positive]), r.random(400) < 0.5)
    chosen = strategy(name)(pool, 30, np.random.default_rng(1))
    assert len(chosen.items) == len(set(chosen.items.tolist())) == len(chosen.details) == 30
    assert pool.eligible[chosen.items].all()
    json.dumps(chosen.details)
    if name == "margin":
        nearest = np.sort(np.abs(positive[pool.eligible] - 0.5))[:30]
        # The line lies between the scores on its two sides, so it is near .5 but not on it.
        np.testing.assert_allclose(np.sort(np.abs(positive[chosen.items] - 0.5)), nearest, atol=0.01)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(InvalidInput):
        strategy("luck")
