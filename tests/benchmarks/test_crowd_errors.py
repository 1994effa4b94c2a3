import numpy as np
import pytest

from benchmarks.crowd_errors import made_up, told_apart


@pytest.fixture
def plane():
    """Texts in a plane, of which half are label 1 to the right, and how sure their place makes one of it."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3000, 4)).astype(np.float32)
    p = 1 / (1 + np.exp(-3 * x[:, 0].astype(np.float64)))
    return x, (rng.random(3000) < p).astype(np.int64), p


def test_as_many_errors_of_each_label_are_made_up_and_only_where_there_is_weight(plane):
    _, truth, p = plane
    wrong = np.zeros(3000, dtype=bool)
    wrong[np.flatnonzero(truth == 0)[:40]] = wrong[np.flatnonzero(truth == 1)[:7]] = True
    weights = np.where(p > 0.4, p, 0.0)
    drawn = made_up(truth, wrong, weights, np.random.default_rng(1))
    assert [drawn[truth == label].sum() for label in (0, 1)] == [40, 7]
    assert (p[drawn] > 0.4).all()


def test_errors_that_follow_the_text_are_told_from_right_labels_and_others_are_not(plane):
    x, truth, p = plane
    half = np.random.default_rng(2).random(3000) < 0.5
    alike = np.where(truth == 0, p > 0.5, p < 0.5)
    for found, low, high in ((told_apart(x, truth, half, 0), 0.4, 0.6), (told_apart(x, truth, alike, 0), 0.9, 1.0)):
        assert all(low <= auc <= high for auc in found), found
