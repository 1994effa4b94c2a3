import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Unavailable
from app.ml.classifiers.base import Fitted
from app.ml.prelabel import Runtime, build_prelabeller, cache_key, estimate
from app.ml.prelabel.trained import TrainedPrelabeller, centred

CONFIG = {"provider": "model", "project": "ads", "version": 3}


class Echo(Fitted):
    """Says of a text what number it is; the first column of embeddings comes before it."""

    kind = "echo"

    def predict_proba(self, texts, embeddings, progress=None):
        given = [float(text) for text in texts] if embeddings is None else embeddings[:, 0]
        positive = np.asarray(given, dtype=np.float32)
        return np.column_stack([1 - positive, positive])

    def save_parts(self, store, key):
        """Never asked for."""


class Labeller:
    def __init__(self, threshold):
        self.fitted = Echo(2, threshold, {})

    def proba(self, texts):
        return self.fitted.predict_proba(texts, None)


def make(threshold=0.5, order=(0, 1)):
    return TrainedPrelabeller("models/3", order, lambda: Labeller(threshold), "hf:org/enc")


thresholds = st.floats(0, 1, width=32)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20), thresholds, st.permutations([0, 1]))
def test_the_label_is_the_models_own_whatever_its_threshold_and_the_labels_order(given_, threshold, order):
    texts = [repr(value) for value in given_]
    found = np.stack([score.scores for score in make(threshold, order).score(texts)])
    theirs = np.array([int(np.float32(value) >= threshold) for value in given_])
    assert [order[k] for k in found.argmax(axis=1)] == theirs.tolist()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)


@given(st.lists(st.floats(1 / 1024, 1023 / 1024, width=32), min_size=2, max_size=20), st.floats(0.01, 0.99))
def test_moving_the_line_keeps_the_scores_in_their_order(given_, threshold):
    positive = np.sort(np.array(given_, dtype=np.float32))
    moved = centred(np.column_stack([1 - positive, positive]), threshold)[:, 1]
    assert (np.diff(moved) >= -1e-6).all()


def test_scores_of_more_labels_stay_as_they_are():
    proba = np.array([[0.2, 0.5, 0.3]], dtype=np.float32)
    assert centred(proba, None) is proba


def test_it_takes_the_projects_vectors_where_they_are_of_its_encoder():
    rows = np.array([[0.9, 0], [0.1, 0]], dtype=np.float16)
    seen = []
    scores = make().score(["0", "0"], embeddings=rows, on_score=lambda index, score: seen.append(index))
    assert [int(score.scores.argmax()) for score in scores] == [1, 0]
    assert seen == [0, 1]


def test_an_answer_is_cached_by_the_model_and_the_order_of_the_labels():
    keys = {cache_key(make(order=order).identity, "x") for order in ((0, 1), (1, 0))}
    assert len(keys) == 2


def test_it_is_found_by_who_knows_the_database_and_costs_nothing(tmp_path):
    asked = []

    def trained(project, version, labels):
        asked.append((project, version, list(labels)))
        return make()

    runtime = Runtime(cache_dir=tmp_path, trained=trained)
    assert build_prelabeller(CONFIG, ["a", "b"], "", {}, runtime).identity["artifact"] == "models/3"
    assert asked == [("ads", 3, ["a", "b"])]
    with pytest.raises(Unavailable):
        build_prelabeller(CONFIG, ["a", "b"], "", {}, Runtime(cache_dir=tmp_path))
    expected = estimate(CONFIG, 1000, ["a text"], labels=["a", "b"])
    assert (expected.calls, expected.cost) == (0, None)
