import json
from dataclasses import replace

import numpy as np
import pytest

from app.curation.agreement import cohen_kappa
from app.curation.control import draw_control
from app.curation.loop import LoopSettings, plan_round, round_figures, score_round
from app.curation.positions import spread_positions
from app.curation.stopping import advise

N = 3000


@pytest.fixture(scope="module")
def pool():
    r = np.random.default_rng(0)
    rows = r.normal(size=(N, 24)).astype(np.float16)
    rows[1] = rows[0]
    labels = (r.random(N) < 0.1).astype(int)
    positive = np.clip(labels * 0.8 + 0.1 + r.normal(0, 0.05, N), 0, 1)
    return rows, labels, np.column_stack([1 - positive, positive])


def plan(pool, settings=None, excluded=None, seed=1, **options):
    excluded = np.zeros(N, bool) if excluded is None else excluded
    return plan_round(
        *pool, excluded, settings or LoopSettings(strategy="boundary"), np.random.default_rng(seed), **options
    )


def test_a_round_has_its_size_whole_pairs_and_the_control_share(pool):
    found = plan(pool)
    assert len(found.items) == len(np.unique(found.items)) == 100
    assert found.reasons.count("control") == 16  # 15, and the one left over by whole pairs
    assert found.reasons.count("boundary") == 84 == 2 * len(found.pairs)
    assert np.isnan(found.propensities[:84]).all()
    assert sorted(found.positions) == list(range(100))
    json.dumps(found.reason_details)


def test_a_strategy_of_single_items_gives_experts_contrast_pairs_all_the_same(pool):
    found = plan(pool, LoopSettings(strategy="hybrid"))
    assert len(found.pairs)
    mined = set(found.items[np.isnan(found.propensities)].tolist())
    assert {int(item) for side in (found.pairs.left, found.pairs.right) for item in side} <= mined, "not the control"
    labels = pool[1]
    assert (labels[found.pairs.left] != labels[found.pairs.right]).all()
    where = {int(item): k for k, item in enumerate(found.items)}
    for left, right in zip(found.pairs.left, found.pairs.right, strict=True):
        a, b = where[int(left)], where[int(right)]
        assert found.groups[a] == found.groups[b]
        assert abs(found.positions[a] - found.positions[b]) > 1


def test_pair_members_share_a_group_and_are_not_neighbours(pool):
    found = plan(pool)
    where = {int(item): k for k, item in enumerate(found.items)}
    for left, right in zip(found.pairs.left, found.pairs.right, strict=True):
        a, b = where[int(left)], where[int(right)]
        assert found.groups[a] == found.groups[b]
        assert abs(found.positions[a] - found.positions[b]) > 1
        assert found.reason_details[a]["partner"] == right


def test_excluded_items_never_return_and_twins_of_earlier_items_keep_their_group(pool):
    first = plan(pool)
    excluded = np.zeros(N, bool)
    excluded[first.items] = True
    second = plan(pool, excluded=excluded, earlier_items=first.items, earlier_groups=first.groups)
    assert not set(first.items.tolist()) & set(second.items.tolist())
    assert not set(first.groups.tolist()) & set(second.groups.tolist())
    everything_but_a_twin = np.ones(N, bool)
    everything_but_a_twin[1] = False
    twin = plan(pool, excluded=everything_but_a_twin, earlier_items=[0, 5], earlier_groups=[7, 9])
    assert twin.items.tolist() in ([1], [])
    solo = plan(
        pool,
        replace(LoopSettings(), strategy="random"),
        everything_but_a_twin,
        earlier_items=[0, 5],
        earlier_groups=[7, 9],
    )
    assert (solo.items.tolist(), solo.groups.tolist()) == ([1], [7])


def test_the_same_seed_plans_the_same_round_and_another_does_not(pool):
    for name in ("boundary", "random", "margin"):
        settings = LoopSettings(strategy=name)
        first, again, other = plan(pool, settings), plan(pool, settings), plan(pool, settings, seed=2)
        assert first.items.tolist() == again.items.tolist()
        assert first.positions.tolist() == again.positions.tolist()
        assert first.items.tolist() != other.items.tolist()


def test_an_exhausted_or_tiny_pool_gives_a_smaller_round_with_a_reason(pool):
    empty = plan(pool, excluded=np.ones(N, bool))
    assert len(empty.items) == 0
    few = np.ones(N, bool)
    few[:10] = False
    assert len(plan(pool, excluded=few).items) <= 10
    one_sided = plan((pool[0], np.zeros(N, int), pool[2]))
    assert one_sided.reasons == ["margin"] * 84 + ["control"] * 16
    assert "same label" in one_sided.note


