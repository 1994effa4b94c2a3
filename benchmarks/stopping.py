"""How often the stop advice comes too early or too late, replayed on runs that linecall simulate has stored.

    linecall simulate --data FILE … --strategies margin_diverse,boundary --rounds 12 --seeds 5 --json RUNS.json
    python -m benchmarks.stopping RUNS.json … [--gain .02,.03] [--ceiling .10,.15] [--stable .85,.90] [--flat 2,3]

Each rule is app.curation.stopping.advise with its constants replaced by one value of each list. A run stops at the
first round with advice to stop because the model is done (match or plateau). That is too early if six more rounds, or
as many as the run has, reach a kappa on the hold-out more than .03 higher. A run could have stopped at the first round
from which on that never happens; it is too late if it stops more than two rounds after that one, or not at all though
three rounds or more were left. Advice that experts disagree is left aside, since a project may go on in spite of it;
the last column counts the runs that had it. 'none' compares no labels of the pool; with one flat round it is the rule
that was used before the calibration.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from app.curation import stopping
from app.curation.bootstrap import Estimate
from app.curation.stopping import RoundFigures, advise

MORE_ROUNDS, LOST, SLACK = 6, 0.03, 2
NEVER = -2.0
DONE = ("match", "plateau")


@dataclass(frozen=True)
class Rule:
    """The constants of the advice; ``stable`` None compares no labels of the pool."""

    gain: float
    ceiling: float
    flat: int
    stable: float | None


@dataclass(frozen=True)
class Run:
    """``kappas`` (rounds + 1,) on the hold-out, the pre-labeller's first; ``figures`` (rounds,)."""

    data: str
    kappas: list[float]
    figures: list[RoundFigures]

    def lost(self, number: int) -> float:
        """What up to six rounds after round ``number`` gain on the hold-out."""
        return self.kappas[min(number + MORE_ROUNDS, len(self.kappas) - 1)] - self.kappas[number]

    def soonest(self) -> int:
        """The first round after which no round would have lost more than .03 by stopping."""
        rounds = range(1, len(self.kappas))
        return min(n for n in rounds if all(self.lost(later) <= LOST for later in range(n, len(self.kappas))))


def read_runs(path: Path) -> Iterator[Run]:
    for run in json.loads(path.read_text("utf-8"))["runs"]:
        if run["kind"] == "loop":
            records = run["result"]["rounds"]
            kappas = [record["hold_out"]["kappa"] or 0.0 for record in records]
            yield Run(run["result"]["data"], kappas, [_figures(record) for record in records[1:]])


def stop(run: Run, rule: Rule) -> int | None:
    """The round at which ``rule`` says for the first time that the model is done."""
    constants: dict[str, Any] = {
        "PLATEAU_GAIN": rule.gain,
        "PLATEAU_CEILING": rule.ceiling,
        "FLAT_ROUNDS": rule.flat,
        "STABLE": stopping.STABLE if rule.stable is None else rule.stable,
        "DISAGREE_BELOW": NEVER,
    }
    figures = run.figures if rule.stable is not None else [_without_stability(one) for one in run.figures]
    with patch.multiple(stopping, **constants):
        kinds = [advise(figures[: number + 1]).kind for number in range(len(figures))]
    return next((number for number, kind in enumerate(kinds, start=1) if kind in DONE), None)


def disagreed(run: Run) -> bool:
    return any(advise(run.figures[: number + 1]).kind == "disagree" for number in range(len(run.figures)))


def row(runs: Sequence[Run], rule: Rule) -> str:
    """One line of the table: how the rule did on these runs."""
    stops = [stop(run, rule) for run in runs]
    stopped = [(run, number) for run, number in zip(runs, stops, strict=True) if number is not None]
    early = sum(run.lost(number) > LOST for run, number in stopped)
    late = sum(
        run.soonest() + SLACK < (len(run.figures) if number is None else number)
        for run, number in zip(runs, stops, strict=True)
    )
    mean = np.mean([number for _, number in stopped]) if stopped else np.nan
    lost = np.mean([run.lost(number) for run, number in stopped]) if stopped else np.nan
    return (
        f"| {'none' if rule.stable is None else rule.stable} | {rule.flat} | {rule.gain} | {rule.ceiling} "
        f"| {len(runs)} | {len(stopped)} | {mean:.1f} | {np.mean([run.soonest() for run in runs]):.1f} "
        f"| {early} | {late} | {lost:+.3f} | {sum(map(disagreed, runs))} |"
    )


def _figures(record: dict[str, Any]) -> RoundFigures:
    named = {name: Estimate(**record[name]) for name in ("internal", "model", "gap", "gain", "control_gain")}
    return RoundFigures(number=record["number"], stability=record["stability"], **named)


def _without_stability(one: RoundFigures) -> RoundFigures:
    return RoundFigures(one.number, one.internal, one.model, one.gap, one.gain, one.control_gain)


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", type=Path, help="what linecall simulate --json wrote")
    parser.add_argument("--gain", type=_numbers, default=[stopping.PLATEAU_GAIN])
    parser.add_argument("--ceiling", type=_numbers, default=[stopping.PLATEAU_CEILING])
    parser.add_argument("--flat", type=_numbers, default=[1, stopping.FLAT_ROUNDS])
    parser.add_argument("--stable", type=_numbers, default=[stopping.STABLE])
    given = parser.parse_args()
    runs = [run for file in given.files for run in read_runs(file)]
    head = "stable|flat rounds|gain|ceiling|runs|stopped|mean round|could have|early|late|lost|disagree"
    print("| " + head.replace("|", " | ") + " |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|")
    rules = list(product(given.gain, given.ceiling, given.flat, [None, *given.stable]))
    for data in [*dict.fromkeys(run.data for run in runs), ""]:
        chosen = [run for run in runs if data in ("", run.data)]
        print(f"| **{data or 'all'}** |" + " |" * 11)
        for gain, ceiling, flat, stable in rules:
            print(row(chosen, Rule(gain, ceiling, int(flat), stable)))


if __name__ == "__main__":
    main()
