import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.curation import projection as p
from app.curation.words import distinctive_words, words_of


def topical(n, dim, topics, seed, spread=0.5):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(topics, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = centres[rng.integers(0, topics, n)] + spread * rng.normal(size=(n, dim)) / dim**0.5
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="module")
def fitted():
    return p.fit(topical(300, 32, 6, 0), seed=3)


def test_the_same_rows_and_seed_give_the_same_layout():
    rows = topical(120, 16, 4, 1)
    first, second = p.fit(rows, 5), p.fit(rows, 5)
    np.testing.assert_array_equal(first.places, second.places)
    np.testing.assert_array_equal(first.landmarks, second.landmarks)


@settings(max_examples=30)
@given(st.integers(1, 200), st.integers(0, 2**16))
def test_an_item_lies_where_it_lies_whoever_is_placed_with_it(fitted, n, seed):
    rows = topical(n, 32, 5, seed)
    together = p.place(fitted, rows)
    order = np.random.default_rng(seed).permutation(n)
    np.testing.assert_allclose(p.place(fitted, rows[order]), together[order], atol=1e-5)
    np.testing.assert_allclose(p.place(fitted, rows[:1]), together[:1], atol=1e-5)
    assert together.min() >= 0
    assert together.max() <= 1


def test_blocks_do_not_show(fitted, monkeypatch):
    rows, heard = topical(50, 32, 5, 4), []
    whole = p.place_all(fitted, rows, 0, 50, heard.append)
    monkeypatch.setattr(p, "_BLOCK", 7)
    parts = p.place_all(fitted, rows, 0, 50, heard.append)
    assert np.abs(whole.astype(int) - parts).max() <= 1
    later = p.place_all(fitted, rows, 20, 50, heard.append)
    assert np.abs(whole[20:].astype(int) - later).max() <= 1
    assert heard == [50, *range(7, 50, 7), 50, *range(7, 30, 7), 30]


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 6), st.booleans(), st.integers(0, 1000))
def test_any_pool_has_a_map(n, dim, equal, seed):
    rows = topical(n, dim, 2, seed)
    if equal:
        rows[:] = rows[0]
    projection = p.fit(rows, seed)
    placed = p.place(projection, rows)
    assert np.isfinite(placed).all()
    assert placed.min() >= 0
    assert placed.max() <= 1
    centres = p.regions(placed, seed)
    assert 0 <= p.region_of(placed, centres).max() < len(centres)


def test_topics_lie_apart_and_the_map_says_how_much_it_keeps(fitted):
    rng = np.random.default_rng(0)
    rows = topical(400, 32, 6, 0)
    kept = p.neighbours_kept(fitted, rows)
    assert kept.n == 400
    assert kept.share > 3 * kept.chance
    shuffled = p.Projection(fitted.landmarks, rng.permutation(fitted.places))
    assert p.neighbours_kept(shuffled, rows).share < kept.share / 2
    assert p.neighbours_kept(fitted, rows[:5]) == p.Kept(None, None, 5, 10)


@settings(max_examples=40)
@given(st.integers(0, 300), st.integers(2, 5), st.sampled_from([4, 16, 256]), st.integers(0, 1000))
def test_density_counts_every_item_once_in_its_cell(n, n_labels, side, seed):
    rng = np.random.default_rng(seed)
    places = rng.integers(0, p.SCALE + 1, (n, 2)).astype(np.uint16)
    labels = rng.integers(-1, n_labels, n)
    counts = p.density(places, labels, n_labels, side)
    assert counts.shape == (n_labels + 1, side, side)
    assert counts.sum() == n
    for label in range(-1, n_labels):
        own = counts[label if label >= 0 else n_labels]
        assert own.sum() == (labels == label).sum()
    for (x, y), label in zip(places, labels, strict=True):
        assert counts[label, int(y) * side // 65536, int(x) * side // 65536] > 0


@settings(max_examples=40)
@given(st.integers(0, 200), st.integers(2, 4), st.integers(0, 1000))
def test_an_example_is_of_its_cell_and_label_and_there_is_one_wherever_there_are_items(n, n_labels, seed):
    rng = np.random.default_rng(seed)
    places = rng.integers(0, p.SCALE + 1, (n, 2)).astype(np.uint16)
    labels = rng.integers(-1, n_labels, n)
    found = p.examples(places, labels, n_labels, 8)
    counts = p.density(places, labels, n_labels, 8)[:n_labels].reshape(n_labels, 64)
    np.testing.assert_array_equal(found >= 0, counts > 0)
    for label, cell in zip(*np.nonzero(found >= 0), strict=True):
        ordinal = found[label, cell]
        assert labels[ordinal] == label
        assert p.cells(places[ordinal : ordinal + 1], 8)[0] == cell


def test_examples_stay_when_the_pool_grows():
    rng = np.random.default_rng(1)
    places, labels = rng.integers(0, 65536, (400, 2)).astype(np.uint16), rng.integers(0, 2, 400)
    few, many = p.examples(places[:390], labels[:390], 2, 8), p.examples(places, labels, 2, 8)
    assert ((few != many) & (many < 390)).sum() == 0


def test_the_sample_is_without_repeats_and_a_large_pool_is_checked_on_other_items():
    landmarks, checked = p.draw_sample(10_000, np.random.default_rng(0))
    assert (len(landmarks), len(checked)) == (p.LANDMARKS, p.CHECKED)
    assert not np.intersect1d(landmarks, checked).size
    landmarks, checked = p.draw_sample(30, np.random.default_rng(0))
    assert landmarks.tolist() == checked.tolist() == list(range(30))


def test_words_that_everybody_uses_name_no_group():
    texts = ["the cat and the mouse", "the cat sleeps", "the train is late", "the train to Rome", "the late train"]
    named = distinctive_words(texts, [0, 0, 1, 1, 1], 3)
    assert named[0][0] == "cat"
    assert named[1][0] == "train"
    assert named[2] == []
    assert not any("the" in words for words in named)


def test_words_are_letters_in_any_script_and_never_markup():
    assert words_of("<script>alert('x')</script> don’t 123 a_b Größe") == {"script", "alert", "don't", "größe"}
    assert words_of("機械学習") == {"機械", "械学", "学習"}
    assert words_of("x" * 25 + " ok") == {"ok"}
