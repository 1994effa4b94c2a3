"""What mined labels have taught more, or less, than labels drawn at random: measured, not presumed."""

import math
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from app.curation.arrays import AnyArray, Bools, Floats, Floats32, Ints, unit_rows
from app.curation.choosing import RANDOM, History

INVERSE_PENALTY = 10.0
REPEATS = 10
RESAMPLES = 200
FEWEST_LABELS = 10
FEWEST_CONTROL = 20
LEAST_ERROR = 0.05
"""Two heads that both answer one label to nearly everything differ by nothing, which is no evidence."""


@dataclass(frozen=True)
class Gain:
    """Kappa on the control slice of a head trained on ``labels`` mined labels less that of one trained on as many
    drawn at random, its standard error, and the number of ``control`` items that it rests on."""

    value: float
    error: float
    labels: int
    control: int


def mining_gain(embeddings: AnyArray, history: History, rng: np.random.Generator) -> Gain | None:
    """The gain over all rounds so far; None where there are too few labels of either kind, or the control slice is
    too small or has one label only.

    Heads are logistic regressions on the embeddings with balanced labels, trained on equal numbers of fine-tuning
    labels and averaged over ten draws. They are scored on control items of the evaluation split only, each counted
    once: weighted to the pool, a few items would decide, and the sign of the difference is what matters here. The
    error is a bootstrap's over control items (Efron & Tibshirani 1993).
    """
    control = np.flatnonzero(np.isfinite(history.propensities) & ~history.trained)
    by_chance = drawn_at_random(history)
    drawn = np.flatnonzero(history.trained & by_chance)
    mined = np.flatnonzero(history.trained & ~by_chance)
    labels = min(len(drawn), len(mined))
    truth = history.labels[control]
    if labels < FEWEST_LABELS or len(control) < FEWEST_CONTROL or len(np.unique(truth)) < 2:
        return None
    rows = unit_rows(embeddings[history.items])
    heads = [
        [_answers(rows, history.labels, rng.choice(part, labels, replace=False), control) for part in (mined, drawn)]
        for _ in range(REPEATS)
    ]
    resamples = np.vstack([np.arange(len(control)), rng.integers(len(control), size=(RESAMPLES, len(control)))])
    gains = np.mean([_kappas(a, truth, resamples) - _kappas(b, truth, resamples) for a, b in heads], axis=0)
    return Gain(float(gains[0]), float(gains[1:].std(ddof=1)), labels, len(control))


def chance_of_loss(gain: Gain | None, prior_mean: float, prior_error: float) -> float:
    """The chance that mined labels teach less than random ones: normal prior, normal likelihood. The prior keeps the
    noise of a few dozen control items from turning a round over."""
    mean, precision = prior_mean, prior_error**-2
    if gain is not None:
        weight = max(gain.error, LEAST_ERROR) ** -2
        mean = (mean * precision + gain.value * weight) / (precision + weight)
        precision += weight
    return 0.5 * math.erfc(mean * math.sqrt(precision / 2))


def drawn_at_random(history: History) -> Bools:
    """Which items (m,) chance alone has chosen, for the control slice or to train on."""
    chosen_by_chance = np.array([reason == RANDOM for reason in history.reasons], dtype=np.bool_)
    drawn: Bools = np.isfinite(history.propensities)
    return drawn | chosen_by_chance if len(chosen_by_chance) else drawn


def _answers(rows: Floats32, labels: Ints, train: Ints, test: Ints) -> Ints:
    """What a head trained on the rows ``train`` answers to the rows ``test``."""
    if len(np.unique(labels[train])) == 1:
        return np.full(len(test), labels[train[0]])
    head = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=300)
    return np.asarray(head.fit(rows[train], labels[train]).predict(rows[test]))


def _kappas(answers: Ints, truth: Ints, resamples: Ints) -> Floats:
    """Cohen's kappa in each resample (resamples, n); 0 where all answers and truths are one label."""
    observed = (answers == truth)[resamples].mean(axis=1)
    expected = np.zeros(len(resamples))
    for label in np.union1d(answers, truth):
        expected += (answers == label)[resamples].mean(axis=1) * (truth == label)[resamples].mean(axis=1)
    kappas: Floats = np.where(expected < 1, (observed - expected) / np.maximum(1 - expected, 1e-12), 0.0)
    return kappas
