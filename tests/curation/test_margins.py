import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.curation.margins import margins

EVERY = np.arange(5)


def two(positive):
    positive = np.array(positive)
    return np.column_stack([1 - positive, positive])


def test_the_least_sure_items_are_at_the_models_threshold_and_not_at_one_half():
    scores = two([0.02, 0.19, 0.21, 0.5, 0.9])
    found = margins(scores, (scores[:, 1] >= 0.2).astype(int), EVERY)
    assert np.argsort(found)[:2].tolist() in ([1, 2], [2, 1])
    assert found[3] > 1


def test_without_a_threshold_to_see_the_line_is_at_even_odds():
    scores = two([0.02, 0.19, 0.21, 0.45, 0.9])
    for labels in (np.zeros(5, int), np.array([1, 0, 1, 0, 0])):
        assert np.argmin(margins(scores, labels, EVERY)) == 3
    np.testing.assert_allclose(margins(two([0.25]), np.zeros(1, int), np.arange(1)), [np.log(3)])


def test_items_without_scores_do_not_move_the_line():
    scores = np.vstack([two([0.1, 0.3, 0.35, 0.8]), [[np.nan, np.nan]]])
    labels = np.array([0, 0, 1, 1, 0])
    known = margins(scores, labels, np.arange(4))
    np.testing.assert_allclose(known, margins(scores[:4], labels[:4], np.arange(4)))
    assert np.isfinite(known).all()


def test_three_labels_are_judged_by_the_two_best():
    scores = np.array([[0.5, 0.3, 0.2], [0.4, 0.39, 0.21]])
    np.testing.assert_allclose(margins(scores, np.zeros(2, int), np.arange(2)), [0.2, 0.01])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_margins_are_finite_and_grow_away_from_the_line_on_either_side(positive, threshold):
    scores = two(sorted(positive))
    labels = (scores[:, 1] >= threshold).astype(int)
    found = margins(scores, labels, np.arange(len(scores)))
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    if 0 < labels.sum() < len(labels):
        assert (np.diff(found[labels == 1]) >= -1e-9).all()
        assert (np.diff(found[labels == 0]) <= 1e-9).all()


def test_the_given_labels_score_orders_where_it_is_all_there_is():
    assert margins(np.array([0.9, 0.6]), np.zeros(2, int), np.array([1, 0])).tolist() == [0.6, 0.9]


def test_one_label_is_as_sure_as_another():
    assert margins(np.ones((3, 1)), np.zeros(3, int), np.arange(3)).tolist() == pytest.approx([1, 1, 1])
