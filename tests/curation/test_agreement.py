"""Agreement figures against scikit-learn and krippendorff, and what they say when they cannot be computed."""

import time
import warnings
from itertools import combinations

import krippendorff
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa, to_table

from app.curation import agreement
from app.curation.bootstrap import Estimate, Spread, draw_counts, estimate
from app.curation.pairwise import FEW, LEAN

TWO = hnp.arrays(np.int64, st.tuples(st.integers(2, 40), st.just(2)), elements=st.integers(0, 3))
RATINGS = hnp.arrays(np.int64, st.tuples(st.integers(2, 30), st.integers(2, 5)), elements=st.integers(-1, 2))


def rng(seed=0):
    return np.random.default_rng(seed)


def noisy(n, experts, accuracy, seed=0):
    r = rng(seed)
    truth = r.integers(0, 2, n)
    return truth, np.where(r.random((n, experts)) < accuracy, truth[:, None], 1 - truth[:, None])


@given(TWO)
def test_kappa_equals_scikit_learns_and_statsmodels(table):
    assume(len(np.unique(table)) > 1)
    ours = agreement.cohen_kappa(table[:, 0], table[:, 1])
    assert ours == pytest.approx(cohen_kappa_score(table[:, 0], table[:, 1]), abs=1e-9)
    theirs = cohens_kappa(to_table(table)[0], return_results=False)
    assert ours == pytest.approx(float(theirs), abs=1e-9)


@given(TWO, st.data())
def test_weighted_kappa_equals_scikit_learns_with_sample_weights(table, data):
    assume(len(np.unique(table)) > 1)
    weights = np.array(data.draw(st.lists(st.floats(0.1, 100), min_size=len(table), max_size=len(table))))
    expected = cohen_kappa_score(table[:, 0], table[:, 1], sample_weight=weights)
    assert agreement.cohen_kappa(table[:, 0], table[:, 1], weights=weights) == pytest.approx(expected, abs=1e-6)


@given(TWO)
def test_missing_answers_do_not_change_kappa(table):
    padded = np.vstack([table, [[-1, 0], [1, -1], [-1, -1]]])
    before, after = (agreement.cohen_kappa(t[:, 0], t[:, 1]) for t in (table, padded))
    assert before == pytest.approx(after, nan_ok=True)


@given(RATINGS)
def test_alpha_equals_the_reference_implementation(table):
    shared = table[(table >= 0).sum(axis=1) >= 2]
    assume(len(np.unique(shared[shared >= 0])) > 1)
    data = np.where(table < 0, np.nan, table).T.astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = krippendorff.alpha(reliability_data=data, level_of_measurement="nominal")
    assert agreement.krippendorff_alpha(table) == pytest.approx(expected, abs=1e-9)
    figure = agreement.alpha(table, np.arange(len(table)), rng(), resamples=50)
    assert figure.value == pytest.approx(expected, abs=1e-9)


COMPLETE = hnp.arrays(np.int64, st.tuples(st.integers(5, 30), st.integers(2, 5)), elements=st.integers(0, 2))


