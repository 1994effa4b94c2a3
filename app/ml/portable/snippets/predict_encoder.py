# /// script
# requires-python = ">=3.11"
# dependencies = ["torch", "transformers>=5.0"]
# ///
"""Labels for texts: ``python predict.py "a text" "another"``, or texts on standard input, one a line.

In a program of yours: ``from predict import predict; predict(["a text"])``. A text longer than the model reads is cut.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

FOLDER = Path(__file__).resolve().parent
BATCH = 32


def load() -> tuple[Any, Any]:
    """The model runs modeling_linecall.py of this folder: read it first if the folder came from a stranger."""
    options = {"trust_remote_code": True, "local_files_only": True}
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER, dtype=torch.float32, **options)
    return model.eval(), AutoTokenizer.from_pretrained(FOLDER, padding_side="right", **options)


def predict(texts: Sequence[str]) -> list[dict[str, Any]]:
    """For each text its label, and a score for every label."""
    model, tokenizer = load()
    config, found = model.config, []
    for start in range(0, len(texts), BATCH):
        some = [text.lower() if config.lower_case else text for text in texts[start : start + BATCH]]
        rows = tokenizer(some, truncation=True, max_length=config.max_tokens, padding=True, return_tensors="pt")
        with torch.inference_mode():
            proba = model(rows["input_ids"], rows["attention_mask"]).logits.softmax(1)
        found += [answer(row, config) for row in proba.tolist()]
    return found


def answer(scores: list[float], config: Any) -> dict[str, Any]:
    """Of two labels the second is given from the threshold on; of more, the most probable."""
    best = max(range(len(scores)), key=scores.__getitem__)
    if config.threshold is not None:
        best = int(scores[1] >= config.threshold)
    return {"label": config.id2label[best], "scores": {config.id2label[k]: score for k, score in enumerate(scores)}}


if __name__ == "__main__":
    given = sys.argv[1:] or [line.rstrip("\n") for line in sys.stdin]
    for text, said in zip(given, predict(given), strict=True):
        print(json.dumps({"text": text, **said}, ensure_ascii=False))
