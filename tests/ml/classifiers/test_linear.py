import uuid
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import cohen_kappa_score

from app.errors import InvalidInput, NotFound, RoundCancelled
from app.ml import classifiers
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers import Examples, PoolSample, TrainingSet, draw_pool_rows
from app.ml.classifiers.crossfit import _kappa_curve, choose_threshold, grouped_folds, hold_outs


@dataclass
class Machine:
    cache_dir: Path
    threads: int = 1


def training_set(n=120, n_labels=2, shift=2.0, dim=16, seed=0, share=0.35):
    rng = np.random.default_rng(seed)
    rest = [(1 - share) / (n_labels - 1)] * (n_labels - 1)
    labels = rng.choice(n_labels, n, p=[*rest, share])
    centres = np.random.default_rng(7).standard_normal((n_labels, dim))
    vectors = rng.standard_normal((n, dim)) + shift * centres[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return TrainingSet([f"text {i}" for i in range(n)], vectors.astype(np.float32), labels, np.arange(n) // 2)


def fit(train, n_labels=2, config=None, seed=0, progress=None, cache=Path("unused")):
    return classifiers.engine("linear").fit(train, n_labels, config or {}, seed, Machine(cache), progress)


@pytest.mark.parametrize("n_labels", [2, 4])
def test_it_learns_and_its_probabilities_sum_to_one(n_labels):
    train, test = training_set(n_labels=n_labels, n=200), training_set(n_labels=n_labels, n=200, seed=1)
    fitted = fit(train, n_labels)
    proba = fitted.predict_proba(test.texts, test.embeddings)
    assert proba.shape == (200, n_labels)
    assert proba.dtype == np.float32
    assert np.allclose(proba.sum(1), 1, atol=1e-5)
    assert cohen_kappa_score(fitted.labels(proba), test.labels) > 0.8


def test_with_a_given_penalty_it_is_scikit_learns_logistic_regression():
    train = training_set()
    ours = fit(train, config={"C": 3.0}).predict_proba(train.texts, train.embeddings)
    theirs = LogisticRegression(C=3.0, class_weight="balanced", max_iter=1000).fit(train.embeddings, train.labels)
    assert np.allclose(ours, theirs.predict_proba(train.embeddings), atol=2e-3)


def test_the_same_seed_gives_the_same_weights_and_threshold():
    first, second = fit(training_set(), seed=3), fit(training_set(), seed=3)
    assert np.array_equal(first.coef, second.coef)
    assert np.array_equal(first.intercept, second.intercept)
    assert (first.threshold, first.metrics) == (second.threshold, second.metrics)


@pytest.mark.parametrize("url", ["file", "memory"])
@pytest.mark.parametrize("n_labels", [2, 3])
def test_a_saved_model_gives_the_same_answers(url, n_labels, tmp_path):
    store = ArtifactStore(str(tmp_path / "store") if url == "file" else f"memory://{uuid.uuid4().hex}")
    train = training_set(n_labels=n_labels)
    fitted = fit(train, n_labels)
    fitted.save(store, "models/1")
    again = classifiers.load(store, "models/1", Machine(tmp_path))
    half = train.embeddings.astype(np.float16)
    assert np.array_equal(again.predict_proba([], half), fitted.predict_proba([], half))
    assert (again.threshold, again.metrics, again.n_labels) == (fitted.threshold, fitted.metrics, n_labels)
    assert store.list() == ["models/1/fitted.json", "models/1/head.safetensors"]


def test_a_model_that_was_never_saved_is_not_found(tmp_path):
    with pytest.raises(NotFound):
        classifiers.load(ArtifactStore(str(tmp_path)), "models/9", Machine(tmp_path))


@pytest.mark.parametrize("n_labels", [2, 3])
def test_a_training_set_of_one_label_gives_a_model_that_says_so(n_labels, tmp_path):
    train = training_set(n=20)
    alone = TrainingSet(train.texts, train.embeddings, np.ones(20, dtype=int), train.groups)
    store = ArtifactStore(str(tmp_path))
    fit(alone, n_labels).save(store, "m")
    fitted = classifiers.load(store, "m", Machine(tmp_path))
    proba = fitted.predict_proba([], train.embeddings)
    assert proba.shape == (20, n_labels)
    assert set(fitted.labels(proba)) == {1}
    assert "same label" in fitted.metrics["note"]


def test_a_label_without_training_items_is_never_answered():
    train = training_set(n_labels=2)
    proba = fit(TrainingSet(train.texts, train.embeddings, train.labels * 2, train.groups), 3).predict_proba(
        [], train.embeddings
    )
    assert proba[:, 1].max() == 0
    assert np.allclose(proba.sum(1), 1, atol=1e-5)


def test_with_few_items_of_a_label_the_threshold_is_a_half_and_the_metrics_say_so():
    train = training_set(n=60)
    labels = np.zeros(60, dtype=int)
    labels[:9] = 1
    fitted = fit(TrainingSet(train.texts, train.embeddings, labels, train.groups))
    assert (fitted.threshold, fitted.metrics["threshold_source"]) == (0.5, "default")
    labels[:10] = 1
    fitted = fit(TrainingSet(train.texts, train.embeddings, labels, train.groups))
    assert fitted.metrics["threshold_source"] == "cross_fitted"


def test_labels_follow_the_threshold_not_a_half():
    fitted = fit(training_set())
    fitted.threshold = 0.3
    assert fitted.labels(np.array([[0.65, 0.35], [0.75, 0.25]], dtype=np.float32)).tolist() == [1, 0]


def test_progress_rises_to_its_total_and_may_stop_the_fit():
    seen = []
    fit(training_set(), progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == list(range(1, seen[-1][1] + 1))

    def cancel(done, total):
        raise RoundCancelled("cancelled")

    with pytest.raises(RoundCancelled):
        fit(training_set(), progress=cancel)
    fitted = fit(training_set())
    with pytest.raises(RoundCancelled):
        fitted.predict_proba([], training_set().embeddings, cancel)


@pytest.mark.parametrize("config", [{"C": -1}, {"C": "x"}, {"class_weight": "heavy"}, {"epochs": 3}])
def test_a_setting_that_cannot_be_used_is_refused(config):
    with pytest.raises(InvalidInput):
        fit(training_set(), config=config)


def test_weights_count_as_repeated_items_would():
    train = training_set(n=80)
    weights = np.random.default_rng(0).integers(1, 4, 80).astype(float)
    rows = np.repeat(np.arange(80), weights.astype(int))
    weighted = TrainingSet(train.texts, train.embeddings, train.labels, train.groups, weights)
    repeated = train.take(rows)
    for class_weight in ("balanced", "none"):
        config = {"C": 1.0, "class_weight": class_weight}
        one, other = fit(weighted, config=config), fit(repeated, config=config)
        # "balanced" keeps the mean weight at 1, so only the penalty's share differs.
        tolerance = 1e-3 if class_weight == "none" else 0.1
        assert (
            np.abs(one.predict_proba([], train.embeddings) - other.predict_proba([], train.embeddings)).max()
            < tolerance
        )


@pytest.mark.parametrize(
    "change",
    [{"texts": ["a"]}, {"labels": np.array([0, -1])}, {"weights": np.array([1.0, 0.0])}, {"groups": np.zeros(3, int)}],
)
def test_a_training_set_whose_parts_do_not_fit_is_refused(change):
    parts = {"texts": ["a", "b"], "embeddings": np.eye(2), "labels": np.array([0, 1]), "groups": np.array([0, 1])}
    with pytest.raises(InvalidInput):
        TrainingSet(**(parts | change))


@given(st.integers(0, 10_000), st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_folds_keep_groups_whole_and_every_label_in_training(seed, splits):
    train = training_set(n=60, seed=seed)
    folds = grouped_folds(train, splits, seed)
    assert sorted(np.concatenate([test for _, test in folds]).tolist()) == list(range(60))
    for rows, test in folds:
        assert not set(train.groups[rows]) & set(train.groups[test])
        assert set(train.labels[rows]) == {0, 1}


def test_a_single_group_of_a_label_gives_no_folds():
    train = training_set(n=40)
    one = TrainingSet(train.texts, train.embeddings, np.array([1, 1] + [0] * 38), train.groups)
    assert grouped_folds(one, 5, 0) == []


@given(st.integers(0, 10_000), st.integers(4, 60))
@settings(max_examples=60, deadline=None)
def test_the_kappa_curve_is_scikit_learns_kappa_at_every_cut(seed, n):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    scores = np.round(rng.random(n), 1)
    weights = rng.random(n) + 0.1
    low, high, kappas, _ = _kappa_curve(scores, labels, weights)
    for below, above, kappa in zip(low, high, kappas, strict=True):
        guess = (scores >= (below + above) / 2).astype(int)
        expected = cohen_kappa_score(labels, guess, sample_weight=weights)
        assert kappa == pytest.approx(0 if np.isnan(expected) else expected, abs=1e-9)


def test_a_smoothed_threshold_does_better_on_new_items_than_the_highest_point_or_a_half():
    """Scores that put the best threshold at .3, as balanced weights on an imbalanced pool do."""

    def draw(rng, n):
        labels = (rng.random(n) < 0.3).astype(int)
        return 1 / (1 + np.exp(-(rng.normal(-2.2 + 1.6 * labels, 1, n)))), labels

    gains = {"smooth": [], "highest": [], "half": []}
    for seed in range(150):
        rng = np.random.default_rng(seed)
        scores, labels = draw(rng, 80)
        fresh, truth = draw(rng, 4000)
        low, high, kappas, _ = _kappa_curve(scores, labels, np.ones(80))
        best = int(np.argmax(kappas))
        values = {
            "smooth": choose_threshold(scores, labels, None).value,
            "highest": (low + high)[best] / 2,
            "half": 0.5,
        }
        for name, value in values.items():
            gains[name].append(cohen_kappa_score(truth, (fresh >= value).astype(int)))
    means = {name: float(np.mean(values)) for name, values in gains.items()}
    assert means["smooth"] > means["highest"] + 0.003, means
    assert means["smooth"] > means["half"] + 0.1, means


def test_scores_that_are_all_alike_leave_the_threshold_at_a_half():
    assert choose_threshold(np.full(30, 0.7), np.arange(30) % 2, None).value == 0.5


def mined(seed=0, n=150):
    """A pool with 5 % of label 1, of which those that look like it are labelled: a third of them is positive."""
    pool = training_set(n=4000, shift=0.5, seed=seed, share=0.05)
    likeness = pool.embeddings @ np.random.default_rng(7).standard_normal((2, 16))[1]
    likeness += likeness.std() * np.random.default_rng(seed).standard_normal(4000)
    rows = np.argsort(-likeness)[:n]
    fresh = training_set(n=4000, shift=0.5, seed=seed + 1000, share=0.05)
    return replace(pool.take(rows), pool=PoolSample(pool.texts, pool.embeddings)), fresh


def test_with_a_sample_of_the_pool_scores_are_calibrated_and_the_metrics_say_what_to_expect():
    gaps, without, promised = [], [], []
    for seed in range(3):
        train, fresh = mined(seed)
        assert train.labels.mean() > 0.2
        fitted = fit(train)
        scores = fitted.predict_proba([], fresh.embeddings)[:, 1]
        gaps.append(abs(scores.mean() - fresh.labels.mean()))
        plain = fit(replace(train, pool=None)).predict_proba([], fresh.embeddings)[:, 1]
        without.append(abs(plain.mean() - fresh.labels.mean()))
        labels = (scores >= fitted.threshold).astype(int)
        promised.append(fitted.metrics["expected_kappa"] - cohen_kappa_score(fresh.labels, labels))
        assert fitted.metrics["threshold_source"] == "pool"
        assert fitted.metrics["expected_share_positive"] == pytest.approx(labels.mean(), abs=0.03)
    assert np.mean(gaps) < 0.7 * np.mean(without)
    assert abs(np.mean(promised)) < 0.1


def test_examples_are_trained_on_and_do_not_count_as_training_items():
    train = training_set(n=40, shift=1.0)
    rows = np.flatnonzero(train.labels == 0)
    only = train.take(rows)
    other = training_set(n=40, shift=1.0, seed=5)
    shown = np.flatnonzero(other.labels == 1)[:5]
    examples = Examples([other.texts[row] for row in shown], other.embeddings[shown], other.labels[shown])
    fitted = fit(replace(only, examples=examples, pool=PoolSample(other.texts, other.embeddings)))
    assert (fitted.metrics["training_items"], fitted.metrics["example_items"]) == (len(rows), 5)
    assert fitted.predict_proba([], other.embeddings)[other.labels == 1, 1].mean() > 0.4
    with pytest.raises(InvalidInput):
        fit(replace(only, examples=replace(examples, labels=np.full(5, 2))))
    with pytest.raises(InvalidInput):
        fit(replace(only, examples=replace(examples, labels=np.full(5, -1))))


def test_of_a_large_set_a_fifth_of_the_groups_is_held_out_once():
    train = training_set(n=2400)
    ((rows, test),) = hold_outs(train, 5, 0)
    assert sorted([*rows, *test]) == list(range(2400))
    assert not set(train.groups[rows]) & set(train.groups[test])
    assert 0.17 < len(test) / 2400 < 0.23
    assert fit(train).metrics["folds"] == 1


def test_a_sample_of_the_pool_is_drawn_by_its_seed_and_never_repeats_an_item():
    rows = draw_pool_rows(20_000, 3)
    assert len(rows) == len(set(rows.tolist())) == 5000
    assert np.array_equal(rows, draw_pool_rows(20_000, 3))
    assert not np.array_equal(rows, draw_pool_rows(20_000, 4))
    assert draw_pool_rows(7, 3).tolist() == list(range(7))


@pytest.mark.parametrize("soft", [np.ones((2, 2)), np.array([[2.0, -1.0], [1.0, 0.0]]), np.ones((3, 1))])
def test_shares_of_experts_that_are_none_are_refused(soft):
    with pytest.raises(InvalidInput):
        TrainingSet(["a", "b"], np.eye(2), np.array([0, 1]), np.arange(2), soft=soft)


def test_taking_rows_takes_the_shares_along_and_examples_join_as_certain():
    train = TrainingSet(
        ["a", "b"], np.eye(2), np.array([0, 1]), np.arange(2), soft=np.array([[1.0, 0.0], [0.5, 0.5]]),
        examples=Examples(["c"], np.eye(2)[:1], np.array([1])),
    )  # fmt: skip
    whole = train.take(np.array([1])).with_examples()
    assert list(whole.texts) == ["b", "c"]
    assert whole.soft.tolist() == [[0.5, 0.5], [0.0, 1.0]]
    assert len(set(whole.groups.tolist())) == 2
    assert whole.examples is None
