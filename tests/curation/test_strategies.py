"""What every strategy owes a round, whatever the pool looks like; and what each is for."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.curation.choosing import History, Pool, mix
from app.curation.diversity import MAX_CLUSTERS, spread
from app.curation.loop import LoopSettings, plan_round
from app.curation.strategies import (
    ENOUGH_LABELS,
    STRATEGIES,
    adaptive,
    hybrid,
    likely,
    margin,
    margin_diverse,
    random,
    unevenness,
)


def make_pool(n, labels, seed, dim=8, share_eligible=1.0, history=0, columns=True):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, dim)).astype(np.float16)
    scores = rng.dirichlet(np.ones(labels), n).astype(np.float32)
    given_labels = scores.argmax(axis=1).astype(np.int64)
    known = rng.permutation(n)[: min(history, n)]
    eligible = rng.random(n) < share_eligible
    eligible[known] = False
    past = History(
        known,
        rng.integers(0, labels, len(known)),
        np.ones(len(known), dtype=np.int64),
        rng.random(len(known)) < 0.6,
        np.where(rng.random(len(known)) < 0.2, 0.1, np.nan),
    )
    return Pool(rows, given_labels, scores if columns else scores.max(axis=1), eligible, past)


@settings(max_examples=120, deadline=None)
@given(
    name=st.sampled_from(sorted(STRATEGIES)),
    n=st.integers(0, 90),
    wanted=st.integers(0, 40),
    labels=st.integers(2, 5),
    share=st.sampled_from([0.0, 0.3, 1.0]),
    history=st.sampled_from([0, 5, 60]),
    columns=st.booleans(),
    seed=st.integers(0, 5),
)
def test_every_strategy_chooses_eligible_distinct_items_and_never_too_many(
    name, n, wanted, labels, share, history, columns, seed
):
    pool = make_pool(n, labels, seed, share_eligible=share, history=history, columns=columns)
    before = pool.eligible.copy()
    choice, again = (STRATEGIES[name](pool, wanted, np.random.default_rng(seed)) for _ in range(2))
    items = choice.items.tolist()
    assert len(items) == len(set(items)) <= wanted
    assert pool.eligible[choice.items].all()
    assert len(choice.details) == len(items)
    assert choice.reasons == [] or len(choice.reasons) == len(items)
    assert items == again.items.tolist()
    assert choice.items.dtype == np.int64
    assert (pool.eligible == before).all()
    json.dumps([choice.details, choice.reasons, choice.note])
    if name != "boundary":
        assert len(items) == min(wanted, int(before.sum()))
        assert bool(choice.note) == (len(items) < wanted)


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_a_pool_of_one_label_and_a_pool_of_one_item_are_no_error(name):
    pool = make_pool(50, 2, 0)
    one_sided = Pool(pool.embeddings, np.zeros(50, np.int64), pool.scores, pool.eligible)
    choice = STRATEGIES[name](one_sided, 10, np.random.default_rng(0))
    assert len(choice.items) == (0 if name == "boundary" else 10)
    alone = Pool(pool.embeddings[:1], pool.labels[:1], pool.scores[:1], np.ones(1, bool))
    assert STRATEGIES[name](alone, 10, np.random.default_rng(0)).items.tolist() == ([] if name == "boundary" else [0])


def two_blobs(near_line=400, elsewhere=600):
    """Uncertain items of four kinds, one of them far more frequent, and certain items of a fifth kind."""
    rng = np.random.default_rng(0)
    kinds = np.r_[np.repeat([0, 1, 2, 3], [near_line - 60, 20, 20, 20]), np.full(elsewhere, 4)]
    rows = np.eye(5)[kinds] + 0.05 * rng.normal(size=(len(kinds), 5))
    positive = np.where(kinds < 4, rng.uniform(0.45, 0.55, len(kinds)), rng.uniform(0, 0.2, len(kinds)))
    scores = np.column_stack([1 - positive, positive])
    return kinds, Pool(rows, (positive > 0.5).astype(np.int64), scores, np.ones(len(kinds), bool))


def test_diverse_margin_asks_about_every_kind_of_uncertain_text_and_margin_about_the_most_frequent():
    kinds, pool = two_blobs()
    rng = np.random.default_rng(1)
    spread_out = np.bincount(kinds[margin_diverse(pool, 40, rng).items], minlength=5)
    greedy = np.bincount(kinds[margin(pool, 40, rng).items], minlength=5)
    assert (spread_out[1:4] >= 2).all()
    assert spread_out[4] == greedy[4] == 0
    assert spread_out[1:4].sum() > greedy[1:4].sum()


def test_a_spread_of_as_many_items_as_clusters_takes_one_of_each():
    centres = np.repeat(np.eye(6), 10, axis=0)
    rows = centres + 0.01 * np.random.default_rng(0).normal(size=centres.shape)
    chosen = spread(rows, np.arange(60), 6, np.random.default_rng(0))
    assert sorted(chosen // 10) == [0, 1, 2, 3, 4, 5]


def test_a_spread_larger_than_the_clusters_takes_equally_from_each_before_any_gives_more():
    rng = np.random.default_rng(0)
    many = rng.normal(size=(MAX_CLUSTERS * 8, 6))
    chosen = spread(many, np.arange(len(many)), MAX_CLUSTERS * 2, rng)
    assert len(np.unique(chosen)) == MAX_CLUSTERS * 2
    copies = np.ones((40, 3))
    assert len(np.unique(spread(copies, np.arange(40), 12, rng))) == 12


def test_likely_items_are_those_with_the_highest_scores_of_every_rarer_label():
    pool = make_pool(600, 2, 3)
    scores = np.column_stack([np.full(600, 0.7), np.linspace(0, 0.25, 600), np.linspace(0.05, 0, 600)])
    pool = Pool(pool.embeddings, scores.argmax(axis=1), scores, pool.eligible)
    choice = likely(pool, 20, np.random.default_rng(0))
    assert [detail["label"] for detail in choice.details] == [1] * 10 + [2] * 10
    assert choice.items[:10].min() >= 560
    assert choice.items[10:].max() < 40


def test_items_without_a_label_of_the_model_are_no_error():
    pool = make_pool(60, 2, 0)
    pool = Pool(pool.embeddings, np.where(np.arange(60) % 3, pool.labels, -1), pool.scores, pool.eligible)
    for choose in STRATEGIES.values():
        assert len(choose(pool, 12, np.random.default_rng(0)).items) == 12


def history_of(labels, trained=True):
    n = len(labels)
    return History(
        np.arange(n), np.array(labels, np.int64), np.ones(n, np.int64), np.full(n, trained, bool), np.full(n, np.nan)
    )


def skewed(n=400, rare=0.05, history=None, labels=2):
    """A pool whose last items are, by the model, of the rarer labels, evenly."""
    pool = make_pool(n, labels, 0)
    given = np.zeros(n, np.int64)
    given[n - round(n * rare) :] = np.arange(round(n * rare)) % (labels - 1) + 1
    scores = np.full((n, labels), 0.1)
    scores[np.arange(n), given] = 1
    scores /= scores.sum(axis=1, keepdims=True)
    scores[:, 1] += np.linspace(0, 0.01, n)
    return Pool(pool.embeddings, given, scores, pool.eligible, history or history_of([]))


def parts(pool, n_items=40):
    reasons = hybrid(pool, n_items, np.random.default_rng(0)).reasons
    assert len(reasons) == n_items
    return [reasons.count(part) for part in ("likely", "margin", "random")]


def test_the_hybrid_explores_a_pool_with_a_rare_label_until_the_fine_tuning_labels_suffice():
    assert parts(skewed()) == [20, 0, 20]
    assert parts(skewed(history=history_of([0] * 50))) == [20, 0, 20]
    even = [0] * ENOUGH_LABELS + [1] * ENOUGH_LABELS
    assert parts(skewed(history=history_of(even))) == [0, 40, 0]
    assert parts(skewed(history=history_of(even, trained=False))) == [20, 0, 20]


def test_the_hybrid_looks_for_likely_items_as_long_as_the_fine_tuning_labels_are_uneven():
    for positive, found in ((10, 16), (20, 12), (30, 8), (50, 0)):
        assert parts(skewed(history=history_of([0] * (100 - positive) + [1] * positive))) == [found, 40 - found, 0]


def test_the_hybrid_draws_at_random_where_no_label_is_rare():
    assert parts(skewed(rare=0.5)) == [0, 0, 40]
    even = history_of([0, 1] * ENOUGH_LABELS)
    assert parts(skewed(rare=0.5, history=even)) == [0, 0, 40]
    assert parts(skewed(rare=0.375, history=even)) == [0, 20, 20]
    assert parts(skewed(rare=0.25, history=even)) == [0, 40, 0]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6))
def test_unevenness_is_0_for_even_and_1_for_one_label_only_and_does_not_depend_on_the_total(counts):
    value = unevenness(np.array(counts))
    assert 0 <= value <= 1 + 1e-12
    assert value == pytest.approx(unevenness(3 * np.array(counts)))
    if len(counts) > 1:
        assert (value == pytest.approx(1)) == (sum(1 for count in counts if count) == 1)
    assert (value == pytest.approx(0)) == (len(set(counts)) == 1)


def test_exploring_ends_after_three_rounds_even_if_a_label_is_never_found():
    lacking = history_of([0, 1] * 30)
    for number, expected in ((2, [10, 0, 30]), (3, [10, 30, 0])):
        past = History(lacking.items, lacking.labels, lacking.rounds * number, lacking.trained, lacking.propensities)
        assert parts(skewed(labels=3, history=past)) == expected


def test_a_part_of_a_mixture_that_runs_short_leaves_its_share_to_the_next():
    pool = make_pool(100, 2, 0)
    none = lambda pool, n, rng: random(pool.without(np.arange(100)), n, rng)  # noqa: E731
    choice = mix(pool, [("none", none, 5), ("margin", margin, 5)], np.random.default_rng(0))
    assert choice.reasons == ["margin"] * 10
    short = mix(pool, [("margin", margin, 80), ("random", random, 80)], np.random.default_rng(0))
    assert sorted(short.items) == list(range(100))
    assert short.note == "Only 100 of 160 items were left to choose from."


def test_a_plan_keeps_the_reason_of_each_part_and_only_control_items_have_a_propensity():
    pool = skewed()
    chosen = LoopSettings(strategy="hybrid", round_size=40)
    plan = plan_round(pool.embeddings, pool.labels, pool.scores, np.zeros(400, bool), chosen, np.random.default_rng(0))
    assert plan.reasons == ["likely"] * 17 + ["random"] * 17 + ["control"] * 6
    assert np.isfinite(plan.propensities).tolist() == [False] * 34 + [True] * 6


def test_the_adaptive_strategy_is_the_hybrid_until_explored_and_then_says_what_it_measured():
    pool = skewed(300)
    early = adaptive(pool, 20, np.random.default_rng(0))
    assert early.items.tolist() == hybrid(pool, 20, np.random.default_rng(0)).items.tolist()
    enough = history_of([0] * ENOUGH_LABELS + [1] * ENOUGH_LABELS)
    explored = Pool(pool.embeddings, pool.labels, pool.scores, pool.eligible, enough)
    choice = adaptive(explored, 40, np.random.default_rng(0))
    assert choice.reasons == ["margin"] * 30 + ["random"] * 10
    assert "too few labels" in choice.note
    assert "So 10 items are drawn at random" in choice.note
