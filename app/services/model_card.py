"""The model card: what a model is, where it comes from and how good it is, for whoever gets its files alone."""

import json
import re
from collections.abc import Sequence

from app import __version__
from app.db.tables import Project
from app.services.alignment import CONTROL, EVALUATION, AlignmentReport, Figure, Internal, Point
from app.services.models import Registered

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")
_ENGINES = {
    "linear": "It is a logistic regression on the vectors of a fixed encoder.",
    "encoder": "It is an encoder fine-tuned by pairs of texts, with a logistic regression on its vectors (as SetFit).",
    "lora": "It is a language model with a LoRA adapter, which answers with one token for each label.",
}
_SLICES = ((EVALUATION, "evaluation set"), (CONTROL, "control slice"))
_CHOSEN = {"pool": "for the pool, by the scores of its texts, calibrated on fine-tuning texts", "default": "by default"}
_LIMITS = (
    "The figures say how often the model agrees with this project's experts, beyond chance, by one guideline. They "
    "say nothing of texts of another kind, language or time.",
    "The evaluation set holds many texts that were chosen because they are hard. The control slice was drawn at "
    "random and is weighted back to the pool: it is what to expect of texts like the pool's.",
    "An interval leaves out what more or other experts would change.",
)


def model_card(project: Project, model: Registered, report: AlignmentReport, *, whole: bool = False) -> str:
    """Markdown with the front matter that model hubs read. ``whole``: the encoder's or language model's files are in
    the folder too. Names of projects and labels stay text, whatever marks they hold."""
    of_two = ", and the second is the positive one" if len(project.labels) == 2 else ""
    labels = "\n".join(f"{index}. {plain(label)}" for index, label in enumerate(project.labels))
    parts = [
        _front_matter(model),
        f"# {plain(project.name)}: model version {model.version}",
        f"Trained by Linecall {__version__} on experts' answers. {_ENGINES.get(model.engine, '')}",
        f"## Labels\n\nIn the order of the model's outputs{of_two}:\n\n{labels}\n\n{_decision(project.labels, model)}",
        f"## How to use it\n\n{_use(model, whole)}",
        f"## How well it agrees with the experts\n\n{_figures(model, report)}",
        f"## Where it comes from\n\n{_lineage(project, model)}",
        "## Limits\n\n" + "\n".join(f"- {limit}" for limit in [*_LIMITS, *_own_limits(model)]),
    ]
    return "\n\n".join(parts) + "\n"


def plain(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))


def _code(text: object) -> str:
    return f"`{' '.join(str(text).split()).replace('`', chr(39))}`"


def _front_matter(model: Registered) -> str:
    kind, _, name = (model.encoder or "").partition(":")
    about = {"pipeline_tag": "text-classification", "tags": ["linecall", "text-classification"]}
    about |= {"library_name": "peft" if model.engine == "lora" else "transformers"}
    if kind == "hf":
        about |= {"base_model": name.partition("@")[0]}
    lines = "\n".join(f"{key}: {json.dumps(value)}" for key, value in about.items())  # JSON is YAML
    return f"---\n{lines}\n---"


def _decision(labels: Sequence[str], model: Registered) -> str:
    if model.threshold is None:
        return "The label of a text is the one with the highest score."
    positive = plain(labels[1])
    how = _CHOSEN.get(str(model.metrics.get("threshold_source")), "on fine-tuning texts")
    return (
        f"A text is “{positive}” from a score of **{model.threshold:.4f}** on, not from .5: this threshold was chosen "
        f"{how}. `predict.py` keeps to it; a `pipeline` of transformers does not, and takes the label with the highest "
        "score."
    )


