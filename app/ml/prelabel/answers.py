"""What a language model meant: its words, its JSON or its token probabilities, as one score per label."""

import json
import math
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from app.ml.prelabel.prompt import Prompt

MIN_MASS = 0.01  # below this share of the probability the model was not choosing between the labels at all
_EDGES = " \t\r\n\"'`*_.,;:!()[]{}“”‘’"
_PREFIX = re.compile(r"^\s*(?:the\s+)?(?:answer|label)\s*(?:is\b|[:=-])\s*", re.IGNORECASE)
_LETTER = re.compile(r"^[\s\"'`*(\[]*([A-Za-z])(?:[\s\"'`*]*$|[)\].:;*\"'`]|\s*\n)")


def from_text(prompt: Prompt, text: str) -> NDArray[np.float32] | None:
    """1 for the label that the text names by letter or by name, None if it names none or may mean something else."""
    text = _PREFIX.sub("", text.rpartition("</think>")[2].strip())
    for index, label in enumerate(prompt.labels):
        if text.strip(_EDGES).casefold() == label.strip(_EDGES).casefold():
            return _certain(prompt, index)
    match = _LETTER.match(text)
    return _certain(prompt, _index(prompt.answers, match.group(1))) if match else None


def from_json(prompt: Prompt, text: str) -> NDArray[np.float32] | None:
    """The same for an object {"label": …}; None if it is no such object."""
    try:
        found = json.loads(text.rpartition("</think>")[2])
    except json.JSONDecodeError:
        return None
    label = found.get("label") if isinstance(found, dict) else None
    return from_text(prompt, label) if isinstance(label, str) else None


def from_logprobs(prompt: Prompt, alternatives: Iterable[tuple[str, float]]) -> NDArray[np.float32] | None:
    """Probabilities of the answer letters among (token, log probability) of the first position, summing to 1.

    A letter that the server does not list gets 0. None if the letters have next to no probability.
    """
    mass = np.zeros(len(prompt.answers), dtype=np.float64)
    for token, logprob in alternatives:
        letter = token.strip(" \t\r\nĠ▁Ċ")
        if letter in prompt.answers:
            mass[prompt.answers.index(letter)] += math.exp(min(logprob, 0.0))
    total = mass.sum()
    return (mass / total).astype(np.float32) if total >= MIN_MASS else None


def json_schema(prompt: Prompt) -> dict[str, object]:
    return {
        "type": "object",
        "properties": {"label": {"type": "string", "enum": list(prompt.answers)}},
        "required": ["label"],
        "additionalProperties": False,
    }


def _index(answers: Sequence[str], letter: str) -> int | None:
    for candidate in (letter, letter.upper()):
        if candidate in answers:
            return answers.index(candidate)
    return None


def _certain(prompt: Prompt, index: int | None) -> NDArray[np.float32] | None:
    if index is None:
        return None
    scores = np.zeros(len(prompt.labels), dtype=np.float32)
    scores[index] = 1.0
    return scores
