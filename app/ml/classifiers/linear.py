"""Logistic regression on embeddings: trained in milliseconds, and what a fine-tuned encoder has to beat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers.base import ConstantFitted, Fitted, Floats, Ints, Progress, Runtime, TrainingSet, check_fit
from app.ml.classifiers.calibration import Calibration, calibrate, expit, log_odds, pool_threshold
from app.ml.classifiers.crossfit import MOST_TO_CROSS_FIT, Fold, choose_threshold, hold_outs, log_loss, may_tune

# Inverse penalties useful on unit vectors; larger ones did worse at every size measured (docs/method.md).
GRID = (0.3, 1.0, 3.0, 10.0)
DEFAULT_C = 3.0
FOLDS = 5
_CHUNK = 65_536
# Stands for minus infinity where a label has no training item: its probability is exactly 0.
_NEVER = np.float32(-1e9)


class LinearFitted(Fitted):
    """``coef`` (n_labels, dim) and ``intercept`` (n_labels,), float32."""

    kind = "linear"

    def __init__(self, coef: Floats, intercept: Floats, threshold: float | None, metrics: Mapping[str, Any]) -> None:
        super().__init__(len(coef), threshold, metrics)
        self.coef = coef
        self.intercept = intercept

    def predict_proba(
        self,
        texts: Sequence[str],
        embeddings: npt.NDArray[np.floating[Any]] | None,
        progress: Progress | None = None,
    ) -> Floats:
        if embeddings is None or embeddings.shape[1] != self.coef.shape[1]:
            raise InvalidInput("These embeddings are not those that the model was trained on.", field="embeddings")
        n = len(embeddings)
        proba = np.empty((n, self.n_labels), dtype=np.float32)
        for start in range(0, n, _CHUNK):
            rows = np.asarray(embeddings[start : start + _CHUNK], dtype=np.float32)
            proba[start : start + _CHUNK] = softmax(rows @ self.coef.T + self.intercept)
            if progress:
                progress(min(start + _CHUNK, n), n)
        return proba

    def save_parts(self, store: ArtifactStore, key: str) -> None:
        save_head(store, f"{key}/head.safetensors", self.coef, self.intercept)


class LinearEngine:
    """Settings: ``C`` (a number; left out: chosen) and ``class_weight`` ("balanced" or "none").

    The guideline's examples are training items like others. Of two labels with a sample of the pool, items are not
    weighted, held-out scores are calibrated, C is the one of GRID with the least calibrated log loss over five
    grouped folds, and the threshold maximises the kappa expected on the pool (``calibration``). Without a sample, or
    with more labels, labels are balanced, since a first round may hold five positives in sixty items; C is chosen by
    the balanced log loss, and the threshold of two labels maximises kappa on the held-out items themselves. Where
    items are too few to hold any out, C is 3. Of more than 2,000 items one fifth is held out, once.
    """

    name = "linear"
    needs_embeddings = True

    def fit(
        self,
        train: TrainingSet,
        n_labels: int,
        config: Mapping[str, Any],
        seed: int,
        runtime: Runtime,
        progress: Progress | None = None,
    ) -> Fitted:
        check_fit(train, n_labels, config, ("C", "class_weight"))
        by_pool = n_labels == 2 and train.pool is not None
        grid, balanced = _settings(config, balanced=not by_pool)
        whole = train.with_examples()
        check_fit(whole, n_labels, {}, ())
        if len(np.unique(whole.labels)) == 1:
            return ConstantFitted.of(whole, n_labels)
        tried = _try_penalties(whole, grid, balanced, n_labels, seed, by_pool, progress)
        coef, intercept = fit_head(whole, tried.C, balanced, n_labels)
        if progress:
            progress(tried.steps + 1, tried.steps + 1)
        metrics: dict[str, Any] = {"training_items": len(train), "example_items": len(whole) - len(train)}
        metrics |= {"C": tried.C, "folds": tried.folds} | ({} if tried.loss is None else {"log_loss": tried.loss})
        if by_pool and train.pool is not None:
            coef, intercept = calibrated(coef, intercept, tried.calibration)
            logits = np.asarray(train.pool.embeddings, dtype=np.float32) @ coef.T + intercept
            threshold, chosen = threshold_for_pool(softmax(logits)[:, 1], tried.calibration)
            return LinearFitted(coef, intercept, threshold, metrics | chosen)
        judged = whole if tried.held_out is None else whole.take(tried.held_out)
        value, chosen = tuned_threshold(judged, tried.proba, n_labels)
        return LinearFitted(coef, intercept, value, metrics | chosen)


@dataclass(frozen=True)
class _Tried:
    """The penalty that did best, with its held-out rows and probabilities; None where none could be held out."""

    C: float
    folds: int = 0
    steps: int = 0
    held_out: Ints | None = None
    proba: npt.NDArray[np.float64] | None = None
    calibration: Calibration = field(default_factory=Calibration)
    loss: float | None = None


def _try_penalties(
    train: TrainingSet,
    grid: Sequence[float],
    balanced: bool,
    n_labels: int,
    seed: int,
    by_pool: bool,
    progress: Progress | None,
) -> _Tried:
    folds = hold_outs(train, FOLDS, seed) if by_pool or may_tune(train) else []
    if not folds:
        return _Tried(grid[0] if len(grid) == 1 else DEFAULT_C)
    held_out = np.sort(np.concatenate([test for _, test in folds]))
    judged, steps, tried = train.take(held_out), len(grid) * len(folds), []
    for place, C in enumerate(grid):
        shifted = _shift(progress, place * len(folds), steps + 1)
        proba = _cross_fit(train, folds, C, balanced, n_labels, shifted)[held_out]
        weights, calibration = _weights(judged, balanced), Calibration()
        if by_pool:
            calibration = calibrate(log_odds(proba[:, 1]), judged.labels, weights)
            after = expit(calibration(log_odds(proba[:, 1])))
            loss = log_loss(np.column_stack([1 - after, after]), judged.labels, weights)
        else:
            loss = log_loss(proba, judged.labels, weights)
        tried.append(_Tried(C, len(folds), steps, held_out, proba, calibration, loss))
    return min(tried, key=lambda one: one.loss or 0.0)


def calibrated(coef: Floats, intercept: Floats, calibration: Calibration) -> tuple[Floats, Floats]:
    """The head of two labels whose log odds are the calibrated ones."""
    shift = np.array([0.0, calibration.shift], dtype=np.float32)
    slope = np.float32(calibration.slope)
    return coef * slope, intercept * slope + shift


def threshold_for_pool(proba: npt.NDArray[np.floating[Any]], calibration: Calibration) -> tuple[float, dict[str, Any]]:
    """The threshold by calibrated probabilities (m,) of label 1 in the pool's sample, and what to say about it."""
    found = pool_threshold(np.asarray(proba, dtype=np.float64))
    return found.value, {
        "threshold_source": "pool",
        "expected_kappa": found.kappa,
        "expected_share_positive": found.called,
        "calibration": {"slope": calibration.slope, "shift": calibration.shift},
    }