def _use(model: Registered, whole: bool) -> str:
    text = (
        '```sh\npython predict.py "a text" "another text"\n```\n\nThe first lines of `predict.py` name the packages '
        "that it needs; `uv run predict.py` installs them. In a program: `from predict import predict`."
    )
    if model.metrics.get("constant_label") is not None:
        return text
    if model.engine == "lora":
        base = "in the folder `base`" if whole else f"{_code(model.encoder)}, which is not in this folder"
        return f"{text}\n\nThis folder is an adapter as PEFT reads it. The language model is {base}."
    if model.engine == "linear" and not whole:
        return (
            f"{text}\n\nThis folder holds the head only (`head.safetensors`: `coef` and `intercept`). Its encoder is "
            f"{_code(model.encoder)}, revision {_code(model.encoder_revision)}."
        )
    return (
        f"{text}\n\n```python\nfrom transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
        "model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)\n"
        "tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)\n```\n\n`trust_remote_code` runs "
        "`modeling_linecall.py` of this folder, which holds the head: transformers' own heads pool in other ways."
    )


def _figures(model: Registered, report: AlignmentReport) -> str:
    points = {EVALUATION: model.evaluation, CONTROL: model.control}
    if model.evaluation is None:
        return "No finished round has scored this version."
    rows = [_row(words, points[slice_], report.ceiling(slice_)) for slice_, words in _SLICES]
    header = "| texts | model–human kappa (95 % interval) | same label | the experts' own kappa |\n|---|---|---|---|"
    said = (
        f"As computed after round {report.round_number}. Kappa is Cohen's: 1 is full agreement, 0 what chance would "
        "give. The experts' own is the mean over pairs of experts, and the most that a model can be expected to reach."
    )
    return "\n".join([header, *rows]) + f"\n\n{said}"


def _row(words: str, point: Point | None, ceiling: Internal | None) -> str:
    kappa = _figure(point.kappa) if point else "not scored"
    same = _figure(point.agreement) if point and point.agreement else "–"
    return f"| {words} | {kappa} | {same} | {_figure(ceiling.kappa) if ceiling else '–'} |"


def _figure(figure: Figure) -> str:
    if figure.value is None:
        return f"undefined: {plain(figure.undefined or '')} (n = {figure.n})"
    interval = "no interval" if figure.low is None or figure.high is None else f"{figure.low:.2f} to {figure.high:.2f}"
    return f"{figure.value:.2f} ({interval}; n = {figure.n})"


def _lineage(project: Project, model: Registered) -> str:
    facts = {
        "Project": f"{plain(project.name)} (`{project.slug}`)",
        "Round": model.round_number,
        "Guideline": f"version {model.guideline_version}" if model.guideline_version else None,
        "Fine-tuning texts": f"{model.training_size}, and {model.example_items} examples of the guideline",
        "Labels mined with": f"model version {model.base_version}" if model.base_version is not None else None,
        "Pool": f"{model.pool_size} items when it was trained" if model.pool_size is not None else None,
        "Engine": f"`{model.engine}`, settings {_code(json.dumps(_shown(model.settings)))}",
        "Builds on": _code(model.encoder) if model.encoder else None,
        "Revision": _code(model.encoder_revision) if model.encoder_revision else None,
        "Seed": model.seed,
        "Made": f"{model.created_at:%Y-%m-%d %H:%M} UTC",
    }
    return "\n".join(f"- {name}: {value}" for name, value in facts.items() if value is not None)


def _shown(settings: dict[str, object]) -> dict[str, object]:
    """Without the guideline, which a language model's prompt has word for word in ``linecall.json`` already."""
    return {name: value for name, value in settings.items() if name not in ("guideline", "labels")}


def _own_limits(model: Registered) -> list[str]:
    found = []
    if note := model.metrics.get("note"):
        found.append(plain(str(note)))
    if model.encoder_facts and model.engine == "linear":
        found.append(f"A text is read up to {model.encoder_facts.max_tokens} tokens; what follows is ignored.")
    if model.engine == "lora":
        found.append(
            "`linecall.json` holds the guideline word for word: share this folder with whom you would show it."
        )
    precision = "Linecall itself may have computed in bfloat16, so that scores differ from `predict.py`'s by about .01."
    return [*found, precision]
