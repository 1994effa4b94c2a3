"""Training of a LoRA adapter (Hu et al. 2021) by the cross-entropy of the label tokens at the place of the answer."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.ml.causal_lm import answer_logits, read_start, spread
from app.ml.classifiers.base import Floats, Ints
from app.ml.classifiers.lora_config import LoraConfig
from app.ml.encoders import best_precision
from app.ml.label_tokens import TokenisedPrompt

OnStep = Callable[[], None]
_WARMUP = 0.1
_LARGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Lesson:
    """n texts as token ids, the shares of labels to learn (n, labels), and weights (n,) with a mean of 1."""

    items: list[list[int]]
    targets: Floats
    weights: Floats

    def take(self, rows: Ints) -> "Lesson":
        return Lesson([self.items[row] for row in rows], self.targets[rows], self.weights[rows])


def steps_in(n: int, config: LoraConfig) -> int:
    """Optimiser steps over n texts."""
    return config.epochs * -(-n // config.batch_size)


def train_adapter(
    model: Any, prompt: TokenisedPrompt, lesson: Lesson, config: LoraConfig, seed: int, on_step: OnStep
) -> tuple[Any, list[float]]:
    """(the model with its adapter, in evaluation mode; mean loss of each epoch).

    torch's global generators, which the adapter's start and dropout draw from, are seeded for the length of the call
    and then restored. ``on_step`` is called after every step and may raise to stop.
    """
    import torch

    devices = [model.device.index or 0] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        adapted = _with_adapter(model, config)
        adapted.train()
        losses = _train(adapted, prompt, lesson, config, np.random.default_rng(seed), on_step)
    adapted.eval()
    return adapted, losses


def _with_adapter(model: Any, config: LoraConfig) -> Any:
    """Adapters, in fp32, on every linear layer but the output: that needs no list of names for each kind of model."""
    import peft

    shape = peft.LoraConfig(
        r=config.r, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules="all-linear"
    )
    adapted = peft.get_peft_model(model, shape)
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return adapted


def _train(
    adapted: Any,
    prompt: TokenisedPrompt,
    lesson: Lesson,
    config: LoraConfig,
    rng: np.random.Generator,
    on_step: OnStep,
) -> list[float]:
    import torch

    model, parameters = adapted.get_base_model(), [p for p in adapted.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _rate(steps_in(len(lesson.items), config)))
    means = []
    for _ in range(config.epochs):
        total = 0.0
        for batch in _batches(len(lesson.items), config.batch_size, rng):
            optimiser.zero_grad()
            total += accumulate(model, prompt, lesson.take(batch), config)
            torch.nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
            optimiser.step()
            schedule.step()
            on_step()
        means.append(total / len(lesson.items))
    return means


def accumulate(model: Any, prompt: TokenisedPrompt, batch: Lesson, config: LoraConfig) -> float:
    """Add the gradient of the batch's mean weighted loss, ``micro_batch_size`` texts at a time; returns the sum of the
    weighted losses. Texts of like length are read together, which leaves little padding."""
    order = np.argsort([len(item) for item in batch.items], kind="stable")
    total = 0.0
    for start in range(0, len(order), config.micro_batch_size):
        loss = _loss(model, prompt, batch.take(order[start : start + config.micro_batch_size]), config)
        (loss / len(order)).backward()
        total += float(loss.detach())
    return total


def _loss(model: Any, prompt: TokenisedPrompt, part: Lesson, config: LoraConfig) -> Any:
    """Sum of the weighted cross-entropies."""
    import torch

    rows = [item + prompt.after for item in part.items]
    with torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=best_precision() == "bf16"):
        if config.gradient_checkpointing:  # transformers then keeps no cache, so that every row is read whole
            logits = answer_logits(model, prompt.answers, [prompt.before + row for row in rows])
        else:
            start = spread(read_start(model, prompt), len(rows), model.device)
            logits = answer_logits(model, prompt.answers, rows, start, len(prompt.before))
    targets = torch.from_numpy(part.targets).to(model.device)
    weights = torch.from_numpy(part.weights).to(model.device)
    return (torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none") * weights).sum()


def _batches(n: int, size: int, rng: np.random.Generator) -> Iterator[Ints]:
    order = rng.permutation(n)
    for start in range(0, n, size):
        yield order[start : start + size]


def _rate(steps: int) -> Callable[[int], float]:
    """Rising over a tenth of the steps, then falling to 0."""
    rising = max(1, int(steps * _WARMUP))

    def rate(step: int) -> float:
        return (step + 1) / rising if step < rising else max(0.0, (steps - step) / max(1, steps - rising))

    return rate
