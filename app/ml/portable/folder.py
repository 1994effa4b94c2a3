"""Which files such a folder has, for each kind of model, and where their bytes come from.

A ``linear`` model is its head and the name of its encoder, and is enough for ``predict.py``; with the encoder's files
at hand it becomes, as an ``encoder`` model always is, a folder that transformers loads for sequence classification. A
``lora`` model is an adapter as PEFT reads it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from app.errors import Conflict, InvalidInput
from app.ml.artifacts import ArtifactStore
from app.ml.portable.tensors import Part, blocks, join

_SNIPPETS = Path(__file__).parent / "snippets"
_MODELING = "modeling_linecall"
# A tokenizer's files: none of them is code.
_OF_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "sentencepiece.bpe.model",
    "spiece.model",
)
_OF_LANGUAGE_MODEL = ("config.json", "generation_config.json", "chat_template.jinja", *_OF_TOKENIZER)
# What a configuration says of where it was read from, which does not belong to the model.
_NOT_OF_THE_MODEL = ("architectures", "_name_or_path", "dtype", "torch_dtype", "transformers_version", "auto_map")


@dataclass(frozen=True)
class EncoderFacts:
    """``reference`` as a project names it; ``revision`` the hub's commit, or a digest of the files."""

    reference: str
    revision: str
    pooling: str
    max_tokens: int
    lower_case: bool


class PortableFile(NamedTuple):
    path: str
    blocks: Callable[[], Iterator[bytes]]


class _Source(NamedTuple):
    """A folder of files, in the store or on this machine."""

    names: frozenset[str]
    open: Callable[[str], BinaryIO]

    def json(self, name: str) -> dict[str, Any]:
        if name not in self.names:
            return {}
        with self.open(name) as stream:
            return dict(json.loads(stream.read()))


def portable_files(
    store: ArtifactStore,
    key: str,
    labels: Sequence[str],
    encoder: EncoderFacts | None = None,
    base: Path | None = None,
) -> list[PortableFile]:
    """Everything but the model card. ``base`` is the folder of the encoder or language model that the model builds
    on, to be put in as well.

    Raises NotFound for a model that is not in the store, InvalidInput for one of a kind that has no such folder, and
    Conflict for one that an older release saved without what is needed here.
    """
    about = json.loads(store.get_bytes(f"{key}/fitted.json"))
    kind, shared = about["kind"], {"labels": list(labels), "threshold": about["threshold"]}
    if kind == "constant":
        return [_json("linecall.json", {"kind": kind, **shared, "label": about["metrics"]["constant_label"]}),
                _snippet("predict_constant", "predict.py")]  # fmt: skip
    if kind == "linear":
        return _linear(store, key, shared, encoder, base)
    if kind == "encoder":
        backbone = _in_store(store, f"{key}/backbone")
        return _classifier(store, key, shared, backbone, *_layout(backbone))
    if kind == "lora":
        return _lora(store, key, shared, base)
    raise InvalidInput(f"This version of Linecall can't export a model of kind '{kind}'.", field="kind")


