"""Whether mined labels teach more than random ones: measured right where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from app.curation.adaptive import LARGEST_SHARE, PRIOR_ERROR, PRIOR_MEAN, adapt, verdict
from app.curation.choosing import History, Pool
from app.curation.gain import Gain, _kappas, chance_of_loss, drawn_at_random, mining_gain
from app.curation.strategies import margin, random


def history(mined_are_right: bool, random_are_right: bool, *, seed=0, per_kind=60, control=80, dim=12):
    """Texts whose label is the sign of their first coordinate; labels of the wrong kind are a coin's."""
    rng = np.random.default_rng(seed)
    n = 2 * per_kind + control
    rows = rng.normal(size=(n, dim))
    rows[:, 0] *= 3
    truth = (rows[:, 0] > 0).astype(np.int64)
    kinds = np.repeat(["margin", "random", "control"], [per_kind, per_kind, control])
    wrong = np.isin(kinds, [k for k, right in (("margin", mined_are_right), ("random", random_are_right)) if not right])
    labels = np.where(wrong, rng.integers(0, 2, n), truth)
    propensities = np.where(kinds == "control", 0.05, np.nan)
    return rows, History(np.arange(n), labels, np.ones(n, np.int64), kinds != "control", propensities, list(kinds))


@pytest.mark.parametrize(("mined", "by_chance", "sign"), [(True, False, 1), (False, True, -1)])
def test_the_kind_of_labels_that_teaches_more_is_found(mined, by_chance, sign):
    for seed in range(3):
        rows, past = history(mined, by_chance, seed=seed)
        gain = mining_gain(rows, past, np.random.default_rng(seed))
        assert gain is not None
        assert sign * gain.value > 3 * gain.error
        assert (gain.labels, gain.control) == (60, 80)


def test_equally_good_labels_differ_by_no_more_than_the_error_allows():
    rows, past = history(True, True)
    gain = mining_gain(rows, past, np.random.default_rng(0))
    assert gain is not None
    assert abs(gain.value) < 3 * max(gain.error, 0.02)


def test_nothing_is_measured_with_too_few_labels_of_a_kind_or_too_small_a_slice():
    rng = np.random.default_rng(0)
    for options in ({"per_kind": 9}, {"control": 19}):
        rows, past = history(True, True, **options)
        assert mining_gain(rows, past, rng) is None
    rows, past = history(True, True)
    unknown = History(past.items, past.labels, past.rounds, past.trained, past.propensities)
    assert mining_gain(rows, unknown, rng) is None
    one_label = History(past.items, past.labels * 0, past.rounds, past.trained, past.propensities, past.reasons)
    assert mining_gain(rows, one_label, rng) is None


def test_training_labels_that_were_drawn_for_the_control_slice_count_as_random():
    _, past = history(True, True)
    trained_control = History(past.items, past.labels, past.rounds, past.trained | True, past.propensities)
    assert drawn_at_random(trained_control).sum() == 80
    assert drawn_at_random(past).sum() == 140


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=30))
def test_kappa_is_scikit_learns(pairs):
    answers, truth = (np.array(column) for column in zip(*pairs, strict=True))
    ours = _kappas(answers, truth, np.arange(len(pairs))[None, :])[0]
    theirs = cohen_kappa_score(answers, truth, labels=[0, 1, 2]) if len(set(answers) | set(truth)) > 1 else 0.0
    assert ours == pytest.approx(theirs)


def test_the_chance_of_loss_follows_the_evidence_and_the_prior_holds_it_back():
    none = chance_of_loss(None, 0.05, 0.1)
    assert none == pytest.approx(0.3085, abs=1e-3)
    bad, good = Gain(-0.3, 0.1, 50, 80), Gain(0.3, 0.1, 50, 80)
    assert chance_of_loss(good, 0.05, 0.1) < 0.01 < none < 0.9 < chance_of_loss(bad, 0.05, 0.1)
    vague = Gain(-0.3, 1.0, 50, 80)
    assert none < chance_of_loss(vague, 0.05, 0.1) < none + 0.05
    nothing_found = Gain(0.0, 0.0, 50, 80)
    assert 0.1 < chance_of_loss(nothing_found, 0.05, 0.1) < none + 0.2


def test_where_mined_labels_have_taught_less_most_of_the_round_is_drawn_at_random():
    shares = {}
    for name, kinds in {"worse": (False, True), "better": (True, False)}.items():
        rows, past = history(*kinds)
        more = np.random.default_rng(9).normal(size=(300, rows.shape[1]))
        every = np.vstack([rows, more])
        eligible = np.arange(len(every)) >= len(rows)
        scores = np.full((len(every), 2), 0.5)
        pool = Pool(every, np.zeros(len(every), np.int64), scores, eligible, past)
        choice = adapt(pool, 100, np.random.default_rng(0), mined=margin, random=random)
        assert len(set(choice.items.tolist())) == 100
        shares[name] = choice.reasons.count("random")
        assert f"So {shares[name]} items are drawn at random" in choice.note
    assert shares["worse"] >= 70
    assert shares["better"] <= 5
    assert LARGEST_SHARE * chance_of_loss(None, PRIOR_MEAN, PRIOR_ERROR) < 0.3


def test_the_verdict_claims_no_more_than_the_interval_does():
    assert "teach more than" in verdict(Gain(0.4, 0.1, 30, 60))
    assert "teach less than" in verdict(Gain(-0.4, 0.1, 30, 60))
    assert "are not shown" in verdict(Gain(-0.1, 0.1, 30, 60))
    assert "too few labels" in verdict(None)
