"""A few hundred chosen labels against a crowd's labels of the whole pool, for engines too slow to train in each round.

    python -m benchmarks.whole_pool --data $DATA/convabuse.jsonl.gz --engine encoder --seeds 2 --keep whole_pool.jsonl
    python -m benchmarks.whole_pool --summary whole_pool.jsonl

The rounds are those of ``linecall simulate``: ``linear`` is trained in each of them and chooses with the strategy; the
engine is then trained once on all fine-tuning labels, and once on the crowd's. Pool, hold-out, experts and crowd of a
seed are those of ``linecall simulate`` too. A line of ``--keep`` is one model; a call that was cut short goes on.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from app.config import Settings
from app.curation.loop import LoopSettings
from app.ml.classifiers import engine
from app.ml.prelabel import Runtime
from app.simulate.conditions import Job, StudyOptions, data_embeddings, load_data, run_job
from app.simulate.crowd import knows_texts
from app.simulate.scenario import Scenario, ScenarioOptions, build_scenario, prevalence_kept
from app.simulate.summary import Mean
from app.simulate.trial import Trial, measure

OURS = "experts"
"""The condition whose labels were chosen; the others are crowds, by where they err, and GOLD."""
GOLD = "gold"
"""Every label of the pool, and none of them wrong."""
Line = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", help="a JSON Lines file as for linecall simulate")
    parser.add_argument("--engine", default="encoder")
    parser.add_argument("--prevalence", type=float, default=0.05)
    parser.add_argument("--crowd", default="", help="a real crowd's labels of the same texts")
    parser.add_argument(
        "--crowd-errors", default="anywhere", help="of anywhere, alike, hard and gold (no errors), with commas between"
    )
    parser.add_argument("--strategy", default="hybrid")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("whole_pool.jsonl"), help="where finished models are kept")
    parser.add_argument("--summary", type=Path, nargs="+", help="only print what these files say")
    given = parser.parse_args()
    if not given.summary:
        if not given.data:
            parser.error("--data names no file")
        if given.crowd and not knows_texts(load_data(given.crowd), load_data(given.data)):
            parser.error(f"{Path(given.crowd).name} does not hold the texts of {Path(given.data).name}")
        _run(given)
    print("\n".join(table([line for path in given.summary or [given.keep] for line in _lines(path)])))


def _run(given: argparse.Namespace) -> None:
    machine = Runtime(cache_dir=Settings().resolved_cache_dir, threads=given.threads)
    done = {(line["data"], line["engine"], line["prevalence"], line["labels_by"], line["seed"])
            for line in _lines(given.keep)}  # fmt: skip
    kinds = [OURS, *(["real"] if given.crowd else given.crowd_errors.split(","))]
    data = load_data(given.data)
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for kind in kinds:
            about = {"data": data.name, "engine": given.engine, "prevalence": given.prevalence, "labels_by": kind,
                     "seed": seed}  # fmt: skip
            if tuple(about.values()) in done:
                continue
            begun = time.perf_counter()
            found = _ours(given, seed, machine) if kind == OURS else _crowds(given, kind, seed, machine)
            line = about | found | {"seconds": round(time.perf_counter() - begun)}
            print(json.dumps(line), file=sys.stderr, flush=True)
            with given.keep.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _ours(given: argparse.Namespace, seed: int, machine: Runtime) -> Line:
    """Rounds by ``linear``, then the engine on what experts labelled in them."""
    scenario = _scenario(given, seed, machine)
    trial = Trial(scenario, LoopSettings(strategy=given.strategy, round_size=StudyOptions.budget), "linear", {}, seed,
                  machine)  # fmt: skip
    last = trial.run(given.rounds)[-1]
    train = trial.fine_tuning_labels(seed)
    fitted = engine(given.engine).fit(train, 2, {}, seed, machine)
    n = scenario.n_pool
    scores = fitted.predict_proba(scenario.data.texts[n:], scenario.embeddings[n:])
    found = measure(fitted.labels(scores), scenario.hold_out_truth)
    return {"positive": float((scenario.data.truth == 1).mean()), "training": len(train), "measured": asdict(found),
            "label_kappa": last.internal["value"], "by_linear": asdict(last.hold_out)}  # fmt: skip


def _scenario(given: argparse.Namespace, seed: int, machine: Runtime) -> Scenario:
    data = load_data(given.data)
    options = prevalence_kept(data, ScenarioOptions(prevalence=given.prevalence))
    return build_scenario(data, data_embeddings(data, StudyOptions.encoder, machine), options, seed, machine)


def _crowds(given: argparse.Namespace, kind: str, seed: int, machine: Runtime) -> Line:
    options = StudyOptions(scenario=ScenarioOptions(prevalence=given.prevalence))
    options = replace(options, crowd=given.crowd) if kind == "real" else replace(options, crowd_errors=kind)
    found = run_job(Job(given.data, "gold" if kind == GOLD else "crowd", "", given.engine, seed), options, machine)
    return {name: found[name] for name in ("training", "measured", "label_kappa")}


def _lines(path: Path) -> Iterator[Line]:
    if path.exists():
        yield from map(json.loads, path.read_text("utf-8").splitlines())


def table(lines: list[Line]) -> list[str]:
    """Markdown: a row for each data set, engine and crowd; means over the seeds that have both models."""
    runs: dict[tuple[str, ...], dict[int, Line]] = defaultdict(dict)
    for line in lines:
        runs[line["data"], line["engine"], str(line["prevalence"]), line["labels_by"]][line["seed"]] = line
    rows = ["| data | engine | seeds | experts' labels | kappa | crowd | its labels | their kappa | kappa | times |",
            "|---|---|---:|---:|---:|---|---:|---:|---:|---:|"]  # fmt: skip
    for (data, name, prevalence, kind), crowds in runs.items():
        if kind == OURS:
            continue
        ours = runs.get((data, name, prevalence, OURS), {})
        if seeds := sorted(set(ours) & set(crowds)):
            where = f"{data}, {ours[seeds[0]]['positive']:.0%}"
            rows.append(_row(where, name, kind, [ours[seed] for seed in seeds], [crowds[seed] for seed in seeds]))
    return rows


def _row(data: str, name: str, kind: str, ours: list[Line], crowds: list[Line]) -> str:
    def mean(part: list[Line], field: str) -> Mean:
        return Mean.of(line["measured"]["kappa"] if field == "kappa" else line[field] for line in part)

    def kappa(found: Mean) -> str:
        spread = "" if found.high is None or found.value is None else f" ± {found.high - found.value:.3f}"
        return "–" if found.value is None else f"{found.value:.3f}{spread}"

    one, other, labels = mean(ours, "kappa"), mean(crowds, "kappa"), mean(crowds, "label_kappa")
    times = f"{one.value / other.value:.2f}" if one.value and other.value else "–"
    cells = [data, name, str(len(ours)), f"{mean(ours, 'training').value:,.0f}", kappa(one), kind,
             f"{mean(crowds, 'training').value:,.0f}", "–" if labels.value is None else f"{labels.value:.2f}",
             kappa(other), times]  # fmt: skip
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
