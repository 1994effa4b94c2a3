"""One simulated project: rounds of mining, answers, fine-tuning and evaluation by the functions that a round uses."""

import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.curation.agreement import MISSING, cohen_kappa
from app.curation.bootstrap import Estimate
from app.curation.consensus import consensus
from app.curation.loop import (
    CONTROL,
    Figure,
    LoopSettings,
    RoundPlan,
    compared_version,
    plan_round,
    round_figures,
    score_round,
)
from app.curation.splits import EVALUATION, TRAIN, merge_groups, near_duplicate_groups, split_round
from app.curation.stopping import RoundFigures, advise
from app.curation.strategies import History, Strategy
from app.ml.classifiers import Fitted, PoolSample, Runtime, TrainingSet, draw_pool_rows, engine
from app.simulate.scenario import Scenario

Ints = NDArray[np.int64]

RESAMPLES = 200
"""Fewer than a round's: advice is asked for after every round of every run."""


@dataclass(frozen=True)
class Measured:
    """A model on the hold-out: kappa with the consensus, share of the positives found (recall of label 1), and the
    share of items that it calls positive."""

    kappa: float | None
    found: float | None
    called: float


@dataclass(frozen=True)
class RoundRecord:
    """What stood after a round. ``training`` and ``evaluation`` count the labels of all rounds so far, ``positive`` is
    the share of label 1 among the fine-tuning labels, ``pool_found`` the share of the pool's positives that experts
    have seen. Figures are those that an admin would see; gains are over the version that a plateau is
    judged by, and ``stability`` is kappa of the two versions' labels of the pool; ``seconds`` by step."""

    number: int
    training: int
    evaluation: int
    answers: int
    positive: float | None
    pool_found: float | None
    hold_out: Measured
    internal: dict[str, Any]
    model: dict[str, Any]
    control: dict[str, Any]
    gap: dict[str, Any]
    gain: dict[str, Any]
    control_gain: dict[str, Any]
    stability: float | None
    advice: str
    reason: str
    note: str
    seconds: dict[str, float]