def tuned_threshold(
    train: TrainingSet, proba: npt.NDArray[np.float64] | None, n_labels: int
) -> tuple[float | None, dict[str, Any]]:
    """The threshold and what to say about it; ``proba`` (n, 2) is cross-fitted, None where that was not possible."""
    if n_labels != 2:
        return None, {}
    if proba is None:
        note = "Too few items of one label to choose a threshold: .5 is used."
        return 0.5, {"threshold_source": "default", "note": note}
    weights = None if train.weights is None else np.asarray(train.weights, dtype=np.float64)
    threshold = choose_threshold(proba[:, 1], train.labels, weights)
    return threshold.value, {"threshold_source": "cross_fitted", "cross_fitted_kappa": threshold.kappa}


def fit_head(train: TrainingSet, C: float, balanced: bool, n_labels: int) -> tuple[Floats, Floats]:
    """Weights (n_labels, dim) and intercepts of a softmax; a label without training items can never be answered."""
    from sklearn.linear_model import LogisticRegression

    # A large set is fitted in single precision, in half the time; for a small one the double costs nothing.
    X = np.asarray(train.embeddings, dtype=np.float64 if len(train) <= MOST_TO_CROSS_FIT else np.float32)
    model = LogisticRegression(C=C, max_iter=1000).fit(X, train.labels, sample_weight=_weights(train, balanced))
    coef = np.zeros((n_labels, X.shape[1]), dtype=np.float32)
    intercept = np.full(n_labels, _NEVER, dtype=np.float32)
    if len(model.classes_) == 2:  # scikit-learn gives the difference of the two
        coef[model.classes_[1]] = model.coef_[0]
        intercept[model.classes_] = [0.0, model.intercept_[0]]
    else:
        coef[model.classes_] = model.coef_
        intercept[model.classes_] = model.intercept_
    return coef, intercept


def softmax(logits: npt.NDArray[Any]) -> npt.NDArray[Any]:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)  # type: ignore[no-any-return]


def save_head(store: ArtifactStore, key: str, coef: Floats, intercept: Floats) -> None:
    from safetensors.numpy import save

    store.put_bytes(key, save({"coef": np.ascontiguousarray(coef), "intercept": np.ascontiguousarray(intercept)}))


def load_head(store: ArtifactStore, key: str) -> tuple[Floats, Floats]:
    from safetensors.numpy import load

    tensors = load(store.get_bytes(key))
    return tensors["coef"], tensors["intercept"]


def _settings(config: Mapping[str, Any], balanced: bool) -> tuple[Sequence[float], bool]:
    C = config.get("C")
    if C is not None and not (isinstance(C, int | float) and C > 0):
        raise InvalidInput("C must be a positive number.", field="C")
    class_weight = config.get("class_weight", "balanced" if balanced else "none")
    if class_weight not in ("balanced", "none"):
        raise InvalidInput("class_weight is 'balanced' or 'none'.", field="class_weight")
    return GRID if C is None else (float(C),), class_weight == "balanced"


def _weights(train: TrainingSet, balanced: bool) -> npt.NDArray[np.float64]:
    if balanced:
        return train.balanced_weights()
    return np.ones(len(train)) if train.weights is None else np.asarray(train.weights, dtype=np.float64)


def _cross_fit(
    train: TrainingSet, folds: Sequence[Fold], C: float, balanced: bool, n_labels: int, progress: Progress | None
) -> npt.NDArray[np.float64]:
    proba = np.zeros((len(train), n_labels))
    for done, (fit, test) in enumerate(folds, 1):
        coef, intercept = fit_head(train.take(fit), C, balanced, n_labels)
        proba[test] = softmax(np.asarray(train.embeddings[test], dtype=np.float32) @ coef.T + intercept)
        if progress:
            progress(done, len(folds))
    return proba


def _shift(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
