"""Replaying the stop advice on stored runs."""

import json

import pytest

from app.curation import stopping
from app.curation.bootstrap import Estimate
from benchmarks.stopping import Rule, disagreed, read_runs, row, stop

NOW = Rule(stopping.PLATEAU_GAIN, stopping.PLATEAU_CEILING, stopping.FLAT_ROUNDS, stopping.STABLE)


def record(number, kappa, stability, gain=0.0, internal=0.8):
    flat = Estimate(gain, gain - 0.05, gain + 0.05, 200, None)
    found = {name: vars(Estimate(value, value - 0.05, value + 0.05, 200, None))
             for name, value in (("internal", internal), ("model", 0.5), ("gap", -0.3))}  # fmt: skip
    return found | {"number": number, "hold_out": {"kappa": kappa}, "stability": stability,
                    "gain": vars(flat), "control_gain": vars(flat)}  # fmt: skip


@pytest.fixture
def run(tmp_path):
    def make(kappas, stabilities, **others):
        rounds = [{"number": 0, "hold_out": {"kappa": None}}]
        rounds += [record(n, k, s, **others) for n, (k, s) in enumerate(zip(kappas, stabilities, strict=True), start=1)]
        loop = {"kind": "loop", "result": {"data": "toy", "rounds": rounds}}
        path = tmp_path / "runs.json"
        path.write_text(json.dumps({"runs": [loop, {"kind": "crowd", "result": {}}]}))
        (found,) = read_runs(path)
        return found

    return make


def test_a_run_stops_at_the_first_plateau_and_loses_what_six_more_rounds_gain(run):
    found = run([0.3, 0.4, 0.5, 0.5, 0.56, 0.56], [None, 0.2, 0.5, 0.95, 0.95, 0.95], gain=0.03)
    assert stop(found, NOW) == 4
    assert found.lost(4) == pytest.approx(0.06)
    assert found.soonest() == 5
    assert "| 1 | 0 | +0.060 |" in row([found], NOW)


def test_without_stability_flat_gains_decide_after_as_many_rounds_as_the_rule_says(run):
    found = run([0.5] * 6, [None, 0.95, 0.95, 0.95, 0.95, 0.95])
    assert stop(found, Rule(0.02, 0.10, 1, None)) == 3
    assert stop(found, Rule(0.02, 0.10, 5, None)) == 5
    assert found.soonest() == 1


def test_a_run_that_never_stops_is_late_and_disagreement_is_left_aside(run):
    found = run([0.5] * 8, [None, *[0.5] * 7], gain=0.04, internal=0.2)
    assert stop(found, NOW) is None
    assert disagreed(found)
    assert "| 0 | nan | 1.0 | 0 | 1 |" in row([found], NOW)
    assert stop(run([0.5] * 3, [None, 0.95, 0.95], internal=0.2), NOW) == 3
