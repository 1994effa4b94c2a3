import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from app.ml.classifiers import calibration
from app.ml.classifiers.calibration import calibrate, expit, log_odds, pool_threshold


def test_calibration_mends_scores_that_are_too_sure_and_shifted():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 1.5, 4000)
    labels = (rng.random(4000) < expit(true)).astype(int)
    found = calibrate(3 * true + 0.6, labels)
    assert found.slope == pytest.approx(1 / 3, abs=0.03)
    assert found.shift == pytest.approx(-0.2, abs=0.1)


def test_without_a_prior_it_is_an_unpenalised_logistic_regression(monkeypatch):
    monkeypatch.setattr(calibration, "SLOPE_SPREAD", 1e6)
    monkeypatch.setattr(calibration, "SHIFT_SPREAD", 1e6)
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 2, 300)
    labels = (rng.random(300) < expit(0.7 * logits - 0.4)).astype(int)
    weights = rng.integers(1, 4, 300).astype(float)
    found = calibrate(logits, labels, weights)
    theirs = LogisticRegression(C=1e9, tol=1e-8).fit(logits[:, None], labels, sample_weight=weights)
    assert found.slope == pytest.approx(theirs.coef_[0, 0], abs=1e-3)
    assert found.shift == pytest.approx(theirs.intercept_[0], abs=1e-3)


def test_three_items_move_it_little():
    found = calibrate(np.array([-1.0, 0.5, 2.0]), np.array([0, 0, 0]))
    assert found.shift > -0.5
    assert 0.1 < found.slope < 10


def test_log_odds_and_expit_are_inverse_and_finite():
    proba = np.array([0.0, 0.01, 0.5, 0.99, 1.0])
    assert np.isfinite(log_odds(proba)).all()
    assert expit(log_odds(proba)) == pytest.approx(proba, abs=1e-6)


@pytest.mark.slow
@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_the_expected_kappa_is_that_of_labels_drawn_from_the_probabilities_and_no_other_cut_has_more(seed):
    rng = np.random.default_rng(seed)
    proba = np.round(rng.beta(0.3, 1.5, 400), 2)
    found = pool_threshold(proba)
    called = proba >= found.value
    assert found.called == pytest.approx(called.mean())

    def expected(cut):
        """By two items for each, one of either label, weighted by its probability."""
        guess = np.tile(proba >= cut, 2)
        truth, weight = np.repeat([1, 0], 400), np.concatenate([proba, 1 - proba])
        kappa = cohen_kappa_score(truth, guess, sample_weight=weight)
        return 0.0 if np.isnan(kappa) else kappa

    assert found.kappa == pytest.approx(expected(found.value), abs=1e-9)
    assert all(expected(cut) <= found.kappa + 1e-9 for cut in np.unique(proba))


def test_scores_that_are_all_alike_have_a_threshold_too():
    assert pool_threshold(np.full(5, 0.2)).kappa == pytest.approx(0)
