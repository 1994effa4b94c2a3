"""How often the intervals of agreement figures cover the truth, by simulation: 95 % is what they promise.

    python -m benchmarks.coverage [--repeats 100] [--resamples 200] [--seed 0] [--only evaluation|control]

Evaluation set: items have a true label, positive with chance --prevalences. An expert gives the truth with chance
sqrt(kappa) and else a label drawn at that prevalence, so that any two experts agree with exactly that kappa in the
population; a newer model agrees with each expert at .8 times that kappa, an older one at .72 of it. Items come in
pairs that share a group, and in a fifth of the pairs the second is a copy of the first, answers included. Two experts
answer each item. Reported for each figure, number of items and of experts: mean coverage over kappas and prevalences,
the lowest and highest of those cells, the bias of the figure, the intervals' mean width, and how often there was none.

Control slice: pools of 5,000 at 1, 5 and 30 % positive, six rounds of which each draws 15 items by known chances and
mines 60 about the threshold; the model's scores are more or less apart for the two labels, and get better by round.
The truth is the last model's mean kappa with three experts over the whole pool.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from app.curation.agreement import (
    alignment_difference,
    alignment_gap,
    alpha,
    cohen_kappa,
    internal_alignment,
    model_human_alignment,
    percent_agreement,
)
from app.curation.arrays import Ints
from app.curation.bootstrap import Estimate
from app.curation.control import draw_control

KAPPAS, PREVALENCES = (0.2, 0.5, 0.9), (0.1, 0.3, 0.5)
ITEMS, EXPERTS = (40, 150, 650), (2, 3, 8)
COPIES, NEWER, KEPT, OLDER = 0.2, 0.8, 0.6, 0.6
POOL, ROUNDS, DRAWN, MINED = 5000, 6, 15, 60
POOL_PREVALENCES, APART = (0.01, 0.05, 0.3), (2.0, 3.0)


@dataclass(frozen=True)
class Sample:
    """Labels of n items: two models (n,) and ratings (n, experts) with -1 missing; groups (n,)."""

    newer: Ints
    older: Ints
    ratings: Ints
    groups: Ints


@dataclass(frozen=True)
class Cell:
    """Of one figure in one setting: shares of intervals that cover, bias, mean width, share of figures without one."""

    coverage: float
    bias: float
    width: float
    without: float


def sample(n: int, experts: int, kappa: float, prevalence: float, rng: np.random.Generator) -> Sample:
    truth = _labels(n, prevalence, rng)
    faith = np.sqrt(kappa)
    ratings = np.stack([_follow(truth, faith, prevalence, rng) for _ in range(experts)], axis=1)
    newer = _follow(truth, NEWER * faith, prevalence, rng)
    other = _follow(truth, OLDER * faith, prevalence, rng)
    older = np.where(rng.random(n) < KEPT, newer, other)
    copied = 2 * np.flatnonzero(rng.random(n // 2) < COPIES)
    for array in (ratings, newer, older):
        array[copied + 1] = array[copied]
    asked = np.argsort(rng.random((n, experts)), axis=1) < 2
    return Sample(newer, older, np.where(asked, ratings, -1), np.arange(n) // 2)


def figures(
    kappa: float, prevalence: float, resamples: int
) -> dict[str, tuple[float, Callable[[Sample, np.random.Generator], Estimate]]]:
    """Each figure's name, true value and how it is computed."""
    model = NEWER * kappa
    older = (KEPT * NEWER + (1 - KEPT) * OLDER) * kappa
    chance = prevalence**2 + (1 - prevalence) ** 2
    some = {"resamples": resamples}
    return {
        "internal": (kappa, lambda s, r: internal_alignment(s.ratings, s.groups, r, **some)),
        "model–human": (model, lambda s, r: model_human_alignment(s.newer, s.ratings, s.groups, r, **some)),
        "gain": (model - older, lambda s, r: alignment_difference(s.newer, s.older, s.ratings, s.groups, r, **some)),
        "gap": (model - kappa, lambda s, r: alignment_gap(s.newer, s.ratings, s.groups, r, **some)),
        "alpha": (kappa, lambda s, r: alpha(s.ratings, s.groups, r, **some)),
        "percent": (kappa + (1 - kappa) * chance, lambda s, r: percent_agreement(s.ratings, s.groups, r, **some)),
    }


def evaluation_cells(
    n: int, experts: int, kappa: float, prevalence: float, repeats: int, resamples: int, seed: int
) -> dict[str, Cell]:
    rng = np.random.default_rng([seed, n, experts, int(100 * kappa), int(100 * prevalence)])
    wanted = figures(kappa, prevalence, resamples)
    found: dict[str, list[Estimate]] = {name: [] for name in wanted}
    for _ in range(repeats):
        drawn = sample(n, experts, kappa, prevalence, rng)
        for name, (_, measure) in wanted.items():
            found[name].append(measure(drawn, rng))
    return {name: cell(found[name], [truth] * repeats) for name, (truth, _) in wanted.items()}


