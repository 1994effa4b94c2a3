"""Whole simulated projects, their storage and what is said of them."""

import json
import signal
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from app.curation.loop import LoopSettings
from app.errors import InvalidInput, Unavailable
from app.ml.prelabel import Runtime
from app.simulate import conditions, report, study
from app.simulate.conditions import Job, StudyOptions, find_strategy, plan_jobs, run_job
from app.simulate.report import html_report, mean_areas
from app.simulate.scenario import Scenario, ScenarioOptions
from app.simulate.summary import Mean, area, labels_to_reach, summarise
from app.simulate.trial import RoundRecord, Trial
from tests.plane import RUNTIME, built, prelabelled

__all__ = ["prelabelled"]


def rounds(scenario: Scenario, strategy: str = "margin", **changes) -> list[RoundRecord]:
    settings = LoopSettings(round_size=60, strategy=strategy)
    records = Trial(scenario, settings, "linear", {"C": 10}, 0, RUNTIME).run(3)
    return [replace(record, seconds={}) for record in records]


@pytest.mark.usefixtures("prelabelled")
def test_a_simulated_project_learns_spends_what_it_says_and_is_the_same_again() -> None:
    scenario = built(ScenarioOptions(prevalence=None, expert_error=0.0))
    records = rounds(scenario)
    assert [record.number for record in records] == [0, 1, 2, 3]
    assert [record.training + record.evaluation for record in records] == [0, 60, 120, 180]
    assert records[-1].answers == 360
    assert records[-1].evaluation / 180 == pytest.approx(0.38, abs=0.03)
    assert (records[-1].hold_out.kappa or 0) > 0.8
    assert records[-1].internal["value"] == 1
    assert records[-1].advice in ("continue", "match", "plateau")
    assert rounds(scenario) == records


@pytest.mark.usefixtures("prelabelled")
def test_nothing_of_the_hold_out_reaches_selection_or_training() -> None:
    """Other truths and answers on the hold-out change what is measured there and nothing else."""
    scenario = built(ScenarioOptions(prevalence=None))
    truth, answers = scenario.data.truth.copy(), scenario.answers.copy()
    truth[scenario.n_pool :] ^= 1
    answers[scenario.n_pool :] = -1
    turned = replace(scenario, data=replace(scenario.data, truth=truth), answers=answers)
    usual, others = rounds(scenario), rounds(turned)
    assert [replace(one, hold_out=other.hold_out) for one, other in zip(usual, others, strict=True)] == others
    assert (usual[-1].hold_out.kappa or 0) > 0 > (others[-1].hold_out.kappa or 0)


@pytest.mark.usefixtures("prelabelled")
def test_mining_finds_more_positives_than_chance() -> None:
    scenario = built(ScenarioOptions(prevalence=0.1))
    mined, drawn = rounds(scenario, "margin")[-1], rounds(scenario, "random")[-1]
    assert (mined.positive or 0) > 1.5 * (drawn.positive or 0)
    assert (mined.pool_found or 0) > (drawn.pool_found or 0)


