"""What every fine-tuning engine takes and gives back."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput
from app.ml.artifacts import ArtifactStore

Progress = Callable[[int, int], None]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
# With fewer of either label a cross-fitted threshold is noise: see choose_threshold's test.
FEWEST_TO_TUNE = 10
POOL_SAMPLE = 5000
"""Enough for the expected kappa of a threshold: 250 items above it at 5 % positive."""


class Runtime(Protocol):
    """What the machine, rather than the project, decides."""

    @property
    def cache_dir(self) -> Path: ...
    @property
    def threads(self) -> int: ...


@dataclass(frozen=True)
class PoolSample:
    """Unlabelled items drawn at random from what the model will label: m texts and their embeddings (m, dim)."""

    texts: Sequence[str]
    embeddings: npt.NDArray[np.floating[Any]]

    def __post_init__(self) -> None:
        if not len(self.texts) or len(self.texts) != len(self.embeddings):
            raise InvalidInput("A sample of the pool needs an embedding for each text, and at least one text.")


def draw_pool_rows(n: int, seed: int) -> Ints:
    """Which of n pool items an engine gets to see: at most ``POOL_SAMPLE``, at random, in ascending order."""
    rng = np.random.default_rng([seed, 3])
    return np.sort(rng.choice(n, min(n, POOL_SAMPLE), replace=False)).astype(np.int64)


@dataclass(frozen=True)
class Examples:
    """The guideline's example texts: chosen for their label, so that they teach what a label is, not how frequent."""

    texts: Sequence[str]
    embeddings: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.integer[Any]]

    def __post_init__(self) -> None:
        if not len(self.texts) == len(self.embeddings) == len(self.labels):
            raise InvalidInput("The examples' texts, embeddings and labels differ in length.")


