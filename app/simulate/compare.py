"""Strategies side by side: which choice of items teaches a model most, on data whose labels are known.

For each strategy the loop runs as in a project (``curation.loop.plan_round``, the linear engine on embeddings, the
split into fine-tuning and evaluation), with simulated experts in place of people. Kappa is that of the model with the
known labels on a hold-out, which no round may choose from: a yardstick that a real project does not have.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.curation.agreement import MISSING, cohen_kappa
from app.curation.consensus import consensus
from app.curation.loop import LoopSettings, plan_round
from app.curation.splits import TRAIN, split_groups
from app.errors import InvalidInput
from app.ml.classifiers import Runtime, TrainingSet, engine
from app.simulate import sample
from app.simulate.experts import panel

OVERLAP = 2
_HOLD_OUT = 0.3
_START_PER_LABEL = 5  # texts that a project would have as examples in its guideline
_SMALLEST = 60

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Data:
    """n texts. ``truth`` (n,) is what the hold-out is scored by; ``answers`` (n, experts) is what each simulated
    expert would say, -1 where that expert was never asked."""

    texts: list[str]
    truth: Ints
    answers: Ints
    n_labels: int


@dataclass(frozen=True)
class Run:
    """One strategy with one seed; a list has an entry per round. ``kappas[0]`` is the start's, before any round."""

    strategy: str
    seed: int
    kappas: list[float]
    labels: list[int]
    positives: list[float]


def sample_data(seed: int) -> Data:
    """The sample of advertisements with the demo's three experts; the truth is the simulated lead's."""
    ads = sample.read_ads()
    answers = [[expert.answer(ad.id, ad.degree) for expert in panel(seed)] for ad in ads]
    truth = [int(ad.degree > sample.LEAD_THRESHOLD) for ad in ads]
    return Data([ad.text for ad in ads], np.array(truth), np.array(answers), len(sample.LABELS))


def read_data(path: Path) -> Data:
    """JSON Lines: ``text``, ``label`` (an index from 0) and perhaps ``votes``, {annotator: label}.

    Without votes every expert answers the label. Rows with ``"tie": true`` are left out: their label is arbitrary.
    Raises InvalidInput naming the line.
    """
    texts, truth, votes = list[str](), list[int](), list[list[int]]()
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            row = _parsed(line, number)
            if not row.get("tie"):
                texts.append(row["text"])
                truth.append(row["label"])
                votes.append([int(vote) for vote in row.get("votes", {}).values()] or [row["label"]] * OVERLAP)
    if len(texts) < _SMALLEST:
        raise InvalidInput(f"{path.name} has {len(texts)} usable rows; a comparison needs {_SMALLEST} at least.")
    width = max(map(len, votes))
    answers = np.array([row + [MISSING] * (width - len(row)) for row in votes])
    return Data(texts, np.array(truth), answers, int(max(max(truth), answers.max())) + 1)


def _parsed(line: str, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"Line {number} is not JSON.", row=number) from error
    if not (isinstance(row, dict) and isinstance(row.get("text"), str) and _is_label(row.get("label"))):
        raise InvalidInput(f"Line {number} needs a text and a label, a whole number from 0.", row=number)
    votes = row.get("votes", {})
    if not (isinstance(votes, dict) and all(_is_label(vote) for vote in votes.values())):
        raise InvalidInput(f"The votes of line {number} are not {{annotator: label}}.", row=number)
    return row


