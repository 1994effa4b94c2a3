import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.curation import splits
from app.curation.splits import exact_groups, merge_groups, near_duplicate_groups, split_groups
from app.errors import InvalidInput


def test_near_duplicates_join_by_chains_across_blocks():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(5000, 32)).astype(np.float16)
    rows[4999] = rows[0]
    rows[3000] = rows[1] * 2
    groups = near_duplicate_groups(rows, 0.99)
    assert groups[4999] == groups[0]
    assert groups[3000] == groups[1]
    assert len(np.unique(groups)) == 4998


def test_a_chain_of_neighbours_is_one_group():
    angles = np.arange(5) * 0.2
    rows = np.column_stack([np.cos(angles), np.sin(angles)])
    assert near_duplicate_groups(rows, 0.97).tolist() == [0] * 5
    assert near_duplicate_groups(rows, 0.999).tolist() == [0, 1, 2, 3, 4]


def test_many_copies_and_empty_input_are_fine():
    assert near_duplicate_groups(np.ones((20_000, 8), np.float32)).tolist() == [0] * 20_000
    assert len(near_duplicate_groups(np.zeros((0, 8), np.float32))) == 0


def test_pairs_and_duplicates_merge():
    assert merge_groups(6, [(0, 5), (1, 2)], np.array([0, 1, 2, 3, 3, 4])).tolist() == [0, 1, 1, 2, 2, 0]


@given(st.lists(st.integers(0, 30), min_size=1, max_size=120), st.floats(0, 1), st.integers(0, 9))
def test_groups_stay_whole_and_the_share_is_as_near_as_a_group_allows(groups, share, seed):
    keys = np.array(groups)
    split = split_groups(keys, share, np.random.default_rng(seed))
    assert set(split) <= {"train", "evaluation"}
    for key in set(groups):
        assert len(set(split[keys == key])) == 1
    largest = np.bincount(keys).max()
    assert abs((split == "evaluation").sum() - share * len(keys)) <= largest / 2 + 1


def test_pairs_meet_the_share_closely():
    split = split_groups(np.repeat(np.arange(50), 2), 0.38, np.random.default_rng(0))
    assert (split == "evaluation").sum() == 38


def test_twins_follow_the_earlier_split_in_both_modes():
    groups = np.r_[np.zeros(4, int), np.ones(4, int), np.arange(2, 40)]
    for mode in ("grouped", "paper"):
        split = split_groups(groups, 0.38, np.random.default_rng(0), fixed={0: "train", 1: "evaluation"}, mode=mode)
        assert set(split[:4]) == {"train"}
        assert set(split[4:8]) == {"evaluation"}
        assert (split == "evaluation").sum() == round(0.38 * len(groups))


def test_paper_mode_splits_items_and_parts_groups():
    groups = np.repeat(np.arange(50), 2)
    split = split_groups(groups, 0.38, np.random.default_rng(0), mode="paper").reshape(50, 2)
    assert (split == "evaluation").sum() == 38
    assert (split[:, 0] != split[:, 1]).any()


def test_which_groups_are_drawn_is_random_but_repeatable():
    groups = np.arange(100)
    first, again, other = (split_groups(groups, 0.4, np.random.default_rng(s)) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_an_unknown_mode_is_refused():
    with pytest.raises(InvalidInput):
        split_groups(np.arange(3), 0.5, np.random.default_rng(0), mode="other")


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("hashes_differ", [True, False])
def test_exact_groups_are_those_of_equal_rows_even_if_hashes_collide(kind, hashes_differ, monkeypatch):
    if not hashes_differ:
        monkeypatch.setattr(splits, "_hashes", lambda words: words[:, 0] % np.uint64(3))
    monkeypatch.setattr(splits, "BLOCK", 16)
    rng = np.random.default_rng(0)
    for dim in (1, 3, 4, 5):
        rows = rng.integers(-1, 2, (120, dim)).astype(kind)
        rows[rng.random((120, dim)) < 0.2] = -0.0
        items = np.flatnonzero(rng.random(120) < 0.8)
        groups, firsts = exact_groups(rows, items)
        seen = {}
        expected = [seen.setdefault(tuple(row), len(seen)) for row in (rows[items] + 0.0).tolist()]
        assert groups.tolist() == expected
        assert firsts.tolist() == [expected.index(group) for group in range(len(seen))]


def test_no_rows_have_no_groups():
    groups, firsts = exact_groups(np.zeros((0, 8), np.float16))
    assert len(groups) == len(firsts) == 0
