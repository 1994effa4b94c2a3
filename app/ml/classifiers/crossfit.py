"""Choices made inside the training set: grouped folds, and the threshold that maximises Cohen's kappa."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.ml.classifiers.base import FEWEST_TO_TUNE, Ints, TrainingSet

Fold = tuple[Ints, Ints]
MOST_TO_CROSS_FIT = 2000
_Floats64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Threshold:
    """``kappa`` is the cross-fitted one at ``value``; it is a little optimistic, for the value was chosen by it."""

    value: float
    kappa: float


def grouped_folds(train: TrainingSet, n_splits: int, seed: int) -> list[Fold]:
    """(training rows, test rows) per fold, groups whole and labels spread evenly; every training side has every label.

    Fewer folds where the groups do not suffice; none where not even two are possible.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels, groups = np.asarray(train.labels), np.asarray(train.groups)
    present = np.unique(labels)
    fewest = min(len(np.unique(groups[labels == label])) for label in present)
    for splits in range(min(n_splits, fewest), 1, -1):
        folder = StratifiedGroupKFold(splits, shuffle=True, random_state=seed)
        folds = [(fit, test) for fit, test in folder.split(np.zeros(len(labels)), labels, groups) if len(test)]
        if all(len(np.unique(labels[fit])) == len(present) for fit, _ in folds):
            return folds
    return []


def hold_outs(train: TrainingSet, n_splits: int, seed: int) -> list[Fold]:
    """Folds as by ``grouped_folds``; of more than ``MOST_TO_CROSS_FIT`` items a fifth of the groups at random, once:
    that many held-out items settle any choice, and balanced folds of thousands of groups take long to find."""
    if len(train) <= MOST_TO_CROSS_FIT:
        return grouped_folds(train, n_splits, seed)
    members, group = np.unique(train.groups, return_inverse=True)
    apart = np.random.default_rng(seed).permutation(len(members)) < len(members) / 5
    fold = np.flatnonzero(~apart[group]), np.flatnonzero(apart[group])
    whole = np.unique(train.labels)
    return [fold] if len(fold[1]) and np.array_equal(np.unique(train.labels[fold[0]]), whole) else []


def may_tune(train: TrainingSet) -> bool:
    """Whether every label that occurs does so often enough to choose anything by cross-fitting."""
    counts = np.bincount(train.labels)
    return bool(counts[counts > 0].min() >= FEWEST_TO_TUNE)


def log_loss(proba: _Floats64, labels: npt.NDArray[np.integer[Any]], weights: _Floats64) -> float:
    """Weighted mean of −log p(label)."""
    chosen = proba[np.arange(len(labels)), labels]
    return float(-np.average(np.log(np.maximum(chosen, 1e-7)), weights=weights))


def choose_threshold(scores: _Floats64, labels: npt.NDArray[np.integer[Any]], weights: _Floats64 | None) -> Threshold:
    """The threshold on the scores (n,) of label 1 that maximises kappa, smoothed: label 1 where score ≥ threshold.

    With 40 to 300 items the highest point of the kappa curve is one item's luck, so the answer is the centre of all
    thresholds whose kappa is within half a standard error (Cohen 1960: sqrt(po(1−po)/n)/(1−pe)) of the best.
    """
    low, high, kappas, errors = _kappa_curve(scores, labels, np.ones(len(labels)) if weights is None else weights)
    if not len(kappas):
        return Threshold(0.5, 0.0)
    best = int(np.argmax(kappas))
    plateau = kappas >= kappas[best] - errors[best] / 2
    middle, width = (low + high)[plateau] / 2, (high - low)[plateau]
    value = float(np.average(middle, weights=width))
    return Threshold(value, float(kappas[np.searchsorted(high, value).clip(0, len(kappas) - 1)]))


def _kappa_curve(
    scores: _Floats64, labels: npt.NDArray[np.integer[Any]], weights: _Floats64
) -> tuple[_Floats64, _Floats64, _Floats64, _Floats64]:
    """Between each two neighbouring scores: lower end, upper end, kappa there and its standard error."""
    order = np.argsort(scores, kind="stable")
    values, truth, weight = scores[order], labels[order] == 1, weights[order] / weights.sum()
    cuts = np.flatnonzero(values[1:] > values[:-1])
    true = float(weight[truth].sum())
    below, missed = np.cumsum(weight)[cuts], np.cumsum(weight * truth)[cuts]
    called = 1 - below
    observed = (true - missed) + (below - missed)
    expected = true * called + (1 - true) * below
    spread = np.maximum(1 - expected, 1e-12)
    effective = weights.sum() ** 2 / (weights**2).sum()
    errors = np.sqrt(np.clip(observed * (1 - observed), 0, None) / effective) / spread
    return values[cuts], values[cuts + 1], (observed - expected) / spread, errors