def test_control_propensities_are_the_frequencies_of_being_drawn():
    labels = np.r_[np.ones(10, int), np.zeros(60, int)]
    eligible = np.ones(70, bool)
    eligible[:3] = False
    seen, expected = np.zeros(70), np.zeros(70)
    for seed in range(3000):
        drawn = draw_control(labels, eligible, 8, np.random.default_rng(seed))
        seen[drawn.items] += 1
        expected[drawn.items] = drawn.propensities
    assert (seen[:3] == 0).all()
    np.testing.assert_allclose(seen[3:] / 3000, expected[3:], atol=0.045)
    assert expected[3] == pytest.approx(4 / 7)
    assert expected[20] == pytest.approx(4 / 60)


def test_the_weighted_control_slice_estimates_a_pool_total_without_bias(pool):
    _, labels, _ = pool
    value = np.random.default_rng(5).random(N) * (1 + 4 * labels)
    totals = []
    for seed in range(2000):
        drawn = draw_control(labels, np.ones(N, bool), 15, np.random.default_rng(seed))
        totals.append((value[drawn.items] / drawn.propensities).sum())
    assert np.mean(totals) == pytest.approx(value.sum(), rel=0.02)


def test_with_scores_the_largest_label_is_drawn_from_what_the_model_doubts_and_from_what_it_trusts(pool):
    _, labels, scores = pool
    value = np.random.default_rng(5).random(N) * (1 + 9 * scores[:, 1])
    totals, chances = [], np.zeros(N)
    for seed in range(2000):
        drawn = draw_control(labels, np.ones(N, bool), 15, np.random.default_rng(seed), scores)
        totals.append((value[drawn.items] / drawn.propensities).sum())
        chances[drawn.items] = drawn.propensities
    assert np.mean(totals) == pytest.approx(value.sum(), rel=0.02)
    assert np.unique(drawn.halves, return_counts=True)[1].tolist() == [5, 5, 5]
    doubted, trusted = (drawn.items[drawn.halves == half] for half in (1, 2))
    assert scores[doubted, 0].max() <= scores[trusted, 0].min()
    assert (labels[np.r_[doubted, trusted]] == 0).all()
    assert drawn.sizes[drawn.halves > 0].reshape(2, 5).mean(axis=1).sum() == (labels == 0).sum()


def test_scores_that_tell_nothing_apart_still_give_known_chances():
    labels, flat = np.r_[np.ones(10, int), np.zeros(60, int)], np.full((70, 2), 0.5)
    drawn = draw_control(labels, np.ones(70, bool), 9, np.random.default_rng(0), flat)
    assert (1 / drawn.propensities).sum() == pytest.approx(70)
    missing = draw_control(np.full(70, -1), np.ones(70, bool), 9, np.random.default_rng(0), flat)
    assert missing.propensities.tolist() == [9 / 70] * 9
    two = draw_control(labels, np.ones(70, bool), 2, np.random.default_rng(0), flat)
    assert two.halves.tolist() == [0, 0]


def test_fewer_control_items_than_labels_are_drawn_from_all():
    drawn = draw_control(np.arange(50) % 5, np.ones(50, bool), 3, np.random.default_rng(0))
    assert drawn.propensities.tolist() == [3 / 50] * 3
    assert drawn.strata.tolist() == [-1] * 3


