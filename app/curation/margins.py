"""How near an item lies to where the model would change its label: the smaller, the less sure the model is."""

import numpy as np

from app.curation.arrays import AnyArray, Floats, Ints

_LEAST_SCORE = 1e-6


def margins(scores: AnyArray, labels: Ints, items: Ints) -> Floats:
    """Margins (items,) from the scores (n, labels) and the labels (n,) that the model gave.

    Of two labels, the distance in log-odds from the model's own line: a threshold chosen for kappa is seldom .5, and
    items between the two are not those that the model is unsure of. Of more labels, the best score less the next
    (Scheffer, Decomain & Wrobel 2001). With only the given label's score, (n,), that score, which orders as well.
    """
    if scores.ndim == 1:
        return np.asarray(scores[items], dtype=np.float64)
    if scores.shape[1] < 2:
        return np.ones(len(items))
    if scores.shape[1] == 2:
        odds = _log_odds(scores)
        distances: Floats = np.abs(odds[items] - _line(odds, labels))
        return distances
    top = np.partition(np.asarray(scores[items], dtype=np.float64), -2, axis=1)
    gaps: Floats = top[:, -1] - top[:, -2]
    return gaps


def _log_odds(scores: AnyArray) -> Floats:
    logs = np.log(np.maximum(np.asarray(scores, dtype=np.float64), _LEAST_SCORE))
    odds: Floats = logs[:, 1] - logs[:, 0]
    return odds


def _line(odds: Floats, labels: Ints) -> float:
    """Midway between the lowest log-odds of label 1 and the highest of label 0; 0, which is even odds, where the model
    gives one label only or its labels follow no threshold. Items without scores (nan) say nothing."""
    known = np.isfinite(odds)
    above, below = odds[known & (labels == 1)], odds[known & (labels == 0)]
    if not len(above) or not len(below) or below.max() > above.min():
        return 0.0
    return float((below.max() + above.min()) / 2)
