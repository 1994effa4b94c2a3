"""The simulated crowd errs as much as it is told to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from app.simulate.crowd import hardness, knows_texts, likeness, real_crowd, simulated_crowd, swayed_crowd
from app.simulate.data import Data


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0.02, 0.98), st.integers(0, 99))
def test_a_crowd_has_the_kappa_asked_for_and_keeps_every_labels_share(kappa: float, share: float, seed: int) -> None:
    truth = (np.arange(20_000) < share * 20_000).astype(np.int64)
    crowd = simulated_crowd(truth, kappa, np.random.default_rng(seed))
    assert crowd.labels.sum() == truth.sum()
    assert crowd.kappa == pytest.approx(cohen_kappa_score(crowd.labels, truth), abs=1e-9)
    assert crowd.kappa == pytest.approx(kappa, abs=0.08)


def test_a_crowd_of_three_labels_has_the_kappa_asked_for() -> None:
    truth = np.random.default_rng(0).integers(0, 3, 30_000)
    assert simulated_crowd(truth, 0.59, np.random.default_rng(1)).kappa == pytest.approx(0.59, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 1), st.floats(0.02, 0.98), st.integers(0, 99))
def test_a_crowd_that_errs_where_it_is_hard_has_the_kappa_asked_for_and_errs_there(
    kappa: float, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = (rng.random(5_000) < share).astype(np.int64)
    hard = rng.random(5_000) < 0.5
    crowd = swayed_crowd(truth, np.where(hard, 0.2, 0.01), kappa, rng)
    assert crowd.labels.sum() == truth.sum()
    assert crowd.kappa == pytest.approx(kappa, abs=0.02)
    wrong = crowd.labels != truth
    assert wrong[hard].sum() >= wrong[~hard].sum()


def test_a_text_is_hard_where_a_model_is_least_sure() -> None:
    assert hardness(np.array([0.5, 0.9, 0.0])).tolist() == pytest.approx([0.25, 0.09, 0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=2, max_size=40))
def test_errors_are_likelier_the_more_a_text_looks_like_the_other_label(rows: list[tuple[float, int]]) -> None:
    p, truth = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    weights = likeness(p, truth)
    for label, other in ((0, p), (1, -p)):  # 1 − p would round p that are nearly 0 together
        own = truth == label
        order = np.argsort(other[own], kind="stable")
        assert (np.diff(weights[own][order]) >= 0).all()
        assert ((weights[own] > 1) & (weights[own] <= np.exp(3) * (1 + 1e-9))).all()


def test_a_score_tells_errors_of_likeness_from_right_labels_as_well_as_it_does_a_real_crowds() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 20_000)
    p = rng.random(20_000)
    wrong = swayed_crowd(truth, likeness(p, truth), 0.59, rng).labels != truth
    for label, score in ((0, p), (1, -p)):
        assert roc_auc_score(wrong[truth == label], score[truth == label]) == pytest.approx(0.73, abs=0.04)


def data(texts: list[str], truth: list[int]) -> Data:
    return Data("d", texts, np.array(truth), np.zeros((len(texts), 0), dtype=np.int64), [], 2)


def test_a_real_crowd_is_matched_by_text_and_knows_the_data_if_it_has_nearly_all() -> None:
    pool = data([f"t{i}" for i in range(10)], [0, 1] * 5)
    crowd = data([f"t{i}" for i in range(9, 0, -1)], [1] * 9)
    found = real_crowd(crowd, pool)
    assert found.labels.tolist() == [-1] + [1] * 9
    assert found.real
    assert knows_texts(crowd, pool)
    assert not knows_texts(crowd.take(np.arange(8)), pool)
