"""The trend finds the slope of a line in log labels and how far a next version may lie from it, and says nothing where
there is none to find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from app.curation.outlook import T_975, next_gain


@given(st.floats(-0.5, 0.5), st.floats(-0.3, 0.3), st.integers(3, 8))
def test_an_exact_line_is_found(start, slope, points):
    sizes = [60 * (k + 1) for k in range(points)]
    kappas = [start + slope * np.log(size) for size in sizes]
    trend = next_gain(sizes, kappas, sizes[-1] + 60)
    assert trend.gain == pytest.approx(slope * np.log((sizes[-1] + 60) / sizes[-1]), abs=1e-9)
    assert (trend.now, trend.then, trend.points) == (sizes[-1], sizes[-1] + 60, points)
    assert (trend.low, trend.high) == (None, None), "nothing shows how far a next one may lie from the line"


@pytest.mark.parametrize(
    ("sizes", "kappas", "then"),
    [
        ([], [], 60),
        ([60, 120], [0.1, 0.2], 180),
        ([60, 120, 180], [0.1, None, 0.2], 240),
        ([60, 60, 60], [0.1, 0.2, 0.3], 120),
        ([60, 120, 180], [0.1, 0.2, 0.3], 180),
        ([1, 2, 180], [0.1, 0.2, 0.3], 240),  # the first two are too far back to say anything of now
    ],
)
def test_too_little_says_nothing(sizes, kappas, then):
    assert next_gain(sizes, kappas, then) is None


def test_the_table_is_that_of_students_t():
    assert np.allclose(T_975, stdtrit(np.arange(1, len(T_975) + 1), 0.975), atol=5e-4)


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9))
def test_the_interval_holds_the_gain_and_stays_within_what_kappa_can_reach(kappas):
    sizes = [60 * (k + 1) for k in range(len(kappas))]
    trend = next_gain(sizes, kappas, sizes[-1] + 60)
    if trend.low is None:
        return
    assert trend.low <= trend.gain <= trend.high
    assert trend.low >= min(trend.gain, -1 - kappas[-1])
    assert trend.high <= max(trend.gain, 1 - kappas[-1])


@pytest.mark.parametrize("points", [3, 4, 6])
def test_readings_that_scatter_around_a_line_are_covered_95_times_in_100(points):
    """The formula itself: independent errors, so that the share is neither less nor more."""
    rng = np.random.default_rng(points)
    sizes = np.array([60, 130, 180, 260, 300, 380, 420])[: points + 1]
    repeats = 4000
    readings = 0.05 * np.log(sizes) + rng.normal(0, 0.02, (repeats, points + 1))
    trends = [next_gain(sizes[:-1], list(row[:-1]), sizes[-1]) for row in readings]
    gains = readings[:, -1] - readings[:, -2]
    covered = np.mean([trend.low <= gain <= trend.high for trend, gain in zip(trends, gains, strict=True)])
    assert covered == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize(("points", "noise"), [(3, 0.05), (4, 0.25), (6, 0.05)])
def test_the_next_rounds_gain_is_covered_at_least_so_often(points, noise):
    """As in a project: every version is trained on all labels so far, all are scored on the same noisy answers, and the
    gain that is predicted is the one that the next round's page shows, on an evaluation set that has grown."""
    rng = np.random.default_rng(points)
    found = [one_project(rng, points, noise) for _ in range(250)]
    covered = np.mean([trend.low is None or trend.low <= gain <= trend.high for trend, gain in found])
    assert covered >= 0.93, "0.95 less two standard errors of 250 projects and a hair"


def plain_kappa(one, other) -> float:
    by_chance = one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean())
    return float(((one == other).mean() - by_chance) / (1 - by_chance))


def one_project(rng, points: int, noise: float):
    """Least-squares classifiers on twelve features, 60 fine-tuning and 40 evaluation labels a round."""
    n = 100 * (points + 1)
    texts = rng.normal(size=(n, 12))
    truth = texts @ rng.normal(size=12) + rng.normal(size=n) > 0.5
    answers = truth ^ (rng.random(n) < noise)
    rounds, held_out = np.arange(n) // 100, np.arange(n) % 100 >= 60
    sizes = [60 * (k + 1) for k in range(points + 1)]
    heads = []
    for k in range(points + 1):
        taught = (rounds <= k) & ~held_out
        design = np.column_stack([texts[taught], np.ones(taught.sum())])
        heads.append(np.linalg.lstsq(design, 2.0 * answers[taught] - 1, rcond=None)[0])

    def kappa(version: int, after: int) -> float:
        scored = (rounds <= after) & held_out
        said = np.column_stack([texts[scored], np.ones(scored.sum())]) @ heads[version] > 0
        return plain_kappa(said, answers[scored])

    trend = next_gain(sizes[:-1], [kappa(k, points - 1) for k in range(points)], sizes[-1])
    return trend, kappa(points, points) - kappa(points - 1, points)
