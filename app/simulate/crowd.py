"""The baseline condition's labels: a crowd's, real or with errors at a stated kappa."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from app.curation.agreement import cohen_kappa
from app.simulate.data import Data

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_MATCHED = 0.9
LIKENESS = 3.0
"""Errors made up with it are told from right labels of the same true label, by a model's score, about as well as a
real crowd's are (docs/method.md)."""


@dataclass(frozen=True)
class CrowdLabels:
    """``labels`` (n,), -1 where the crowd gave none; ``kappa`` with the consensus; ``real`` or made up."""

    labels: Ints
    kappa: float
    real: bool


def simulated_crowd(truth: Ints, kappa: float, rng: np.random.Generator) -> CrowdLabels:
    """Labels whose expected kappa with ``truth`` (n,) is ``kappa``: a share 1 − kappa of the items, drawn at random,
    exchange their labels among themselves.

    Agreement is then kappa + (1 − kappa) · p_e, which is the definition of kappa (Cohen 1960), and each label keeps
    its share. Errors that do not depend on the text are the easiest to learn through, so this crowd is a stronger
    baseline than one of the same kappa that errs where a text is hard.
    """
    labels = truth.copy()
    guessed = rng.permutation(len(truth))[: round((1 - kappa) * len(truth))]
    labels[guessed] = labels[rng.permutation(guessed)]
    return CrowdLabels(labels, cohen_kappa(labels, truth), real=False)


def swayed_crowd(truth: Ints, weights: Floats, kappa: float, rng: np.random.Generator) -> CrowdLabels:
    """Two labels with errors that depend on the text: as many of each label are wrong as the ``kappa`` asks for, drawn
    without replacement by ``weights`` (n,), which must not be negative.

    If m of each label are wrong, each label keeps its share P, agreement is 1 − 2m/n, and kappa is
    1 − m / (n P (1 − P)).
    """
    n, share = len(truth), float(np.mean(truth == 1))
    wrong = round((1 - kappa) * n * share * (1 - share))
    labels = truth.copy()
    for label in (0, 1):
        own = np.flatnonzero(truth == label)
        # The largest of u^(1/w) are a draw by weight without replacement (Efraimidis & Spirakis 2006).
        keys = np.log(rng.random(len(own))) / np.maximum(weights[own], 1e-12)
        labels[own[np.argsort(-keys, kind="stable")[:wrong]]] = 1 - label
    return CrowdLabels(labels, cohen_kappa(labels, truth), real=False)


def chance(embeddings: NDArray[np.floating[Any]], labels: Ints, seed: int, *, folds: int = 2) -> Floats:
    """(n,) p of label 1 of two by logistic regressions on the labels of the other folds."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    parts = StratifiedKFold(folds, shuffle=True, random_state=seed)
    model = LogisticRegression(C=10.0, max_iter=1000)
    p = cross_val_predict(model, embeddings, labels, cv=parts, method="predict_proba")
    return np.asarray(p[:, 1], dtype=np.float64)


def hardness(p: Floats) -> Floats:
    """Weights p(1 − p) of errors where a text is hard, whatever its label; ``p`` (n,) is the chance of label 1."""
    return np.asarray(p * (1 - p))


def likeness(p: Floats, truth: Ints) -> Floats:
    """Weights of errors where a text looks as if it had the other label: exp(``LIKENESS`` · r), r from 0 to 1 being
    the text's rank among those of its own label by the chance of the other one; ``p`` (n,) is that of label 1."""
    weights = np.empty(len(p))
    for label in (0, 1):
        own = np.flatnonzero(truth == label)
        other = p[own] if label == 0 else -p[own]
        weights[own] = np.exp(LIKENESS * rankdata(other) / len(own))
    return weights


def knows_texts(crowd: Data, data: Data) -> bool:
    """Whether the crowd labelled these data: at least nine in ten of their texts are among the crowd's."""
    known = set(crowd.texts)
    return float(np.mean([text in known for text in data.texts])) >= _MATCHED


def real_crowd(crowd: Data, pool: Data) -> CrowdLabels:
    """The crowd's labels of the pool's texts."""
    label_of = dict(zip(crowd.texts, crowd.truth.tolist(), strict=True))
    labels = np.array([label_of.get(text, -1) for text in pool.texts], dtype=np.int64)
    return CrowdLabels(labels, cohen_kappa(labels, pool.truth), real=True)
