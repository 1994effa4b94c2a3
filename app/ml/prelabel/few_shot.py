"""Few-shot by embedding: a text gets the label whose example texts lie nearest.

score(label | x) ∝ prior(label) · exp(scale · cos(x, mean of the label's examples)): with examples of equal weight this
is the prototypical network of Snell et al. (2017) on a fixed encoder, with a prior.

The prior is what keeps the share of positive labels plausible, because few examples can't: on pools with 5 % positive
(headlines, abuse of chat bots), equal priors call half of the pool positive, and a prior of a tenth at the default
scale 4 to 17 %, at up to three times the kappa. It depends on no other text, so an answer can be cached.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidInput
from app.ml.prelabel.base import Embeddings, OnScore, Progress, Runtime, Score
from app.ml.prelabel.configs import FewShotConfig

_CHUNK = 1024
_POSITIVE_PRIOR = 0.1


class FewShotPrelabeller:
    def __init__(
        self,
        config: FewShotConfig,
        labels: Sequence[str],
        examples: Mapping[str, Sequence[str]],
        runtime: Runtime,
    ) -> None:
        self._config = config
        self._examples = [_examples_of(label, examples) for label in labels]
        self._log_prior = np.log(resolve_prior(config.prior, labels)).astype(np.float32)
        self._runtime = runtime
        self._means: NDArray[np.float32] | None = None
        self._encoder: Any = None

    @property
    def identity(self) -> Mapping[str, Any]:
        digest = hashlib.sha256(json.dumps(self._examples).encode()).hexdigest()
        prior = [round(float(value), 6) for value in self._log_prior]
        return {
            "provider": "few_shot",
            "version": 1,
            "model": self._config.encoder,
            "scale": self._config.scale,
            "log_prior": prior,
            "examples": digest,
        }

    def score(
        self,
        texts: Sequence[str],
        *,
        embeddings: Embeddings | None = None,
        progress: Progress | None = None,
        on_score: OnScore | None = None,
    ) -> list[Score]:
        if embeddings is not None and len(embeddings) != len(texts):
            raise ValueError(f"{len(embeddings)} embeddings for {len(texts)} texts")
        scores: list[Score] = []
        for start in range(0, len(texts), _CHUNK):
            chunk = texts[start : start + _CHUNK]
            rows = self._encode(chunk) if embeddings is None else embeddings[start : start + _CHUNK]
            for row in self._probabilities(np.asarray(rows, dtype=np.float32)):
                scores.append(Score(row))
                if on_score is not None:
                    on_score(len(scores) - 1, scores[-1])
            if progress is not None:
                progress(len(scores), len(texts))
        return scores

    def _probabilities(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        logits = self._config.scale * (rows @ self._label_means().T) + self._log_prior
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)

    def _label_means(self) -> NDArray[np.float32]:
        """Unit rows, one per label."""
        if self._means is None:
            flat = [text for texts in self._examples for text in texts]
            encoded = self._encode(flat)
            ends = np.cumsum([len(texts) for texts in self._examples])[:-1]
            means = np.stack([part.mean(axis=0) for part in np.split(encoded, ends)])
            self._means = means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
        return self._means

    def _encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self._encoder is None:
            from app.ml.encoders import load_encoder

            self._encoder = load_encoder(self._config.encoder, self._runtime.cache_dir, self._runtime.threads)
        return np.asarray(self._encoder.encode(texts), dtype=np.float32)


def _examples_of(label: str, examples: Mapping[str, Sequence[str]]) -> list[str]:
    found = [text for text in examples.get(label, ()) if text.strip()]
    if not found:
        raise InvalidInput(
            f"Pre-labelling by examples needs at least one example of the label “{label}” in the guideline.",
            field="examples",
            label=label,
        )
    return found


def resolve_prior(prior: Mapping[str, float], labels: Sequence[str]) -> NDArray[np.float64]:
    """Expected share per label, summing to 1: what is named is taken, the rest is divided evenly.

    With nothing named, the positive one of two labels has a tenth, since positives are rare where curation pays, and
    three labels or more have the same share each. InvalidInput for an unknown label or shares that can't be.
    """
    for name, share in prior.items():
        if name not in labels:
            raise InvalidInput(f"Pre-labelling: prior: there is no label “{name}”.", field="prior")
        if not 0 < share < 1:
            raise InvalidInput("Pre-labelling: prior: a share lies between 0 and 1.", field="prior")
    if not prior and len(labels) == 2:
        return np.array([1 - _POSITIVE_PRIOR, _POSITIVE_PRIOR])
    named = sum(prior.values())
    others = len(labels) - len(prior)
    if (others and named >= 1) or (not others and not math.isclose(named, 1, abs_tol=1e-6)):
        raise InvalidInput("Pre-labelling: prior: the shares of all labels must sum to 1.", field="prior")
    rest = (1 - named) / others if others else 0.0
    return np.array([prior.get(label, rest) for label in labels])
