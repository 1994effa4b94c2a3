"""What pre-labelling a pool will take, before a cent or a second is spent on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.ml.prelabel.configs import FewShotConfig, LocalLlmConfig, ModelConfig, parse_config
from app.ml.prelabel.prompt import build_prompt

_CHARS_PER_TOKEN = 4.0  # the rule of thumb for English text and byte-pair encodings; a dry run gives the real figure
_ANSWER_TOKENS = {"logprobs": 1, "auto": 1, "structured": 8, "text": 2}


@dataclass(frozen=True)
class Estimate:
    """``cost`` is in the currency of the prices, None where prices are unset or nothing is paid for."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None


def estimate(
    config: Mapping[str, Any],
    n_items: int,
    sample_texts: Sequence[str],
    *,
    labels: Sequence[str],
    guideline_text: str = "",
    examples: Mapping[str, Sequence[str]] | None = None,
) -> Estimate:
    """Calls and tokens for ``n_items`` texts like the sample's. A few-shot pre-labeller and a trained model make no
    calls, and a local model reads the guideline once instead of with every text."""
    parsed = parse_config(config)
    mean_chars = sum(map(len, sample_texts)) / len(sample_texts) if sample_texts else 0.0
    if isinstance(parsed, FewShotConfig | ModelConfig):
        return Estimate(0, round(n_items * mean_chars / _CHARS_PER_TOKEN), 0, None)
    prompt = build_prompt(guideline_text, labels, examples or {}, max_examples=parsed.max_examples)
    shared = (len(prompt.system) + len(prompt.before)) / _CHARS_PER_TOKEN
    own = (mean_chars + len(prompt.after)) / _CHARS_PER_TOKEN
    if isinstance(parsed, LocalLlmConfig):
        return Estimate(0, round(shared + n_items * own), 0, None)
    input_tokens = round(n_items * (shared + own))
    output_tokens = n_items * (parsed.max_answer_tokens or _ANSWER_TOKENS[parsed.mode])
    priced = parsed.input_price is not None and parsed.output_price is not None
    return Estimate(n_items, input_tokens, output_tokens, parsed.price(input_tokens, output_tokens) if priced else None)
