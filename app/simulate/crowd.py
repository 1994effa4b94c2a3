"""The baseline condition's labels: a crowd's, real or with errors at a stated kappa."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.curation.agreement import cohen_kappa
from app.simulate.data import Data

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_MATCHED = 0.9


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


def hard_crowd(truth: Ints, uncertainty: Floats, kappa: float, rng: np.random.Generator) -> CrowdLabels:
    """Two labels with errors where a text is hard: as many of each label are wrong as the ``kappa`` asks for, drawn
    without replacement by ``uncertainty`` (n,), which must not be negative.

    If m of each label are wrong, each label keeps its share P, agreement is 1 − 2m/n, and kappa is
    1 − m / (n P (1 − P)).
    """
    n, share = len(truth), float(np.mean(truth == 1))
    wrong = round((1 - kappa) * n * share * (1 - share))
    labels = truth.copy()
    for label in (0, 1):
        own = np.flatnonzero(truth == label)
        # The largest of u^(1/w) are a draw by weight without replacement (Efraimidis & Spirakis 2006).
        keys = np.log(rng.random(len(own))) / np.maximum(uncertainty[own], 1e-12)
        labels[own[np.argsort(-keys, kind="stable")[:wrong]]] = 1 - label
    return CrowdLabels(labels, cohen_kappa(labels, truth), real=False)


def matched_crowd(data: Data, crowd: Data) -> CrowdLabels | None:
    """The crowd's labels of the same texts; None if fewer than nine in ten texts are among the crowd's."""
    label_of = dict(zip(crowd.texts, crowd.truth.tolist(), strict=True))
    labels = np.array([label_of.get(text, -1) for text in data.texts], dtype=np.int64)
    if np.mean(labels >= 0) < _MATCHED:
        return None
    return CrowdLabels(labels, cohen_kappa(labels, data.truth), real=True)
