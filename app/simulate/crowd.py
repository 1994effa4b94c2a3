"""The baseline condition's labels: a crowd's, real or with errors at a stated kappa."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.curation.agreement import cohen_kappa
from app.simulate.data import Data

Ints = NDArray[np.int64]

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


def matched_crowd(data: Data, crowd: Data) -> CrowdLabels | None:
    """The crowd's labels of the same texts; None if fewer than nine in ten texts are among the crowd's."""
    label_of = dict(zip(crowd.texts, crowd.truth.tolist(), strict=True))
    labels = np.array([label_of.get(text, -1) for text in data.texts], dtype=np.int64)
    if np.mean(labels >= 0) < _MATCHED:
        return None
    return CrowdLabels(labels, cohen_kappa(labels, data.truth), real=True)
