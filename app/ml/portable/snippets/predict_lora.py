# /// script
# requires-python = ">=3.11"
# dependencies = ["peft", "torch", "transformers>=5.0"]
# ///
"""Labels for texts: ``python predict.py "a text" "another"``, or texts on standard input, one a line.

In a program of yours: ``from predict import predict; predict(["a text"])``. A text longer than the model reads is cut.
The language model that the adapter belongs to is the folder ``base`` beside this file where there is one; else
``linecall.json`` names it, and ``LINECALL_BASE=folder`` takes it from there.
"""

import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = Path(__file__).resolve().parent
ABOUT = json.loads((FOLDER / "linecall.json").read_text("utf-8"))
PROMPT = ABOUT["tokens"]  # the guideline and the question around a text, as token ids, and one token for each label
# What a text must not be able to forge: the marks around it, and what chat formats end a turn with.
CONTROL = re.compile(
    r"<(?=\s*/?\s*item\b|\||/?(?:s|bos|eos|start_of_turn|end_of_turn|system|user|assistant)>)|\[(?=/?INST\])|<(?=<SYS>)",
    re.IGNORECASE,
)


def where() -> tuple[str, dict[str, Any]]:
    """What ``from_pretrained`` takes: a folder, or a name on the hub with its revision."""
    local = os.environ.get("LINECALL_BASE") or (str(FOLDER / "base") if (FOLDER / "base").is_dir() else "")
    kind, _, name = ABOUT["base"].partition(":")
    if local or kind == "path":
        return local or name, {"local_files_only": True}
    if kind != "hf":
        raise SystemExit(f"The language model is {ABOUT['base']}: give its folder as LINECALL_BASE.")
    name, _, revision = name.partition("@")
    return name, {"revision": revision or None}


def load() -> tuple[Any, Any]:
    name, options = where()
    base = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, **options)
    model = PeftModel.from_pretrained(base, str(FOLDER)).merge_and_unload()
    return model.eval(), AutoTokenizer.from_pretrained(name, **options)


def predict(texts: Sequence[str]) -> list[dict[str, Any]]:
    """For each text its label, and a score for every label."""
    model, tokenizer = load()
    return [answer(scores(model, tokenizer, text)) for text in texts]


def scores(model: Any, tokenizer: Any, text: str) -> list[float]:
    text = CONTROL.sub(lambda match: "‹" if match.group() == "<" else "⁅", text).strip()
    item = tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"][: ABOUT["max_tokens"]]
    ids = torch.tensor([[*PROMPT["before"], *item, *PROMPT["after"]]])
    with torch.inference_mode():
        logits = model(input_ids=ids, logits_to_keep=1).logits[0, -1, PROMPT["answers"]].float()
    logits = logits * ABOUT["calibration"]["slope"]
    logits[1] += ABOUT["calibration"]["shift"]
    return list(map(float, logits.softmax(0)))


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