@dataclass(frozen=True)
class TrainingSet:
    """n labelled items, and what is known beside them.

    ``embeddings`` (n, dim), ``labels`` (n,) as indices ≥ 0; items of one group (a pair, near duplicates) never fall
    on both sides of a cross-fit; ``weights`` (n,) > 0, None meaning 1; ``soft`` (n, labels) is the share of experts
    who gave each label, None where it is not known. Labels of mined items are not as frequent as the pool's, so that
    a threshold is chosen on ``pool``; ``examples`` are trained on too.
    """

    texts: Sequence[str]
    embeddings: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.integer[Any]]
    groups: npt.NDArray[np.integer[Any]]
    weights: npt.NDArray[np.floating[Any]] | None = None
    soft: npt.NDArray[np.floating[Any]] | None = None
    pool: PoolSample | None = None
    examples: Examples | None = None

    def __post_init__(self) -> None:
        n = len(self.labels)
        lengths = [len(self.texts), len(self.embeddings), len(self.groups)]
        lengths += [len(part) for part in (self.weights, self.soft) if part is not None]
        if any(length != n for length in lengths):
            raise InvalidInput("A training set's texts, embeddings, labels, groups and weights differ in length.")
        if n == 0 or int(np.min(self.labels)) < 0:
            raise InvalidInput("A training set needs at least one item, and a label for every item.")
        if self.weights is not None and not (np.isfinite(self.weights).all() and np.min(self.weights) > 0):
            raise InvalidInput("The weights of a training set must be positive numbers.")
        if self.soft is not None and not (np.min(self.soft) >= 0 and np.allclose(np.sum(self.soft, axis=1), 1)):
            raise InvalidInput("The shares of experts must not be negative, and sum to 1 for each item.")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Ints) -> "TrainingSet":
        """Some of the items; pool and examples stay."""

        def part(values: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
            return None if values is None else values[rows]

        return replace(
            self,
            texts=[self.texts[row] for row in rows],
            embeddings=self.embeddings[rows],
            labels=self.labels[rows],
            groups=self.groups[rows],
            weights=part(self.weights),
            soft=part(self.soft),
        )

    def with_examples(self) -> "TrainingSet":
        """The examples as further items at the end, each a group of its own, with no examples left beside them."""
        extra = self.examples
        if extra is None or not len(extra.labels):
            return replace(self, examples=None)
        k = len(extra.labels)
        if int(np.min(extra.labels)) < 0:
            raise InvalidInput("Every example needs a label.")
        weights = None if self.weights is None else np.concatenate([self.weights, np.ones(k)])
        soft = self.soft
        if soft is not None:
            soft = np.concatenate([soft, np.eye(soft.shape[1])[extra.labels]])
        return replace(
            self,
            texts=[*self.texts, *extra.texts],
            embeddings=np.concatenate([self.embeddings, np.asarray(extra.embeddings, dtype=self.embeddings.dtype)]),
            labels=np.concatenate([self.labels, extra.labels]),
            groups=np.concatenate([self.groups, int(np.max(self.groups)) + 1 + np.arange(k)]),
            weights=weights,
            soft=soft,
            examples=None,
        )

    def balanced_weights(self) -> npt.NDArray[np.float64]:
        """The weights scaled so that every label that occurs weighs the same; their mean is 1."""
        weights = np.ones(len(self)) if self.weights is None else np.asarray(self.weights, dtype=np.float64)
        totals = np.bincount(self.labels, weights)
        scaled: npt.NDArray[np.float64] = weights / totals[self.labels] * len(self) / np.count_nonzero(totals)
        return scaled


class Fitted(ABC):
    """A trained model version. ``threshold`` is set for two labels only; ``metrics`` is JSON-serialisable."""

    kind: ClassVar[str]

    def __init__(self, n_labels: int, threshold: float | None, metrics: Mapping[str, Any]) -> None:
        self.n_labels = n_labels
        self.threshold = threshold
        self.metrics = dict(metrics)

    @abstractmethod
    def predict_proba(
        self,
        texts: Sequence[str],
        embeddings: npt.NDArray[np.floating[Any]] | None,
        progress: Progress | None = None,
    ) -> Floats:
        """Probabilities of shape (n, n_labels), float32, rows summing to 1; ``progress`` may raise to stop."""

    @abstractmethod
    def save_parts(self, store: ArtifactStore, key: str) -> None:
        """Everything but ``fitted.json``."""

    def labels(self, proba: Floats) -> Ints:
        """The label of each row: by the threshold for two labels, else the most probable."""
        if self.threshold is not None:
            return (proba[:, 1] >= self.threshold).astype(np.int64)
        return np.asarray(proba.argmax(axis=1), dtype=np.int64)

    def save(self, store: ArtifactStore, key: str) -> None:
        """Under the folder ``key``. ``fitted.json`` comes last: where it is, the model is whole."""
        self.save_parts(store, key)
        about = {"kind": self.kind, "n_labels": self.n_labels, "threshold": self.threshold, "metrics": self.metrics}
        store.put_bytes(f"{key}/fitted.json", json.dumps(about, indent=1).encode())


class Engine(Protocol):
    """A way to train. ``needs_embeddings``: its models predict from embeddings; otherwise from texts alone."""

    name: str
    needs_embeddings: bool

    def fit(
        self,
        train: TrainingSet,
        n_labels: int,
        config: Mapping[str, Any],
        seed: int,
        runtime: Runtime,
        progress: Progress | None = None,
    ) -> Fitted:
        """Train from the start on ``train``; the same seed, data and threads give the same weights.

        Raises InvalidInput for settings that can't be used.
        """


class ConstantFitted(Fitted):
    """What a training set of one label teaches: to answer that label."""

    kind = "constant"

    def __init__(self, n_labels: int, threshold: float | None, metrics: Mapping[str, Any]) -> None:
        super().__init__(n_labels, threshold, metrics)
        self.label = int(self.metrics["constant_label"])

    @classmethod
    def of(cls, train: TrainingSet, n_labels: int) -> "ConstantFitted":
        note = "Every training item has the same label, so this model answers that label to everything."
        metrics = {"constant_label": int(train.labels[0]), "note": note, "training_items": len(train)}
        return cls(n_labels, 0.5 if n_labels == 2 else None, metrics)

    def predict_proba(
        self,
        texts: Sequence[str],
        embeddings: npt.NDArray[np.floating[Any]] | None,
        progress: Progress | None = None,
    ) -> Floats:
        proba = np.zeros((len(texts) if embeddings is None else len(embeddings), self.n_labels), dtype=np.float32)
        proba[:, self.label] = 1
        return proba

    def save_parts(self, store: ArtifactStore, key: str) -> None:
        """``metrics`` says it all."""


def check_fit(train: TrainingSet, n_labels: int, config: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Raises InvalidInput for labels out of range or a setting that the engine does not know."""
    if n_labels < 2 or int(np.max(train.labels)) >= n_labels:
        raise InvalidInput(f"The training labels do not fit a project of {n_labels} labels.", field="labels")
    if unknown := sorted(set(config) - set(allowed)):
        raise InvalidInput(f"The engine has no setting '{unknown[0]}'; it has {', '.join(allowed)}.", field=unknown[0])