def _is_label(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def compare(
    data: Data,
    embeddings: NDArray[np.floating[Any]],
    strategies: Sequence[str],
    *,
    rounds: int,
    seeds: Sequence[int],
    runtime: Runtime,
    round_size: int = 100,
    say: Callable[[str], None] = lambda _: None,
) -> list[Run]:
    """Every strategy with every seed. With the same seed all strategies share hold-out, start and experts' slots."""
    runs = []
    for seed in seeds:
        for strategy in strategies:
            settings = LoopSettings(round_size=round_size, strategy=strategy)
            runs.append(_Loop(data, embeddings, settings, seed, runtime).run(rounds))
            say(f"{strategy}, seed {seed}: kappa {runs[-1].kappas[-1]:.2f} after {rounds} rounds")
    return runs


class _Loop:
    def __init__(
        self,
        data: Data,
        embeddings: NDArray[np.floating[Any]],
        settings: LoopSettings,
        seed: int,
        runtime: Runtime,
    ) -> None:
        self._data, self._embeddings, self._settings, self._seed = data, embeddings, settings, seed
        self._runtime = runtime
        rng = np.random.default_rng([seed, 0])
        order = rng.permutation(len(data.texts))
        self._hold_out = order[: round(_HOLD_OUT * len(order))]
        self._excluded = np.zeros(len(order), dtype=np.bool_)
        self._excluded[self._hold_out] = True
        self._slots = np.array([rng.permutation(data.answers.shape[1]) for _ in order])
        self._labels = np.full(len(order), MISSING)
        self._groups = np.full(len(order), MISSING)
        self._trains = np.zeros(len(order), dtype=np.bool_)
        self._start(order[len(self._hold_out) :])

    def _start(self, order: Ints) -> None:
        """A few texts of each label, known from the start: they stand for the guideline's examples."""
        for label in range(self._data.n_labels):
            chosen = [item for item in order if self._data.truth[item] == label][:_START_PER_LABEL]
            if not chosen:
                raise InvalidInput(f"There is no text with label {label} to start from.")
            self._labels[chosen], self._trains[chosen], self._excluded[chosen] = label, True, True
        start = np.flatnonzero(self._trains)
        self._groups[start] = np.arange(len(start))

    def run(self, rounds: int) -> Run:
        kappas, labels, positives = list[float](), list[int](), list[float]()
        for number in range(rounds + 1):
            predicted, scores = self._fit(number)
            kappas.append(float(cohen_kappa(predicted[self._hold_out], self._data.truth[self._hold_out])))
            if number < rounds:
                given = self._round(number + 1, predicted, scores)
                labels.append(len(given))
                positives.append(float(np.mean(given > 0)) if len(given) else 0.0)
        return Run(self._settings.strategy, self._seed, kappas, labels, positives)

    def _fit(self, number: int) -> tuple[Ints, NDArray[np.float32]]:
        """The model of all fine-tuning labels so far: its labels (n,) and probabilities (n, labels) of everything."""
        rows = np.flatnonzero(self._trains)
        texts = [self._data.texts[row] for row in rows]
        train = TrainingSet(texts, self._embeddings[rows], self._labels[rows], self._groups[rows])
        fitted = engine("linear").fit(train, self._data.n_labels, {}, self._seed + number, self._runtime)
        scores = fitted.predict_proba(self._data.texts, self._embeddings)
        return fitted.labels(scores), scores

    def _round(self, number: int, predicted: Ints, scores: NDArray[np.float32]) -> Ints:
        """One round: plan, answers, consensus, split. Returns the consensus labels."""
        rng = np.random.default_rng([self._seed, number])
        known = np.flatnonzero(self._groups >= 0)
        plan = plan_round(
            self._embeddings,
            predicted,
            scores,
            self._excluded,
            self._settings,
            rng,
            earlier_items=known,
            earlier_groups=self._groups[known],
        )
        items = plan.items
        split = split_groups(plan.groups, self._settings.evaluation_share, rng, fixed=self._fixed())
        self._excluded[items] = True
        self._labels[items] = self._consensus(items)
        self._groups[items] = plan.groups
        self._trains[items] = split == TRAIN
        return np.asarray(self._labels[items])

    def _fixed(self) -> dict[int, str]:
        known = np.flatnonzero(self._groups >= 0)
        return {int(self._groups[row]): TRAIN if self._trains[row] else "evaluation" for row in known}

    def _consensus(self, items: Ints) -> Ints:
        """OVERLAP experts answer each item; a tie is decided by the known label, as a lead would."""
        votes = np.take_along_axis(self._data.answers[items], self._slots[items], axis=1)
        asked = np.cumsum(votes != MISSING, axis=1) <= OVERLAP
        result = consensus(np.where(asked, votes, MISSING), self._data.n_labels)
        return np.where(result.labels == MISSING, self._data.truth[items], result.labels)
