"""What a study's runs say: means over seeds with intervals, areas under curves, labels needed to reach the baseline.

Runs with the same seed share pool, hold-out and answers, so strategies are compared by differences within seeds.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from app.simulate.conditions import Job

Result = dict[str, Any]


@dataclass(frozen=True)
class Mean:
    """Mean over ``n`` seeds with a 95 % interval by Student's t; no interval for one seed, no value for none."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> "Mean":
        known = np.array([value for value in values if value is not None], dtype=np.float64)
        if len(known) < 2:
            return cls(float(known[0]) if len(known) else None, None, None, len(known))
        reach = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / len(known) ** 0.5)
        middle = float(known.mean())
        return cls(middle, middle - reach, middle + reach, len(known))


@dataclass(frozen=True)
class Point:
    """A round of a strategy: mean number of fine-tuning labels so far, and mean kappa on the hold-out."""

    number: int
    training: float
    kappa: Mean


@dataclass(frozen=True)
class StrategySummary:
    """``area`` is the mean kappa over fine-tuning labels from 0 to the last round; ``over_random`` that area less
    random's with the same seed. ``reached`` counts the runs that reach their baseline, and ``labels_to_baseline`` is
    the mean over those. ``stops`` are the rounds at which the advice first was to stop, None for never, and ``lost``
    the kappa by which the last round was better than that one."""

    strategy: str
    curve: list[Point]
    area: Mean
    over_random: Mean
    final: Mean
    found: Mean
    positive: Mean
    training: Mean
    evaluation: Mean
    internal: Mean
    reached: int
    labels_to_baseline: Mean
    stops: list[tuple[int | None, str]]
    lost: Mean
    seconds: Mean


@dataclass(frozen=True)
class Reference:
    """The engine trained on every pool label: a crowd's or the consensus."""

    training: Mean
    positive: Mean
    label_kappa: Mean
    kappa: Mean
    real: bool


@dataclass(frozen=True)
class Summary:
    """One data set with one engine."""

    data: str
    engine: str
    pool: Mean
    hold_out: Mean
    prevalence: Mean
    panel: bool
    prelabels: Mean
    crowd: Reference | None
    gold: Reference | None
    strategies: list[StrategySummary]


def summarise(results: Sequence[tuple[Job, Result]]) -> list[Summary]:
    """A summary for each data set and engine, in the order in which they first appear."""
    parts: dict[tuple[str, str], list[tuple[Job, Result]]] = defaultdict(list)
    for job, result in results:
        parts[job.data, job.engine].append((job, result))
    return [_summary(part) for part in parts.values()]


def area(records: Sequence[Result]) -> float | None:
    """Area under kappa by fine-tuning labels, by the trapezoidal rule, divided by the number of labels; an undefined
    kappa counts as 0, since such a model says the same of everything."""
    labels = np.array([record["training"] for record in records], dtype=np.float64)
    kappas = np.array([record["hold_out"]["kappa"] or 0.0 for record in records])
    if len(labels) < 2 or labels[-1] <= labels[0]:
        return None
    return float(np.trapezoid(kappas, labels) / (labels[-1] - labels[0]))


def labels_to_reach(records: Sequence[Result], kappa: float | None) -> float | None:
    """Fine-tuning labels of the first round, the pre-labeller's not counted, whose model has that kappa."""
    if kappa is None:
        return None
    return next((float(r["training"]) for r in records[1:] if (r["hold_out"]["kappa"] or 0.0) >= kappa), None)


def _summary(part: Sequence[tuple[Job, Result]]) -> Summary:
    job, first = part[0]
    loops: dict[str, dict[int, Result]] = defaultdict(dict)
    references: dict[str, dict[int, Result]] = defaultdict(dict)
    for other, result in part:
        (loops[other.strategy] if other.kind == "loop" else references[other.kind])[other.seed] = result
    baseline = {seed: result["measured"]["kappa"] for seed, result in references["crowd"].items()}
    some = next(iter(loops.values()), {})
    return Summary(
        data=first["data"],
        engine=job.engine,
        pool=Mean.of(result["pool"] for _, result in part),
        hold_out=Mean.of(result["hold_out"] for _, result in part),
        prevalence=Mean.of(result["prevalence"] for _, result in part),
        panel=first["panel"],
        prelabels=Mean.of(result["rounds"][0]["hold_out"]["kappa"] for result in some.values()),
        crowd=_reference(references["crowd"]),
        gold=_reference(references["gold"]),
        strategies=[_strategy(name, runs, loops.get("random", {}), baseline) for name, runs in loops.items()],
    )


def _reference(runs: dict[int, Result]) -> Reference | None:
    if not runs:
        return None
    return Reference(
        training=Mean.of(run["training"] for run in runs.values()),
        positive=Mean.of(run["positive"] for run in runs.values()),
        label_kappa=Mean.of(run["label_kappa"] for run in runs.values()),
        kappa=Mean.of(run["measured"]["kappa"] for run in runs.values()),
        real=any(run["real"] for run in runs.values()),
    )


def _strategy(
    name: str, runs: dict[int, Result], random: dict[int, Result], baseline: dict[int, float | None]
) -> StrategySummary:
    rounds = {seed: run["rounds"] for seed, run in sorted(runs.items())}
    areas = {seed: area(records) for seed, records in rounds.items()}
    last = [records[-1] for records in rounds.values()]
    needed = [labels_to_reach(records, baseline.get(seed)) for seed, records in rounds.items()]
    stops = [_stop(records) for records in rounds.values()]
    return StrategySummary(
        strategy=name,
        curve=_curve(list(rounds.values())),
        area=Mean.of(areas.values()),
        over_random=Mean.of(_less(areas[seed], area(random[seed]["rounds"])) for seed in areas if seed in random),
        final=Mean.of(record["hold_out"]["kappa"] for record in last),
        found=Mean.of(record["hold_out"]["found"] for record in last),
        positive=Mean.of(record["positive"] for record in last),
        training=Mean.of(record["training"] for record in last),
        evaluation=Mean.of(record["evaluation"] for record in last),
        internal=Mean.of(record["internal"]["value"] for record in last),
        reached=sum(labels is not None for labels in needed),
        labels_to_baseline=Mean.of(needed),
        stops=[(number, kind) for number, kind, _ in stops],
        lost=Mean.of(lost for _, _, lost in stops),
        seconds=Mean.of(sum(sum(r["seconds"].values()) for r in records) for records in rounds.values()),
    )


def _curve(runs: Sequence[Sequence[Result]]) -> list[Point]:
    points = []
    for number in range(max(len(records) for records in runs)):
        there = [records[number] for records in runs if len(records) > number]
        training = float(np.mean([record["training"] for record in there]))
        points.append(Point(number, training, Mean.of(record["hold_out"]["kappa"] for record in there)))
    return points


def _stop(records: Sequence[Result]) -> tuple[int | None, str, float | None]:
    """The first round with advice to stop because the model is done, the advice, and what later rounds still gained."""
    for record in records:
        if record["advice"] in ("match", "plateau"):
            return (
                record["number"],
                record["advice"],
                _less(records[-1]["hold_out"]["kappa"], record["hold_out"]["kappa"]),
            )
    return None, "", None


def _less(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other