def write_folder(files: Iterable[PortableFile], folder: Path) -> None:
    """Raises Conflict for a folder that is there and not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict(f"{folder} is there already, and is not an empty folder.")
    for file in files:
        target = folder / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.writelines(file.blocks())


def _linear(
    store: ArtifactStore, key: str, shared: Mapping[str, Any], encoder: EncoderFacts | None, base: Path | None
) -> list[PortableFile]:
    if encoder is None:
        raise Conflict("What this model's encoder was has not been recorded: only its next version can be exported.")
    layout = (encoder.pooling, encoder.max_tokens, encoder.lower_case)
    if base is not None:
        return _classifier(store, key, shared, _on_disk(base), *layout)
    return [
        _json("linecall.json", {"kind": "linear", **shared, "encoder": asdict(encoder)}),
        PortableFile("head.safetensors", partial(_stored, store, f"{key}/head.safetensors")),
        _snippet("predict_linear", "predict.py"),
    ]


def _classifier(
    store: ArtifactStore,
    key: str,
    shared: Mapping[str, Any],
    backbone: _Source,
    pooling: str,
    max_tokens: int,
    lower_case: bool,
) -> list[PortableFile]:
    if "model.safetensors" not in backbone.names:
        raise InvalidInput("The encoder's weights are not one file in the safetensors format.")
    inner = {name: value for name, value in backbone.json("config.json").items() if name not in _NOT_OF_THE_MODEL}
    config = {
        "architectures": ["LinecallForSequenceClassification"],
        "auto_map": {
            "AutoConfig": f"{_MODELING}.LinecallConfig",
            "AutoModelForSequenceClassification": f"{_MODELING}.LinecallForSequenceClassification",
        },
        # A type of its own: transformers then refuses to load this without modeling_linecall.py. Under the encoder's
        # own type it would take another head, with random weights, and only warn.
        "model_type": "linecall_encoder",
        "backbone": inner,
        "id2label": {str(index): label for index, label in enumerate(shared["labels"])},
        "label2id": {label: index for index, label in enumerate(shared["labels"])},
        "problem_type": "single_label_classification",
        "pooling": pooling,
        "max_tokens": max_tokens,
        "lower_case": lower_case,
        "threshold": shared["threshold"],
        "dtype": "float32",
    }
    renamed = {"coef": "classifier.weight", "intercept": "classifier.bias"}
    parts = [
        Part(lambda: backbone.open("model.safetensors"), lambda name: f"backbone.{name}"),
        Part(lambda: store.open_read(f"{key}/head.safetensors"), renamed.__getitem__),
    ]
    return [
        _json("config.json", config),
        PortableFile("model.safetensors", partial(join, parts)),
        *(_copied(backbone, name, name) for name in _OF_TOKENIZER if name in backbone.names),
        _snippet(_MODELING, f"{_MODELING}.py"),
        _snippet("predict_encoder", "predict.py"),
    ]


def _layout(backbone: _Source) -> tuple[str, int, bool]:
    """As the encoder engine writes it beside its weights."""
    flags = backbone.json("1_Pooling/config.json")
    on = [name for name, flag in flags.items() if name.startswith("pooling_mode_") and flag]
    pooling = {"pooling_mode_cls_token": "cls", "pooling_mode_max_tokens": "max"}.get(on[0] if on else "", "mean")
    transformer = backbone.json("sentence_bert_config.json")
    return pooling, int(transformer.get("max_seq_length") or 512), bool(transformer.get("do_lower_case"))


def _lora(store: ArtifactStore, key: str, shared: Mapping[str, Any], base: Path | None) -> list[PortableFile]:
    about = json.loads(store.get_bytes(f"{key}/lora.json"))
    if "tokens" not in about:
        raise Conflict("This model's prompt was not kept as tokens: only its next version can be exported.")
    named = {name: about[name] for name in ("max_tokens", "tokens", "calibration", "prompt")}
    adapter = json.loads(store.get_bytes(f"{key}/adapter/adapter_config.json"))
    adapter |= _named_for_peft(about["model"])
    files = [
        _json("linecall.json", {"kind": "lora", **shared, "base": about["model"], **named}),
        _json("adapter_config.json", adapter),
        PortableFile("adapter_model.safetensors", partial(_stored, store, f"{key}/adapter/adapter_model.safetensors")),
        _snippet("predict_lora", "predict.py"),
    ]
    if base is not None:
        source = _on_disk(base)
        weights = sorted(n for n in source.names if n.endswith((".safetensors", ".safetensors.index.json")))
        wanted = [name for name in _OF_LANGUAGE_MODEL if name in source.names] + weights
        files += [_copied(source, name, f"base/{name}") for name in wanted]
    return files


def _named_for_peft(reference: str) -> dict[str, Any]:
    """A hub's name and revision as PEFT reads them; for a model from elsewhere, what is left to find by hand."""
    kind, _, name = reference.partition(":")
    if kind != "hf":
        return {"base_model_name_or_path": name if kind == "path" else reference}
    name, _, revision = name.partition("@")
    return {"base_model_name_or_path": name, "revision": revision or None}


def _in_store(store: ArtifactStore, folder: str) -> _Source:
    names = frozenset(found.removeprefix(f"{folder}/") for found in store.list(folder))
    return _Source(names, lambda name: store.open_read(f"{folder}/{name}"))


def _on_disk(folder: Path) -> _Source:
    names = frozenset(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return _Source(names, lambda name: (folder / name).open("rb"))


def _stored(store: ArtifactStore, key: str) -> Iterator[bytes]:
    with store.open_read(key) as stream:
        yield from blocks(stream)


def _copied(source: _Source, name: str, path: str) -> PortableFile:
    def read() -> Iterator[bytes]:
        with source.open(name) as stream:
            yield from blocks(stream)

    return PortableFile(path, read)


def _json(path: str, values: Mapping[str, Any]) -> PortableFile:
    content = json.dumps(values, indent=1, ensure_ascii=False).encode()
    return PortableFile(path, lambda: iter([content]))


def _snippet(name: str, path: str) -> PortableFile:
    content = (_SNIPPETS / f"{name}.py").read_bytes()
    return PortableFile(path, lambda: iter([content]))