@dataclass
class _Labelled:
    """Items of all rounds so far, in order of labelling; arrays grow by a round at a time."""

    items: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    rounds: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    shares: list[NDArray[np.float64]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    propensities: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    split: NDArray[np.str_] = field(default_factory=lambda: np.zeros(0, "<U10"))
    groups: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def trained(self) -> NDArray[np.bool_]:
        return np.asarray(self.split == TRAIN)


class Trial:
    """``choose`` stands in for the strategy that ``settings`` name where a benchmark compares another's."""

    def __init__(
        self,
        scenario: Scenario,
        settings: LoopSettings,
        engine_name: str,
        engine_config: dict[str, Any],
        seed: int,
        runtime: Runtime,
        *,
        choose: Strategy | None = None,
    ) -> None:
        self._scenario, self._settings, self._runtime = scenario, settings, runtime
        self._engine, self._config, self._seed, self._choose = engine_name, engine_config, seed, choose
        self._done = _Labelled()
        self._models: dict[int, Ints] = {0: scenario.prelabels}
        self._scores: NDArray[np.float32] = scenario.prescores
        self._advised: list[RoundFigures] = []

    def run(self, rounds: int) -> list[RoundRecord]:
        """A record a round; the first, number 0, is the pre-labeller's. Ends early when the pool is used up."""
        records = [self._start()]
        for number in range(1, rounds + 1):
            seed = int(np.random.default_rng([self._seed, number]).integers(2**31))
            clock = _Clock()
            plan = self._plan(seed)
            if not len(plan.items):
                break
            clock.lap("mine")
            self._label(plan, number, seed)
            self._train(number, seed)
            clock.lap("train and predict")
            records.append(self._record(number, seed, plan, clock))
        return records

    def _start(self) -> RoundRecord:
        none = vars(Estimate(None, None, None, 0, "No round has been finished yet."))
        measured = measure(self._scenario.prelabels[self._scenario.n_pool :], self._scenario.hold_out_truth)
        return RoundRecord(0, 0, 0, 0, None, None, measured, none, none, none, none, none, none, None, "", "", "", {})

    def _plan(self, seed: int) -> RoundPlan:
        n, done = self._scenario.n_pool, self._done
        excluded = np.zeros(n, dtype=np.bool_)
        excluded[done.items] = True
        newest = self._models[max(self._models)]
        return plan_round(
            self._scenario.embeddings[:n],
            newest[:n],
            self._scores[:n],
            excluded,
            self._settings,
            np.random.default_rng([seed, 1]),
            history=History(
                done.items, done.labels, done.rounds, done.trained(), done.propensities, tuple(done.reasons)
            ),
            choose=self._choose,
        )

    def _label(self, plan: RoundPlan, number: int, seed: int) -> None:
        """Answers, consensus (a lead, who knows the truth, decides ties) and the split of the round's items."""
        done, items = self._done, plan.items
        n_labels = self._scenario.data.n_labels
        result = consensus(self._scenario.answers[items], n_labels)
        place = {int(item): len(done.items) + k for k, item in enumerate(items)}
        done.pairs += [(place[int(a)], place[int(b)]) for a, b in zip(plan.pairs.left, plan.pairs.right, strict=True)]
        earlier = len(done.items)
        done.items = np.concatenate([done.items, items])
        done.rounds = np.concatenate([done.rounds, np.full(len(items), number)])
        undecided = result.labels == MISSING
        labels = np.where(undecided, self._scenario.data.truth[items], result.labels)
        done.labels = np.concatenate([done.labels, labels])
        counts = np.where(undecided[:, None], np.eye(n_labels)[labels], result.counts)
        done.shares += list(counts / counts.sum(axis=1, keepdims=True))
        done.reasons += plan.reasons
        done.propensities = np.concatenate([done.propensities, plan.propensities])
        duplicates = near_duplicate_groups(self._scenario.embeddings[done.items])
        done.groups = merge_groups(len(done.items), done.pairs, duplicates)
        new = np.arange(len(done.items)) >= earlier
        before = [*done.split.tolist(), *[""] * len(items)]
        share, mode = self._settings.evaluation_share, self._settings.split_mode
        rng, drawn = np.random.default_rng([seed, 2]), np.isfinite(done.propensities)
        split = split_round(done.groups, before, new, drawn, share, rng, mode=mode)
        done.split = np.concatenate([done.split, split])

    def fine_tuning_labels(self, seed: int) -> TrainingSet:
        """Those of all rounds so far, ordered by item as in a round."""
        done, trained = self._done, self._done.trained()
        order = np.argsort(done.items[trained], kind="stable")
        rows = done.items[trained][order]
        soft = np.array(done.shares)[trained][order]
        labels, groups = done.labels[trained][order], done.groups[trained][order]
        return training_set(self._scenario, rows, labels, groups, seed, soft)

    def _train(self, number: int, seed: int) -> None:
        """Fine-tune on all fine-tuning labels so far, and label everything again."""
        train = self.fine_tuning_labels(seed)
        fitted = engine(self._engine).fit(train, self._scenario.data.n_labels, self._config, seed, self._runtime)
        self._scores, self._models[number] = predict(fitted, self._scenario)

    def _record(self, number: int, seed: int, plan: RoundPlan, clock: "_Clock") -> RoundRecord:
        done, newest = self._done, self._models[number]
        figures = self._figures(seed)
        judged = round_figures(number, figures, list(self._models), self._stability())
        self._advised.append(judged)
        advice = advise(self._advised)
        clock.lap("evaluate")
        trained, truth = done.trained(), self._scenario.pool_truth
        positives = int((truth == 1).sum())
        return RoundRecord(
            number=number,
            training=int(trained.sum()),
            evaluation=int((done.split == EVALUATION).sum()),
            answers=int((self._scenario.answers[done.items] != MISSING).sum()),
            positive=_share(done.labels[trained] == 1),
            pool_found=float((truth[done.items] == 1).sum() / positives) if positives else None,
            hold_out=measure(newest[self._scenario.n_pool :], self._scenario.hold_out_truth),
            internal=vars(_figure(figures, "experts", EVALUATION)),
            model=vars(_figure(figures, f"model:{number}", EVALUATION)),
            control=vars(_figure(figures, f"model:{number}", CONTROL)),
            gap=_stored(judged.gap),
            gain=_stored(judged.gain),
            control_gain=_stored(judged.control_gain),
            stability=judged.stability,
            advice=advice.kind,
            reason=advice.reason,
            note=plan.note,
            seconds=clock.laps,
        )

    def _stability(self) -> float | None:
        """As a round measures it: kappa of the newest version's labels of the pool with an earlier version's."""
        before, n = compared_version(list(self._models)), self._scenario.n_pool
        if before is None:
            return None
        kappa = cohen_kappa(self._models[max(self._models)][:n], self._models[before][:n])
        return None if kappa != kappa else kappa

    def _figures(self, seed: int) -> list[Figure]:
        done = self._done
        asked = (self._scenario.answers[done.items] != MISSING).any(axis=0)
        return score_round(
            self._scenario.answers[done.items][:, asked],
            done.groups,
            done.split == EVALUATION,
            done.propensities,
            {number: labels[done.items] for number, labels in self._models.items()},
            np.random.default_rng([seed, 4]),
            resamples=RESAMPLES,
        )


def training_set(
    scenario: Scenario, rows: Ints, labels: Ints, groups: Ints, seed: int, soft: NDArray[np.float64] | None = None
) -> TrainingSet:
    """Rows of the pool as a round hands them to an engine, with its sample of the pool and the guideline's examples."""
    sampled = draw_pool_rows(scenario.n_pool, seed)
    return TrainingSet(
        [scenario.data.texts[row] for row in rows],
        scenario.embeddings[rows],
        labels,
        groups,
        soft=soft,
        pool=PoolSample([scenario.data.texts[row] for row in sampled], scenario.embeddings[sampled]),
        examples=scenario.examples,
    )


def predict(fitted: Fitted, scenario: Scenario) -> tuple[NDArray[np.float32], Ints]:
    """Scores (rows, labels) and labels (rows,) of pool and hold-out."""
    scores = fitted.predict_proba(scenario.data.texts, scenario.embeddings)
    return scores, fitted.labels(scores)


def measure(labels: Ints, truth: Ints) -> Measured:
    kappa = cohen_kappa(labels, truth)
    found = _share(labels[truth == 1] == 1)
    return Measured(None if kappa != kappa else round(kappa, 6), found, float(np.mean(labels == 1)))


def _share(hits: NDArray[np.bool_]) -> float | None:
    return float(hits.mean()) if len(hits) else None


def _figure(figures: list[Figure], subject: str, part: str) -> Estimate:
    named = {(f.subject, f.slice, f.measure, f.detail): f.estimate for f in figures}
    return named.get((subject, part, "kappa", ""), Estimate(None, None, None, 0, "There is no such figure."))


def _stored(estimate: Estimate | None) -> dict[str, Any]:
    return vars(estimate or Estimate(None, None, None, 0, "There is no version to compare with yet."))


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now
