"""A model that was trained in another project as a pre-labeller: no example and no language model is asked."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.ml.classifiers.base import Fitted
from app.ml.prelabel.base import Embeddings, OnScore, Progress, Score

_CHUNK = 256
_CLEAR = 1e-6


class Labeller(Protocol):
    """``fitted``, and how to get from texts to what it takes."""

    @property
    def fitted(self) -> Fitted: ...

    def proba(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class TrainedPrelabeller:
    """``order[i]`` is the model's index of the project's label i; ``load`` is called at the first score.

    A pre-labeller's label is that of the highest score. So that a model of two labels keeps its threshold, its log
    odds are moved by those of the threshold: .5 is then the line that the model draws, and the scores on either side
    of it keep their order.

    ``encoder`` is the reference of the encoder whose vectors the model takes; None for one that reads texts.
    """

    def __init__(
        self, artifact_key: str, order: Sequence[int], load: Callable[[], Labeller], encoder: str | None
    ) -> None:
        self.encoder = encoder
        self._artifact_key, self._order, self._load = artifact_key, list(order), load
        self._labeller: Labeller | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        return {"provider": "model", "version": 1, "artifact": self._artifact_key, "order": self._order}

    def score(
        self,
        texts: Sequence[str],
        *,
        embeddings: Embeddings | None = None,
        progress: Progress | None = None,
        on_score: OnScore | None = None,
    ) -> list[Score]:
        self._labeller = self._labeller or self._load()
        fitted, scores = self._labeller.fitted, list[Score]()
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            if embeddings is None:
                proba = self._labeller.proba(chunk)
            else:
                rows = np.asarray(embeddings[start : start + _CHUNK], dtype=np.float32)
                proba = fitted.predict_proba(chunk, rows)
            for row in centred(proba, fitted.threshold)[:, self._order]:
                scores.append(Score(row))
                if on_score is not None:
                    on_score(len(scores) - 1, scores[-1])
            if progress is not None:
                progress(len(scores), len(texts))
        return scores


def centred(proba: NDArray[np.float32], threshold: float | None) -> NDArray[np.float32]:
    """Probabilities (n, 2) whose second is at least .5 exactly where it was at least ``threshold``; those of other
    models as they are."""
    if threshold is None or proba.shape[1] != 2:
        return proba
    positive, kept = proba[:, 1].astype(np.float64), float(np.clip(threshold, 1e-7, 1 - 1e-7))
    weighed = positive * (1 - kept)
    moved = weighed / np.maximum(weighed + (1 - positive) * kept, 1e-300)
    # Clear of .5 by a little: rounding may leave a score on the wrong side of it, and of equals the first label wins.
    moved = np.where(positive >= threshold, np.maximum(moved, 0.5 + _CLEAR), np.minimum(moved, 0.5 - _CLEAR))
    moved = moved.astype(np.float32)
    return np.column_stack([1 - moved, moved]).astype(np.float32)