@pytest.mark.parametrize("n", [3, 4, 6, 7, 100])
def test_partners_are_kept_apart_whenever_that_is_possible(n):
    pairs = [(2 * k, 2 * k + 1) for k in range(n // 2)]
    for seed in range(200):
        positions = spread_positions(n, pairs, np.random.default_rng(seed))
        assert sorted(positions) == list(range(n))
        assert all(abs(positions[a] - positions[b]) > 1 for a, b in pairs)


def scored(seed=0, n=240):
    r = np.random.default_rng(seed)
    truth = r.integers(0, 2, n)
    ratings = np.where(r.random((n, 3)) < 0.9, truth[:, None], 1 - truth[:, None])
    models = {
        number: np.where(r.random(n) < accuracy, truth, 1 - truth)
        for number, accuracy in ((4, 0.6), (7, 0.75), (9, 0.9))
    }
    propensities = np.where(np.arange(n) % 3 == 0, 0.01 + 0.2 * truth, np.nan)
    return ratings, np.arange(n) // 2, np.arange(n) % 5 < 3, propensities, models


def test_answers_to_fine_tuning_items_count_nowhere():
    ratings, groups, evaluation, propensities, models = scored()
    before = score_round(ratings, groups, evaluation, propensities, models, np.random.default_rng(0), resamples=50)
    changed = ratings.copy()
    changed[~evaluation] = 1 - changed[~evaluation]
    others = {k: np.where(evaluation, v, 1 - v) for k, v in models.items()}
    after = score_round(changed, groups, evaluation, propensities, others, np.random.default_rng(0), resamples=50)
    assert before == after


def test_the_control_slice_is_weighted_and_the_evaluation_slice_is_not():
    ratings, groups, evaluation, propensities, models = scored()
    figures = score_round(
        ratings,
        groups,
        evaluation,
        propensities,
        models,
        np.random.default_rng(0),
        expert_ids=[11, 12, 15],
        resamples=50,
    )
    found = {(f.subject, f.slice, f.measure, f.detail): f.estimate for f in figures}
    assert len(found) == len(figures)
    control = evaluation & np.isfinite(propensities)
    for name, rows, weights in (
        ("evaluation", evaluation, None),
        ("control", control, 1 / propensities[control]),
    ):
        kappas = [cohen_kappa(models[9][rows], ratings[rows, e], weights=weights) for e in range(3)]
        assert found["model:9", name, "kappa", ""].value == pytest.approx(np.mean(kappas))
        pair = cohen_kappa(ratings[rows, 0], ratings[rows, 2], weights=weights)
        assert found["experts", name, "kappa", "11-15"].value == pytest.approx(pair)
        assert found["experts", name, "kappa", ""].n == rows.sum()
    gain = found["model:9", "evaluation", "kappa_gain", "over:4"]
    assert gain.value == pytest.approx(
        found["model:9", "evaluation", "kappa", ""].value - found["model:4", "evaluation", "kappa", ""].value
    )
    assert gain.low > 0


def test_the_newest_version_is_compared_with_the_one_before_that_of_two_rounds_ago_and_the_first():
    ratings, groups, evaluation, propensities, models = scored()
    several = dict.fromkeys((2, 3, 5, 7), models[4]) | {9: models[9]}
    figures = score_round(ratings, groups, evaluation, propensities, several, np.random.default_rng(0), resamples=20)
    found = {(f.subject, f.detail): f.estimate for f in figures if f.measure == "kappa_gain" and f.slice == "control"}
    of_the_newest = [("model:9", f"over:{number}") for number in (7, 5, 2)]
    assert list(found) == [("model:3", "over:2"), ("model:5", "over:3"), ("model:7", "over:5"), *of_the_newest]
    assert len({found[key].value for key in of_the_newest}) == 1, "the older ones are the same model"


def test_more_than_two_labels_have_a_kappa_each_against_the_rest():
    ratings, groups, evaluation, propensities, models = scored()
    figures = score_round(ratings, groups, evaluation, propensities, models, np.random.default_rng(0), resamples=20)
    assert not [f for f in figures if f.measure == "label_kappa"]
    third = np.random.default_rng(1).random(len(groups)) < 0.3
    ratings[third] = np.where(ratings[third] >= 0, 2, -1)
    ratings[third, 0] = 1
    models[9][third] = 2
    figures = score_round(ratings, groups, evaluation, propensities, models, np.random.default_rng(0), resamples=20)
    found = {(f.subject, f.slice, f.detail): f.estimate for f in figures if f.measure == "label_kappa"}
    rows = evaluation
    for label in range(3):
        kappas = [cohen_kappa(models[9][rows] == label, ratings[rows, e] == label) for e in range(3)]
        assert found["model:9", "evaluation", f"label:{label}"].value == pytest.approx(np.mean(kappas))
        pairs = [cohen_kappa(ratings[rows, a] == label, ratings[rows, b] == label) for a, b in ((0, 1), (0, 2), (1, 2))]
        assert found["experts", "evaluation", f"label:{label}"].value == pytest.approx(np.mean(pairs))


def test_a_gain_is_given_on_the_hard_cases_and_on_the_control_slice():
    ratings, groups, evaluation, propensities, models = scored()
    figures = score_round(ratings, groups, evaluation, propensities, models, np.random.default_rng(0), resamples=50)
    last = round_figures(2, figures, [4, 7, 9])
    control = evaluation & np.isfinite(propensities)
    kappas = [
        np.mean(
            [cohen_kappa(models[m][control], ratings[control, e], weights=1 / propensities[control]) for e in range(3)]
        )
        for m in (9, 4)
    ]
    assert last.control_gain.value == pytest.approx(kappas[0] - kappas[1])
    assert last.gain.value != last.control_gain.value


def test_a_round_without_answers_is_scored_as_undefined():
    ratings, groups, evaluation, propensities, models = scored()
    figures = score_round(
        np.full_like(ratings, -1), groups, evaluation, propensities, models, np.random.default_rng(0), resamples=20
    )
    assert figures
    assert all(f.estimate.value is None and f.estimate.undefined for f in figures)


def test_figures_lead_to_advice():
    ratings, groups, evaluation, propensities, models = scored(n=900)
    history = []
    for number, ids in enumerate(([4, 7], [4, 7, 9]), start=1):
        figures = score_round(
            ratings,
            groups,
            evaluation,
            propensities,
            {k: models[k] for k in ids},
            np.random.default_rng(0),
            resamples=300,
        )
        history.append(round_figures(number, figures, ids))
    assert advise(history[:1]).kind == "continue"
    assert history[0].gain is None
    assert advise(history).kind == "match"
