"""Logistic regression on embeddings: trained in milliseconds, and what a fine-tuned encoder has to beat."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.classifiers.base import ConstantFitted, Fitted, Floats, Progress, Runtime, TrainingSet, check_fit
from app.ml.classifiers.crossfit import Fold, choose_threshold, grouped_folds, log_loss, may_tune

# Embeddings are unit vectors, so that useful inverse penalties are larger than scikit-learn's default of 1.
GRID = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
DEFAULT_C = 10.0
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
    """Settings: ``C`` (a number; left out: chosen) and ``class_weight`` ("balanced", the default, or "none").

    Labels are balanced because a first round may hold five positives in sixty items. With ten items or more of every
    label, C is the one of GRID with the least cross-fitted log loss over five grouped folds, and the threshold
    maximises kappa on the same cross-fitted probabilities; with fewer, C is 10 and the threshold .5.
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
        grid, balanced = _settings(config)
        if len(np.unique(train.labels)) == 1:
            return ConstantFitted.of(train, n_labels)
        folds = grouped_folds(train, FOLDS, seed) if may_tune(train) else []
        total = len(folds) * len(grid) + 1
        proba = {C: _cross_fit(train, folds, C, balanced, n_labels, _shift(progress, i * len(folds), total))
                 for i, C in enumerate(grid) if folds}  # fmt: skip
        losses = {C: log_loss(p, train.labels, _weights(train, balanced)) for C, p in proba.items()}
        C = min(losses, key=lambda c: losses[c]) if losses else (grid[0] if len(grid) == 1 else DEFAULT_C)
        coef, intercept = fit_head(train, C, balanced, n_labels)
        if progress:
            progress(total, total)
        metrics: dict[str, Any] = {"training_items": len(train), "C": C, "folds": len(folds)}
        metrics |= {"cross_fitted_log_loss": losses[C]} if losses else {}
        threshold, chosen = tuned_threshold(train, proba.get(C), n_labels)
        return LinearFitted(coef, intercept, threshold, metrics | chosen)


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

    X = np.asarray(train.embeddings, dtype=np.float64)
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


def _settings(config: Mapping[str, Any]) -> tuple[Sequence[float], bool]:
    C = config.get("C")
    if C is not None and not (isinstance(C, int | float) and C > 0):
        raise InvalidInput("C must be a positive number.", field="C")
    class_weight = config.get("class_weight", "balanced")
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