def control_cell(prevalence: float, apart: float, repeats: int, resamples: int, seed: int) -> Cell:
    found, truths = [], []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat, int(1000 * prevalence), int(10 * apart)])
        truth, estimate = _control_slice(prevalence, apart, resamples, rng)
        found.append(estimate)
        truths.append(truth)
    return cell(found, truths)


def cell(found: list[Estimate], truths: list[float]) -> Cell:
    known = [(e, truth) for e, truth in zip(found, truths, strict=True) if e.value is not None and e.low is not None]
    value, low, high, truth = (
        np.array(part) for part in zip(*((e.value, e.low, e.high, truth) for e, truth in known), strict=True)
    )
    inside = (low <= truth) & (truth <= high)
    without = 1 - len(known) / len(found)
    return Cell(float(inside.mean()), float((value - truth).mean()), float((high - low).mean()), without)


def _control_slice(prevalence: float, apart: float, resamples: int, rng: np.random.Generator) -> tuple[float, Estimate]:
    """The last model's kappa over the pool, and what the control slices of all rounds say of it."""
    truth = _labels(POOL, prevalence, rng)
    signal = rng.normal(size=POOL) + apart * truth
    free, items, chances = np.ones(POOL, dtype=np.bool_), [], []
    model = truth
    for noise in np.linspace(1, 0.25, ROUNDS):
        seen = signal + noise * rng.normal(size=POOL)
        logit = np.log(prevalence / (1 - prevalence)) + apart * (seen - apart / 2) / (1 + noise**2)
        positive = 1 / (1 + np.exp(-logit))
        threshold = np.quantile(seen, 1 - prevalence)
        model = (seen > threshold).astype(np.int64)
        drawn = draw_control(model, free, DRAWN, rng, np.column_stack([1 - positive, positive]))
        items.append(drawn.items)
        chances.append(drawn.propensities)
        free[drawn.items] = False
        left = np.flatnonzero(free)
        free[left[np.argsort(np.abs(seen[left] - threshold))[:MINED]]] = False
    rows, weights = np.concatenate(items), 1 / np.concatenate(chances)
    missed, invented = 0.05, min(0.05, 0.4 * prevalence)
    wrong = rng.random((POOL, 3)) < np.where(truth == 1, missed, invented)[:, None]
    answers = np.where(wrong, 1 - truth[:, None], truth[:, None])
    asked = np.argsort(rng.random((len(rows), 3)), axis=1) < 2
    ratings, groups = np.where(asked, answers[rows], -1), np.arange(len(rows))
    estimate = model_human_alignment(model[rows], ratings, groups, rng, weights=weights, resamples=resamples)
    return float(np.mean([cohen_kappa(model, answers[:, expert]) for expert in range(3)])), estimate


def _labels(n: int, prevalence: float, rng: np.random.Generator) -> Ints:
    return (rng.random(n) < prevalence).astype(np.int64)


def _follow(truth: Ints, faith: float, prevalence: float, rng: np.random.Generator) -> Ints:
    """The truth with chance ``faith``, else a label at random."""
    return np.where(rng.random(len(truth)) < faith, truth, _labels(len(truth), prevalence, rng))


def evaluation_table(repeats: int, resamples: int, seed: int) -> Iterator[str]:
    yield "| items | experts | figure | coverage | cells from–to | bias | width | no interval |"
    yield "|---|---|---|---|---|---|---|---|"
    for n, experts in product(ITEMS, EXPERTS):
        settings = list(product(KAPPAS, PREVALENCES))
        rows = [evaluation_cells(n, experts, *setting, repeats, resamples, seed) for setting in settings]
        for name in rows[0]:
            cells = [row[name] for row in rows]
            covered = [c.coverage for c in cells]
            bias, width, without = (np.mean([getattr(c, part) for c in cells]) for part in ("bias", "width", "without"))
            yield (
                f"| {n} | {experts} | {name} | {np.mean(covered):.1%} | {min(covered):.0%}–{max(covered):.0%} "
                f"| {bias:+.3f} | {width:.2f} | {without:.1%} |"
            )


def control_table(repeats: int, resamples: int, seed: int) -> Iterator[str]:
    yield "| positive | apart | coverage | bias | width | no interval |"
    yield "|---|---|---|---|---|---|"
    for prevalence, apart in product(POOL_PREVALENCES, APART):
        c = control_cell(prevalence, apart, repeats, resamples, seed)
        yield f"| {prevalence:.0%} | {apart} | {c.coverage:.1%} | {c.bias:+.3f} | {c.width:.2f} | {c.without:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100, help="samples of each setting; three times as many pools")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=("evaluation", "control"))
    given = parser.parse_args()
    start = time.process_time()
    if given.only != "control":
        for line in evaluation_table(given.repeats, given.resamples, given.seed):
            print(line, flush=True)
        print()
    if given.only != "evaluation":
        for line in control_table(3 * given.repeats, given.resamples, given.seed):
            print(line, flush=True)
    print(f"\n{time.process_time() - start:.0f} s of CPU; {given.repeats} repeats, {given.resamples} resamples.")


if __name__ == "__main__":
    main()
