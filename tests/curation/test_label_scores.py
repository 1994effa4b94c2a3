"""Confusion, recall and precision against scikit-learn, Wilson's interval against statsmodels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from statsmodels.stats.proportion import proportion_confint

from app.curation.label_scores import confusion, label_scores, share

ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=60)


@given(ANSWERS)
def test_they_are_scikit_learn_s(pairs):
    matrix = confusion([(a, b, 1) for a, b in pairs], 4)
    if not pairs:
        assert all(score.f1 is None and score.recall.value is None for score in label_scores(matrix))
        return
    truth, said = [a for a, _ in pairs], [b for _, b in pairs]
    assert matrix == confusion_matrix(truth, said, labels=range(4)).tolist()
    reference = precision_recall_fscore_support(truth, said, labels=range(4), zero_division=np.nan)
    for k, score in enumerate(label_scores(matrix)):
        for ours, theirs in ((score.precision.value, reference[0][k]), (score.recall.value, reference[1][k])):
            assert (ours is None) == np.isnan(theirs)
            assert ours is None or ours == pytest.approx(theirs)
        if score.f1 is not None:
            assert score.f1 == pytest.approx(np.nan_to_num(reference[2][k]))
        assert score.recall.n == truth.count(k)
        assert score.precision.n == said.count(k)


@given(st.integers(0, 300), st.integers(1, 300))
def test_the_interval_is_wilson_s(hits, n):
    hits = min(hits, n)
    ours = share(hits, n)
    low, high = proportion_confint(hits, n, method="wilson")
    assert (ours.low, ours.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