@pytest.mark.usefixtures("prelabelled")
def test_a_pool_that_is_used_up_ends_the_run() -> None:
    scenario = built(ScenarioOptions(prevalence=None, pool_limit=70))
    assert [record.training + record.evaluation for record in rounds(scenario)][-1] == scenario.n_pool


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Real sentences of two kinds, enough of them for a small study."""
    from app.simulate import sample

    path = tmp_path / "ads.jsonl"
    ads = sample.read_ads()[:700]
    path.write_text("".join(json.dumps({"text": ad.text, "label": int(ad.degree > 1.0)}) + "\n" for ad in ads))
    return [str(path)]


@pytest.fixture
def runtime(tmp_path: Path) -> Runtime:
    return Runtime(cache_dir=tmp_path / "cache", threads=1)


OPTIONS = StudyOptions(scenario=ScenarioOptions(prevalence=None), rounds=2, budget=40)


@pytest.mark.slow
def test_a_study_is_stored_resumed_and_reported(
    files: list[str], tmp_path: Path, runtime: Runtime, monkeypatch
) -> None:
    jobs = plan_jobs(files, ["random", "margin"], ["linear"], [0, 1])
    assert len(jobs) == 2 * (2 + 2)
    folder = tmp_path / "runs"
    found = dict(study.run_study(jobs, OPTIONS, runtime, folder, workers=2))
    assert set(found) == set(jobs)
    # In this process and with other work around it, a run is the same run.
    again = run_job(jobs[1], OPTIONS, runtime)
    for result in (again, found[jobs[1]]):
        for record in result["rounds"]:
            record["seconds"] = {}
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(found[jobs[1]]))
    monkeypatch.setattr(study, "_run_waiting", lambda jobs, *_: iter([(job, {"again": True}) for job in jobs]))
    kept = dict(study.run_study([*jobs, Job(files[0], "gold", "", "linear", 9)], OPTIONS, runtime, folder, workers=1))
    assert [job.seed for job, result in kept.items() if result == {"again": True}] == [9]
    other = dict(study.run_study(jobs[:1], replace(OPTIONS, budget=44), runtime, folder, workers=1))
    assert other == {jobs[0]: {"again": True}}
    page = html_report(summarise(list(found.items())), OPTIONS, [0, 1], "linecall simulate <b>")
    assert "linecall simulate &lt;b&gt;" in page
    assert "all true labels" in page


@pytest.mark.usefixtures("prelabelled")
def test_a_real_crowd_of_the_data_is_used_whatever_share_of_a_seeds_pool_it_knows(monkeypatch) -> None:
    scenario = built(ScenarioOptions(prevalence=None))
    n = scenario.n_pool
    unknown = n // 8  # more than a tenth of the pool, and less of the data
    crowd = scenario.data.take(np.arange(unknown, len(scenario.data)))
    monkeypatch.setattr(conditions, "_scenario", lambda *_: (scenario.data, scenario))
    monkeypatch.setattr(conditions, "load_data", lambda _: crowd)
    found = run_job(Job("d", "crowd", "", "linear", 0), StudyOptions(crowd="c"), RUNTIME)
    assert (found["real"], found["training"]) == (True, n - unknown)
    few = crowd.take(np.arange(0, len(crowd), 2))
    monkeypatch.setattr(conditions, "load_data", lambda _: few)
    other = run_job(Job("d", "crowd", "", "linear", 0), StudyOptions(crowd="c"), RUNTIME)
    assert (other["real"], other["training"]) == (False, n)


def test_a_strategy_comes_from_ours_or_from_a_named_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "theirs.py").write_text("STRATEGIES = {'mine': 'a callable'}")
    monkeypatch.syspath_prepend(tmp_path)
    assert find_strategy("mine", "theirs") == "a callable"
    with pytest.raises(InvalidInput, match="no strategy mine"):
        find_strategy("mine", "")
    with pytest.raises(InvalidInput, match="can't be imported"):
        find_strategy("mine", "nowhere.at.all")


def record(training: int, kappa: float | None, advice: str = "continue") -> dict:
    about = {"number": training // 10, "evaluation": 5, "positive": 0.4, "internal": {"value": 0.8}, "seconds": {}}
    return about | {"training": training, "advice": advice, "hold_out": {"kappa": kappa, "found": 0.5}}


def test_area_is_the_mean_height_of_the_curve() -> None:
    assert area([record(0, 0.2), record(10, 0.2), record(40, 0.2)]) == pytest.approx(0.2)
    assert area([record(0, 0.0), record(10, 1.0), record(30, 1.0)]) == pytest.approx((5 + 20) / 30)
    assert area([record(0, 0.5)]) is None
    assert area([record(0, None), record(10, 1.0)]) == pytest.approx(0.5)


def test_the_baseline_is_reached_at_the_first_round_that_has_its_kappa() -> None:
    records = [record(0, 0.9), record(10, 0.3), record(20, 0.5), record(30, 0.4)]
    assert labels_to_reach(records, 0.45) == 20
    assert labels_to_reach(records, 0.95) is None
    assert labels_to_reach(records, None) is None


def test_means_have_students_interval_and_say_how_many() -> None:
    values = [0.1, 0.4, 0.3]
    mean = Mean.of([*values, None])
    low, high = stats.t.interval(0.95, 2, loc=np.mean(values), scale=stats.sem(values))
    assert (mean.low, mean.high, mean.n) == (pytest.approx(low), pytest.approx(high), 3)
    assert Mean.of([0.5]) == Mean(0.5, None, None, 1)
    assert Mean.of([None]) == Mean(None, None, None, 0)


def results(seed: int, shift: float) -> list[tuple[Job, dict]]:
    about = {"data": "d", "pool": 100, "hold_out": 40, "prevalence": 0.05, "panel": False}
    random = [record(0, 0.1), record(10, 0.2), record(20, 0.3, "plateau"), record(30, 0.4)]
    margin = [record(0, 0.1), record(10, 0.2 + shift), record(20, 0.3 + shift), record(30, 0.4 + shift)]
    loop = {"random": random, "margin": margin}
    crowd = about | {"training": 90, "positive": 0.05, "label_kappa": 0.59, "real": False, "measured": {"kappa": 0.45}}
    found = [(Job("f", "loop", name, "linear", seed), about | {"rounds": records}) for name, records in loop.items()]
    return [*found, (Job("f", "crowd", "", "linear", seed), crowd)]


def test_strategies_are_compared_with_random_within_seeds() -> None:
    (summary,) = summarise([*results(0, 0.1), *results(1, 0.04)])
    margin = next(found for found in summary.strategies if found.strategy == "margin")
    random = next(found for found in summary.strategies if found.strategy == "random")
    assert margin.over_random.value == pytest.approx((0.1 + 0.04) / 2 * 25 / 30)
    assert random.over_random.value == 0
    assert (margin.reached, random.reached) == (1, 0)
    assert margin.labels_to_baseline.value == 30
    assert random.stops == [(2, "plateau"), (2, "plateau")]
    assert random.lost.value == pytest.approx(0.1)
    assert mean_areas([summary])["linear"]["margin"] > mean_areas([summary])["linear"]["random"]
    assert summary.crowd is not None
    assert asdict(summary)["crowd"]["kappa"]["value"] == pytest.approx(0.45)


def test_a_report_escapes_what_data_are_called() -> None:
    runs = [(job, result | {"data": "</script><b>"}) for job, result in results(0, 0.1)]
    page = html_report(summarise(runs), OPTIONS, [0], "linecall simulate")
    assert "</script><b>" not in page


def test_a_report_without_the_pages_packages_is_refused_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(report, "resource", lambda name: tmp_path)
    with pytest.raises(Unavailable, match="make assets"):
        report.html_report([], OPTIONS, [0], "linecall simulate")


def test_the_code_is_part_of_what_a_run_is_kept_under(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(files[0], "gold", "", "linear", 0)
    before = study._file_name(job, OPTIONS)
    assert study._file_name(job, OPTIONS) == before
    monkeypatch.setattr(study, "_code_digest", lambda module: "other")
    assert study._file_name(job, OPTIONS) != before
    assert conditions.SAMPLE == ""


_KILLED_WHILE_A_WORKER_IS_BUSY = """
import os, signal, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from app.simulate.study import _begin_worker

if __name__ == "__main__":
    pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin_worker)
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_worker_does_not_outlive_a_study_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(_KILLED_WHILE_A_WORKER_IS_BUSY, "utf-8")
    # The pipe ends, and with it the wait, when nobody holds it any more: the worker does as long as it lives.
    ended = subprocess.run([sys.executable, str(script)], stdout=subprocess.PIPE, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert int(ended.stdout)