@settings(max_examples=40)
@given(COMPLETE)
def test_alignments_are_means_of_scikit_learns_kappas_where_everyone_answered_everything(table):
    groups = np.arange(len(table))
    pairs = [(i, j) for i in range(table.shape[1]) for j in range(i)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        internal = [cohen_kappa_score(table[:, i], table[:, j]) for i, j in pairs]
        model = [cohen_kappa_score(table[:, 0], table[:, j]) for j in range(table.shape[1])]
    for figure, kappas in (
        (agreement.internal_alignment(table, groups, rng(), resamples=20), internal),
        (agreement.model_human_alignment(table[:, 0], table, groups, rng(), resamples=20), model),
    ):
        known = [k for k in kappas if np.isfinite(k)]
        if known:
            assert figure.value == pytest.approx(np.mean(known), abs=1e-9)
            assert figure.undefined is None
        else:
            assert figure.value is None
            assert figure.undefined


def plain_internal(table):
    """Internal alignment by plain loops: pairs with few common items are pooled, unless they answered nothing else."""
    pairs = [(i, j, (table[:, i] >= 0) & (table[:, j] >= 0)) for i, j in combinations(range(table.shape[1]), 2)]
    answered = {e: np.any([both for i, j, both in pairs if e in (i, j)], axis=0).sum() for e in range(table.shape[1])}
    every = {
        e: sum(np.bincount(table[both, e], minlength=3) for i, j, both in pairs if e in (i, j))
        for e in range(table.shape[1])
    }
    own, above, below, items = [], 0.0, 0.0, 0
    for i, j, both in pairs:
        n, a, b = int(both.sum()), table[both, i], table[both, j]
        if n and (n >= FEW or n == answered[i] == answered[j]):
            kappa = agreement.cohen_kappa(a, b)
            own += [kappa] if np.isfinite(kappa) else []
        elif n:
            leant = [
                np.bincount(labels, minlength=3) + LEAN * every[e] / every[e].sum() for labels, e in ((a, i), (b, j))
            ]
            chance = sum(leant[0] / leant[0].sum() * leant[1] / leant[1].sum())
            if 1 - chance > 1e-12:
                above, below = above + (a == b).sum() - n * chance, below + n * (1 - chance)
            items += n
    weights = [1.0] * len(own) + ([items / FEW] if below else [])
    return np.average([*own, *([above / below] if below else [])], weights=weights) if weights else None


@settings(max_examples=60)
@given(hnp.arrays(np.int64, st.tuples(st.integers(5, 60), st.integers(3, 5)), elements=st.integers(-1, 2)))
def test_pairs_with_few_common_items_are_pooled(table):
    figure = agreement.internal_alignment(table, np.arange(len(table)), rng(), min_shared=1, resamples=20)
    expected = plain_internal(table)
    assert figure.value == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.mark.slow
def test_many_experts_with_little_in_common_are_measured_without_bias():
    # Each answers as the truth with chance sqrt(.5) and else at random, so that any two have kappa .5.
    values = []
    for seed in range(300):
        r = rng(seed)
        truth = (r.random(40) < 0.3).astype(int)
        own = (r.random((40, 8)) < 0.3).astype(int)
        ratings = np.where(r.random((40, 8)) < np.sqrt(0.5), truth[:, None], own)
        asked = np.argsort(r.random((40, 8)), axis=1) < 2
        found = agreement.internal_alignment(np.where(asked, ratings, -1), np.arange(40), r, resamples=2)
        values.append(found.value)
    assert np.mean(values) == pytest.approx(0.5, abs=0.035)


@given(RATINGS)
def test_alpha_and_kappa_are_never_above_one_and_intervals_are_in_order(table):
    for figure in (
        agreement.alpha(table, np.arange(len(table)), rng(), resamples=50),
        agreement.internal_alignment(table, np.arange(len(table)), rng(), min_shared=1, resamples=50),
        agreement.percent_agreement(table, np.arange(len(table)), rng(), min_shared=1, resamples=50),
    ):
        assert (figure.value is None) == (figure.undefined is not None)
        if figure.low is not None:
            assert figure.low <= figure.high <= 1 + 1e-9


@pytest.mark.slow
def test_the_interval_is_as_wide_as_a_plain_loop_over_resampled_groups_says():
    truth, ratings = noisy(300, 3, 0.85)
    groups = np.arange(300) // 2
    figure = agreement.model_human_alignment(truth, ratings, groups, rng(1))
    r, values = rng(2), []
    for _ in range(600):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in r.integers(0, 150, 150)])
        values.append(np.mean([cohen_kappa_score(truth[rows], ratings[rows, e]) for e in range(3)]))
    assert figure.high - figure.low == pytest.approx(2 * 1.976 * np.std(values), rel=0.1)
    assert (figure.high + figure.low) / 2 == pytest.approx(figure.value, abs=0.02)


def test_full_agreement_leaves_a_width_that_shrinks_with_the_items():
    widths = []
    for n in (40, 400):
        labels = np.arange(n) % 2
        ratings = np.column_stack([labels] * 3)
        for figure in (
            agreement.internal_alignment(ratings, np.arange(n), rng()),
            agreement.model_human_alignment(labels, ratings, np.arange(n), rng()),
            agreement.alpha(ratings, np.arange(n), rng()),
        ):
            assert (figure.value, figure.high) == (1, 1)
            # Of n items, up to about 3 in n may disagree; each costs 2 of kappa at even labels.
            assert 1 - 9 / n < figure.low < 1 - 3 / n
            widths.append(1 - figure.low)
        share = agreement.percent_agreement(ratings, np.arange(n), rng())
        assert share.low < share.value == share.high == 1
    assert max(widths[3:]) < min(widths[:3]) / 5


