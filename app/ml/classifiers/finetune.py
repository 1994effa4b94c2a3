"""The training loop of a fine-tuned encoder: pairs of one label are drawn together and others apart.

The loss is SetFit's (Tunstall et al. 2022, the squared error of the cosine of a pair of texts against 1 for one label
and 0 for two), but over all pairs within a batch: a batch of b texts costs b passes through the encoder and holds
b(b − 1)/2 pairs, where texts encoded pair by pair would cost b(b − 1). AdamW, bf16 autocast where it is native.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
import numpy.typing as npt

from app.ml.classifiers.base import Ints, TrainingSet
from app.ml.encoders import Backbone, best_precision

OnBatch = Callable[[], None]
_WARMUP = 0.1
_LARGEST_GRADIENT = 1.0
_TOGETHER = 8


@dataclass(frozen=True)
class Recipe:
    """``epochs`` passes over the training items in batches, but at least ``least_batches``, since few items do not mean
    few steps (Mosbach et al. 2021), and at most ``most_batches``, since pairs do not need every text of a large set.
    Texts are cut at ``max_tokens`` in training."""

    epochs: int = 8
    batch_size: int = 16
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    max_tokens: int = 128
    least_batches: int = 80
    most_batches: int = 2000

    def batches(self, n: int) -> int:
        """Optimiser steps for n items."""
        return min(max(self.epochs * -(-n // self.batch_size), self.least_batches), self.most_batches)

    def for_part(self, share: float) -> "Recipe":
        """For a fold with this share of the items: the limits shrink with it, so that an item of the fold is seen as
        often as in the whole and held-out scores are those of a model trained as long."""
        least, most = ceil(self.least_batches * share), ceil(self.most_batches * share)
        return replace(self, least_batches=least, most_batches=most)


def tune(backbone: Backbone, train: TrainingSet, recipe: Recipe, seed: int, on_batch: OnBatch) -> None:
    """Train ``backbone`` in place; its table of word vectors stays as it is, since few labels touch few words.

    torch's global generator, which dropout draws from, is seeded for the length of the call and then restored.
    """
    import torch

    rows = [row[: recipe.max_tokens] for row in backbone.tokenise(train.texts)]
    shares = torch.from_numpy(label_shares(train).astype(np.float32)).to(backbone.model.device)
    rng = np.random.default_rng(seed)
    backbone.model.get_input_embeddings().requires_grad_(False)
    device = backbone.model.device
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        optimiser, schedule = _optimiser(backbone, recipe, recipe.batches(len(train)))
        backbone.model.train()
        for chosen in _batches(np.asarray(train.labels), recipe, rng):
            with autocast(device.type):
                vectors = _vectors(backbone, [rows[place] for place in chosen])
            loss = pair_loss(vectors.float(), shares[torch.from_numpy(chosen).to(device)])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(backbone.model.parameters(), _LARGEST_GRADIENT)
            optimiser.step()
            schedule.step()
            on_batch()
        backbone.model.eval()


def _vectors(backbone: Backbone, rows: Sequence[Sequence[int]]) -> Any:
    """Unit vectors (rows, dim) with gradients. A processor takes a few texts of like length at a time, so that it does
    not spend its time on padding; an accelerator takes the batch whole."""
    import torch

    if backbone.model.device.type != "cpu":
        return backbone.vectors(rows)
    order = np.argsort([len(row) for row in rows], kind="stable")
    parts = [order[first : first + _TOGETHER] for first in range(0, len(order), _TOGETHER)]
    vectors = torch.cat([backbone.vectors([rows[place] for place in part]) for part in parts])
    return vectors[torch.from_numpy(np.argsort(order))]


def label_shares(train: TrainingSet) -> npt.NDArray[np.float64]:
    """(n, labels): how the experts were divided, or all of it the item's label where that is not known."""
    if train.soft is not None:
        return np.asarray(train.soft, dtype=np.float64)
    return np.asarray(np.eye(int(np.max(train.labels)) + 1)[train.labels])


def pair_loss(vectors: Any, shares: Any) -> Any:
    """Mean squared error of the cosines of all pairs of unit ``vectors`` (b, dim) against 1 and against 0.

    A pair counts as one of the same label by its chance t = Σ_c shares_ic · shares_jc that an expert of one text and
    an expert of the other give the same label, and as a different one by 1 − t. Both kinds weigh the same.
    """
    import torch

    cosines, same = vectors @ vectors.T, shares @ shares.T
    apart = 1 - torch.eye(len(vectors), device=vectors.device)
    alike, unlike = same * apart, (1 - same) * apart
    near = (alike * (1 - cosines) ** 2).sum() / alike.sum().clamp(min=1e-6)
    far = (unlike * cosines**2).sum() / unlike.sum().clamp(min=1e-6)
    return (near + far) / 2


def _optimiser(backbone: Backbone, recipe: Recipe, steps: int) -> tuple[Any, Any]:
    """Only matrices decay. The rate rises over a tenth of the steps, then falls to 0."""
    import torch

    parameters = [p for p in backbone.model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW([
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ], lr=recipe.learning_rate, fused=True)  # fmt: skip
    rising = max(1, int(steps * _WARMUP))

    def rate(step: int) -> float:
        return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, rate)


def autocast(device: str) -> Any:
    """bf16 within this context where the machine multiplies bf16 itself."""
    import torch

    return torch.autocast(device, dtype=torch.bfloat16, enabled=best_precision() == "bf16")


def _batches(labels: npt.NDArray[Any], recipe: Recipe, rng: np.random.Generator) -> Iterator[Ints]:
    """Batches with a part for each label, as far as there are items of it, and one part drawn from all that is left:
    in a random batch of a rare label there would be no pair of it."""
    present = np.unique(labels)
    part = max(2, recipe.batch_size // (len(present) + 1))
    for _ in range(recipe.batches(len(labels))):
        drawn = [rng.permutation(np.flatnonzero(labels == label))[:part] for label in present]
        chosen = np.concatenate(drawn)
        rest = np.setdiff1d(np.arange(len(labels)), chosen)
        more = rng.permutation(rest)[: max(0, recipe.batch_size - len(chosen))]
        yield np.concatenate([chosen, more]).astype(np.int64)
