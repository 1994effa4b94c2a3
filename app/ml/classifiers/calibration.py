"""Probabilities that mean what they say, and the threshold that they call for.

Mined items hold far more of a rare label than the pool, so a threshold that is best among them calls too many pool
items positive. But they were chosen by their text and not by their label, so that what is learnt about p(label | text)
holds in the pool too, if no class weights have bent it (covariate shift, not prior shift). With calibrated p over a
sample of the pool, the kappa that a threshold would have there can be computed without any label of the sample.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

_Floats = npt.NDArray[np.float64]

SLOPE_SPREAD = 2.0
SHIFT_SPREAD = 0.3
"""Standard deviations of the prior on log slope and shift: chosen on real data, see docs/method.md."""


def expit(logits: npt.NDArray[Any]) -> _Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(np.asarray(logits, dtype=np.float64), -30, 30))))


def log_odds(proba: npt.NDArray[Any]) -> _Floats:
    """Of probabilities kept within 1e-7 of 0 and 1."""
    kept = np.clip(np.asarray(proba, dtype=np.float64), 1e-7, 1 - 1e-7)
    return np.asarray(np.log(kept / (1 - kept)))


@dataclass(frozen=True)
class Calibration:
    """logit p = slope · z + shift."""

    slope: float = 1.0
    shift: float = 0.0

    def __call__(self, logits: npt.NDArray[Any]) -> _Floats:
        return np.asarray(self.slope * logits + self.shift, dtype=np.float64)


def calibrate(logits: _Floats, labels: npt.NDArray[np.integer[Any]], weights: _Floats | None = None) -> Calibration:
    """Platt's (1999) sigmoid on held-out ``logits`` (n,) of label 1, with normal priors on log slope around 0 and on
    the shift around 0: with a handful of items of a label the fit would follow each of them."""
    from scipy.optimize import minimize

    sign = np.where(labels == 1, 1.0, -1.0)
    weight = np.ones(len(labels)) if weights is None else weights

    def loss(at: _Floats) -> tuple[float, _Floats]:
        slope = np.exp(at[0])
        margin = sign * (slope * logits + at[1])
        pull = -weight * sign * expit(-margin)
        value = (
            (weight * np.logaddexp(0, -margin)).sum()
            + (at[0] / SLOPE_SPREAD) ** 2 / 2
            + (at[1] / SHIFT_SPREAD) ** 2 / 2
        )
        down = [(pull * logits).sum() * slope + at[0] / SLOPE_SPREAD**2, pull.sum() + at[1] / SHIFT_SPREAD**2]
        return float(value), np.array(down)

    found = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B").x
    return Calibration(float(np.exp(found[0])), float(found[1]))


@dataclass(frozen=True)
class PoolThreshold:
    """``kappa`` is what the probabilities promise at ``value``, ``called`` the share of the sample above it."""

    value: float
    kappa: float
    called: float


def pool_threshold(proba: _Floats) -> PoolThreshold:
    """The threshold on probabilities (m,) of label 1 that maximises the kappa expected with labels drawn from them.

    Ratio of expectations: with P the mean probability, c the share called positive and t the mean probability of
    those times c, observed agreement is 1 − P − c + 2t, and chance agreement cP + (1 − c)(1 − P).
    """
    falling = np.sort(proba.astype(np.float64))[::-1]
    m = len(falling)
    share, called = float(falling.mean()), np.arange(1, m + 1) / m
    observed = 1 - share - called + 2 * np.cumsum(falling) / m
    chance = called * share + (1 - called) * (1 - share)
    kappa = (observed - chance) / np.maximum(1 - chance, 1e-12)
    # Items of one probability are called together, so only the last of them is a place to cut.
    kappa[:-1][falling[:-1] == falling[1:]] = -np.inf
    best = int(np.argmax(kappa))
    below = falling[best + 1] if best + 1 < m else 0.0
    return PoolThreshold(float((falling[best] + below) / 2), float(kappa[best]), float(called[best]))