def test_a_model_and_its_copy_differ_by_nought_within_a_few_items():
    truth, ratings = noisy(100, 3, 0.9)
    same = agreement.alignment_difference(truth, truth, ratings, np.arange(100), rng())
    assert same.value == 0
    assert -0.06 < same.low < 0 < same.high < 0.06


def test_two_thousand_resamples_of_five_thousand_items_take_less_than_a_second():
    r = rng()
    ratings = np.where(r.random((5000, 8)) < 0.8, r.integers(0, 2, (5000, 1)), r.integers(0, 2, (5000, 8)))
    start = time.process_time()
    agreement.internal_alignment(ratings, np.arange(5000), rng())
    assert time.process_time() - start < 1


def test_a_resample_draws_as_many_groups_as_there_are():
    counts = draw_counts(30, 500, rng())
    assert (counts.sum(axis=1) == 30).all()
    assert counts.var(axis=0).mean() == pytest.approx(29 / 30, rel=0.1)


def test_twins_in_one_group_widen_the_interval():
    truth, ratings = noisy(100, 2, 0.8)
    twice, labels = np.repeat(ratings, 2, axis=0), np.repeat(truth, 2)
    apart = agreement.model_human_alignment(labels, twice, np.arange(200), rng())
    together = agreement.model_human_alignment(labels, twice, np.arange(200) // 2, rng())
    assert together.value == pytest.approx(apart.value)
    assert together.high - together.low > 1.2 * (apart.high - apart.low)


def test_the_interval_covers_the_true_kappa_about_as_often_as_it_says():
    # Two raters with accuracy .85 on balanced labels agree with kappa (2 * .85 - 1) ** 2 = .49.
    hits = 0
    for seed in range(200):
        _, ratings = noisy(150, 2, 0.85, seed)
        figure = agreement.internal_alignment(ratings, np.arange(150), rng(seed), resamples=300)
        hits += figure.low <= 0.49 <= figure.high
    assert 0.90 <= hits / 200 <= 0.99


def test_constant_answers_give_a_reason_and_no_number():
    ratings = np.ones((20, 3), dtype=int)
    for figure in (
        agreement.internal_alignment(ratings, np.arange(20), rng()),
        agreement.alpha(ratings, np.arange(20), rng()),
        agreement.model_human_alignment(np.ones(20, int), ratings, np.arange(20), rng()),
    ):
        assert (figure.value, figure.low, figure.high) == (None, None, None)
        assert "same label" in figure.undefined
        assert figure.n == 20


def test_no_answers_and_too_few_answers_give_reasons():
    nothing = agreement.internal_alignment(np.full((5, 3), -1), np.arange(5), rng())
    assert (nothing.value, nothing.n) == (None, 0)
    few = agreement.internal_alignment(np.array([[0, 1], [1, 1], [0, 0]]), np.arange(3), rng())
    assert few.value is None
    assert "At most 3" in few.undefined
    assert agreement.internal_alignment(np.zeros((0, 2), int), np.zeros(0, int), rng()).value is None
    assert agreement.internal_alignment(np.zeros((4, 1), int), np.arange(4), rng()).value is None


def test_one_group_or_mostly_undefined_resamples_give_no_interval():
    _, ratings = noisy(40, 2, 0.8)
    one = agreement.internal_alignment(ratings, np.zeros(40, int), rng())
    assert one.value is not None
    assert one.low is None
    unsure = Spread(np.array([0.5]), np.array([0.45]), np.array([np.nan]))
    assert estimate(unsure, 0, 40, 20, "why", (-1, 1)) == Estimate(0.5, None, None, 40, None)


def test_an_expert_pair_has_the_kappa_of_its_shared_items_and_their_number():
    _, ratings = noisy(60, 3, 0.8)
    ratings[20:, 2] = -1
    ratings[:18, 1] = -1
    found = {(p.first, p.second): p.estimate for p in agreement.expert_pair_kappas(ratings, np.arange(60), rng())}
    assert found[0, 1].n == 42
    assert found[0, 1].value == pytest.approx(cohen_kappa_score(ratings[18:, 0], ratings[18:, 1]))
    assert found[1, 2].value is None
    assert found[1, 2].n == 2


def test_two_models_are_compared_on_the_same_items():
    truth, ratings = noisy(300, 3, 0.9)
    worse = np.where(rng(5).random(300) < 0.3, 1 - truth, truth)
    worse[:50] = -1
    difference = agreement.alignment_difference(truth, worse, ratings, np.arange(300), rng())
    apart = [agreement.model_human_alignment(m[50:], ratings[50:], np.arange(250), rng()) for m in (truth, worse)]
    assert difference.n == 250
    assert difference.value == pytest.approx(apart[0].value - apart[1].value)
    assert difference.low > 0
    gap = agreement.alignment_gap(truth, ratings, np.arange(300), rng())
    internal = agreement.internal_alignment(ratings, np.arange(300), rng())
    assert gap.value == pytest.approx(
        agreement.model_human_alignment(truth, ratings, np.arange(300), rng()).value - internal.value
    )


def test_model_and_experts_are_compared_on_the_same_items():
    """Neither items that the model left unlabelled nor those with one answer are on one side only."""
    truth, ratings = noisy(300, 3, 0.9)
    truth[:100] = -1
    ratings[100:150, 1:] = -1
    gap = agreement.alignment_gap(truth, ratings, np.arange(300), rng())
    same = (truth[150:], ratings[150:])
    model = agreement.model_human_alignment(*same, np.arange(150), rng())
    internal = agreement.internal_alignment(same[1], np.arange(150), rng())
    assert gap.n == 150
    assert gap.value == pytest.approx(model.value - internal.value)
    alone = agreement.alignment_gap(truth, ratings[:, :1], np.arange(300), rng())
    assert (alone.value, alone.n) == (None, 0)


def test_inverse_propensity_weights_recover_the_pools_kappa():
    r = rng(3)
    labels = (r.random(20_000) < 0.05).astype(int)
    answers = np.where(r.random(20_000) < 0.97, labels, 1 - labels)
    whole = agreement.cohen_kappa(labels, answers)
    weighted, plain = [], []
    for _ in range(60):
        rows = np.concatenate([r.choice(np.flatnonzero(labels == k), 150, replace=False) for k in (0, 1)])
        weights = np.repeat([(labels == k).sum() / 150 for k in (0, 1)], 150)
        weighted.append(agreement.cohen_kappa(labels[rows], answers[rows], weights=weights))
        plain.append(agreement.cohen_kappa(labels[rows], answers[rows]))
    assert np.mean(weighted) == pytest.approx(whole, abs=0.03)
    assert abs(np.mean(plain) - whole) > 0.1


def test_the_same_generator_state_gives_the_same_interval():
    truth, ratings = noisy(80, 3, 0.8)
    first, second = (agreement.model_human_alignment(truth, ratings, np.arange(80), rng(9)) for _ in range(2))
    assert first == second


def test_rounding_noise_is_nought_and_nought_has_no_sign():
    noise = Spread(np.array([-2.25e-16]), np.array([-1e-16]), np.array([0.0]))
    found = estimate(noise, 0, 10, 5, "", (-1, 1))
    assert found == Estimate(0.0, 0.0, 0.0, 10, None)
    assert not np.signbit([found.value, found.low, found.high]).any()
    nought = Spread(np.array([-0.0]), np.array([-0.0]), np.array([np.nan]))
    assert not np.signbit(estimate(nought, 0, 10, 1, "", (-1, 1)).value)
    tiny = Spread(np.array([-1e-9]), np.array([0.0]), np.array([0.0]))
    assert estimate(tiny, 0, 10, 5, "", (-1, 1)).value == -1e-9


def test_an_interval_holds_its_figure_and_stays_within_what_is_possible():
    wide = Spread(np.array([0.9]), np.array([0.5]), np.array([0.1]))
    assert estimate(wide, 0, 10, 21, "", (0, 1)).high == 0.9
    assert estimate(wide, 0, 10, 21, "", (0, 1)).low == pytest.approx(0.5 - 2.086 * 0.1, abs=1e-3)
    beyond = Spread(np.array([0.9]), np.array([0.5]), np.array([0.6]))
    assert (estimate(beyond, 0, 10, 21, "", (0, 1)).low, estimate(beyond, 0, 10, 21, "", (0, 1)).high) == (0, 1)
