"""The training loop of a fine-tuned encoder: AdamW on backbone and head, bf16 autocast where it is native."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from app.ml.classifiers.base import Floats, Ints, TrainingSet
from app.ml.classifiers.linear import softmax
from app.ml.encoders import Backbone, Encoder, best_precision

OnBatch = Callable[[], None]
OnEpoch = Callable[[int], None]
_WARMUP = 0.1
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Recipe:
    """``epochs`` sets the learning rate's decay, whether or not training stops before."""

    epochs: int = 4
    batch_size: int = 16
    learning_rate: float = 5e-5
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01

    def batches(self, n: int) -> int:
        """Optimiser steps in one epoch of n items."""
        return -(-n // self.batch_size)


class Tuner:
    """A backbone in training with its softmax head: logits = unit vector · coefᵀ + intercept."""

    def __init__(self, backbone: Backbone, coef: Floats, intercept: Floats, recipe: Recipe) -> None:
        import torch

        device = backbone.model.device
        self.backbone = backbone
        self.recipe = recipe
        self.coef = torch.nn.Parameter(torch.from_numpy(coef).to(device))
        self.intercept = torch.nn.Parameter(torch.from_numpy(intercept).to(device))

    def head(self) -> tuple[Floats, Floats]:
        return self.coef.detach().cpu().numpy().copy(), self.intercept.detach().cpu().numpy().copy()

    def train(self, train: TrainingSet, stop_after: int, seed: int, on_batch: OnBatch, on_epoch: OnEpoch) -> None:
        """Train ``stop_after`` epochs; ``on_epoch(k)`` is called with k = 0 before the first, then after each.

        torch's global generator, which dropout draws from, is seeded for the length of the call and then restored.
        """
        import torch

        rows = self.backbone.tokenise(train.texts)
        weights = torch.from_numpy(train.balanced_weights().astype(np.float32)).to(self.coef.device)
        labels = torch.from_numpy(np.asarray(train.labels, dtype=np.int64)).to(self.coef.device)
        rng = np.random.default_rng(seed)
        devices = [self.coef.device.index or 0] if self.coef.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            optimiser, schedule = self._optimiser(len(train))
            on_epoch(0)
            for epoch in range(1, stop_after + 1):
                self.backbone.model.train()
                for chosen in _batches([len(row) for row in rows], self.recipe.batch_size, rng):
                    places = torch.from_numpy(chosen).to(self.coef.device)
                    loss = self._loss([rows[place] for place in chosen], labels[places], weights[places])
                    self._step(loss, optimiser, schedule)
                    on_batch()
                self.backbone.model.eval()
                on_epoch(epoch)

    def proba(self, texts: list[str]) -> npt.NDArray[np.float64]:
        """Probabilities as they stand, shape (n, labels)."""
        with _autocast(self.coef.device.type):
            vectors = Encoder(self.backbone, "in-training").encode(texts)
        coef, intercept = self.head()
        return softmax((vectors @ coef.T + intercept).astype(np.float64))

    def _loss(self, rows: list[list[int]], labels: Any, weights: Any) -> Any:
        import torch

        with _autocast(self.coef.device.type):
            vectors = self.backbone.vectors(rows)
        logits = vectors.float() @ self.coef.T + self.intercept
        return (torch.nn.functional.cross_entropy(logits, labels, reduction="none") * weights).mean()

    def _step(self, loss: Any, optimiser: Any, schedule: Any) -> None:
        import torch

        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.backbone.model.parameters(), _LARGEST_GRADIENT)
        optimiser.step()
        schedule.step()

    def _optimiser(self, n: int) -> tuple[Any, Any]:
        """Only matrices decay, the head not. The rate rises over a tenth of the steps, then falls to 0."""
        import torch

        recipe, parameters = self.recipe, [p for p in self.backbone.model.parameters() if p.requires_grad]
        matrices, vectors = [p for p in parameters if p.ndim > 1], [p for p in parameters if p.ndim <= 1]
        optimiser = torch.optim.AdamW([
            {"params": matrices, "lr": recipe.learning_rate, "weight_decay": recipe.weight_decay},
            {"params": vectors, "lr": recipe.learning_rate, "weight_decay": 0.0},
            {"params": [self.coef, self.intercept], "lr": recipe.head_learning_rate, "weight_decay": 0.0},
        ])  # fmt: skip
        steps = recipe.epochs * recipe.batches(n)
        rising = max(1, int(steps * _WARMUP))

        def rate(step: int) -> float:
            return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))

        return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def _autocast(device: str) -> Any:
    import torch

    return torch.autocast(device, dtype=torch.bfloat16, enabled=best_precision() == "bf16")


def _batches(lengths: list[int], size: int, rng: np.random.Generator) -> Iterator[Ints]:
    """Every item once, in random batches of texts of similar length: little of a batch is padding."""
    order = rng.permutation(len(lengths))
    reach = size * 8
    batches = []
    for start in range(0, len(order), reach):
        near = sorted(order[start : start + reach].tolist(), key=lambda place: lengths[place])
        batches += [np.array(near[first : first + size]) for first in range(0, len(near), size)]
    for place in rng.permutation(len(batches)):
        yield batches[place]
