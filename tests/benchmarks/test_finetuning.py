from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.finetuning import _labelling_order, calibration_error, log_loss


def test_the_calibration_error_is_the_gap_between_score_and_share_in_each_bin():
    scores = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(scores, np.array([0, 0, 1, 1])) == pytest.approx(0.05)
    assert calibration_error(scores, np.array([0, 1, 1, 1])) == pytest.approx((0.9 + 0.1) / 4)
    assert calibration_error(np.array([1.0]), np.array([1])) == 0


def test_the_log_loss_is_that_of_scikit_learn():
    from sklearn.metrics import log_loss as theirs

    rng = np.random.default_rng(0)
    scores, truth = rng.random(50), rng.integers(0, 2, 50)
    assert log_loss(scores, truth) == pytest.approx(theirs(truth, scores))


def test_labels_are_taken_in_turns_at_random_and_where_the_prelabeller_is_least_sure():
    sure = np.random.default_rng(1).permutation(40) / 40
    scores = np.column_stack([0.5 + sure / 2, 0.5 - sure / 2])
    order = _labelling_order(SimpleNamespace(n_pool=40, prescores=scores), np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(40))
    unsure = np.argsort(sure)[:8]
    assert len(set(order[:16].tolist()) & set(unsure.tolist())) >= 7
    assert set(order[:16].tolist()) != set(np.argsort(sure)[:16].tolist())
