"""Export rows as a folder that the `datasets` library loads: Parquet shards by split, and a README.md with the configs
and features that it reads, above the dataset's card."""

import io
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from typing import IO, Any

import yaml

from app.ml.portable import PortableFile
from app.services.exports.files import GROUP_CHARACTERS, GROUP_ROWS, as_json
from app.services.exports.rows import COLUMNS, ExportRow

SHARD_ROWS = 100_000
SHARD_BYTES = 256 << 20
SPLITS = ("train", "evaluation", "undecided", "unlabelled")
_CONTROL = "control"  # files of their own: the control slice is part of the evaluation split, and a config too
_BLOCK = 1 << 20
_LABEL = "label"  # the name that trainers look for
DATASET_COLUMNS = tuple(_LABEL if name == "consensus_label" else name for name in COLUMNS)


def dataset_files(
    rows: Iterable[ExportRow], labels: list[str], card: str, *, shard_rows: int = SHARD_ROWS
) -> Iterator[PortableFile]:
    """The files in the order in which they are complete, the README.md last. Each is to be read before the next one is
    asked for. Memory holds a row group for each kind of file, a temporary file a shard for each."""
    kinds: dict[str, _Shards] = {}
    numbers = {label: number for number, label in enumerate(labels)}
    for row in rows:
        kind = _kind(row)
        if kind not in kinds:
            kinds[kind] = _Shards(kind, shard_rows)
        if kinds[kind].add(_typed(row, numbers)):
            yield kinds[kind].complete()
    for shards in kinds.values():
        if shards.pending:
            yield shards.complete()
    readme = _readme({kind: shards.total for kind, shards in kinds.items()}, labels, card).encode()
    yield PortableFile("README.md", lambda: iter([readme]))


def _kind(row: ExportRow) -> str:
    """Only an item with a consensus label is in a set; the others tell apart what experts have seen and have not."""
    if row["consensus_label"] is not None and row["split"] in ("train", "evaluation"):
        control = row["split"] == "evaluation" and row["reason"] == _CONTROL
        return _CONTROL if control else str(row["split"])
    return "undecided" if row["annotations"] or row["consensus_source"] else "unlabelled"


def _typed(row: ExportRow, numbers: dict[str, int]) -> dict[str, Any]:
    """Labels as numbers, scores in the order of the labels, free-form objects as JSON text."""
    typed = dict(zip(DATASET_COLUMNS, row.values(), strict=True))
    for name in (_LABEL, "model_label"):
        typed[name] = _number(typed[name], numbers)
    for name in ("meta", "reason_detail"):
        typed[name] = None if typed[name] is None else as_json(typed[name])
    if typed["model_scores"] is not None:
        typed["model_scores"] = list(typed["model_scores"].values())
    typed["annotations"] = [
        answer | {which: _number(answer[which], numbers) for which in ("blind", "final")}
        for answer in typed["annotations"]
    ]
    return typed


def _number(label: str | None, numbers: dict[str, int]) -> int | None:
    return None if label is None else numbers[label]


class _Shards:
    """One kind's rows: a group in memory, then a shard in a temporary file, which goes when it has been read."""

    def __init__(self, kind: str, shard_rows: int) -> None:
        self._kind, self._shard_rows = kind, shard_rows
        self.total = self.pending = self._number = self._characters = 0
        self._group: list[dict[str, Any]] = []
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def add(self, row: dict[str, Any]) -> bool:
        """Whether the shard is full."""
        self._group.append(row)
        self._characters += len(row["text"])
        self.total += 1
        self.pending += 1
        if len(self._group) >= GROUP_ROWS or self._characters >= GROUP_CHARACTERS:
            self._write()
        return self.pending >= self._shard_rows or (self._file is not None and self._file.tell() >= SHARD_BYTES)

    def _write(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by whoever reads it
            self._writer = pq.ParquetWriter(self._file, _schema(), compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._group, schema=_schema()))
        self._group, self._characters = [], 0

    def complete(self) -> PortableFile:
        if self._group:
            self._write()
        assert self._file is not None  # noqa: S101 - pending rows are in a group or in the file
        self._writer.close()
        shard = PortableFile(f"data/{self._kind}-{self._number:05}.parquet", partial(_read, self._file))
        self._number, self.pending, self._file = self._number + 1, 0, None
        return shard


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        file.seek(0, io.SEEK_SET)
        while block := file.read(_BLOCK):
            yield block


def _schema() -> Any:
    import pyarrow as pa

    answer = {"expert": pa.string(), "round": pa.int32(), "blind": pa.int64(), "final": pa.int64()}
    kinds = {
        "ordinal": pa.int64(),
        "model_version": pa.int32(),
        "model_label": pa.int64(),
        "model_score": pa.float32(),
        "model_scores": pa.list_(pa.float32()),
        "round": pa.int32(),
        "annotations": pa.list_(pa.struct(answer | {"flagged": pa.bool_(), "note": pa.string()})),
        _LABEL: pa.int64(),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in DATASET_COLUMNS])


def _readme(totals: dict[str, int], labels: list[str], card: str) -> str:
    about = {"configs": _configs(totals), "dataset_info": _info(totals, labels)}
    front = yaml.safe_dump(about, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n{card.rstrip()}\n\n{_contents(totals)}"


def _configs(totals: dict[str, int]) -> list[dict[str, Any]]:
    """A split without a file would be refused, so only those that there are."""
    files = {
        split: [f"data/{kind}-*.parquet" for kind in _kinds_of(split) if kind in totals]
        for split in SPLITS
        if any(kind in totals for kind in _kinds_of(split))
    }
    configs = [_config("default", files) | {"default": True}] if files else []
    if _CONTROL in totals:
        configs.append(_config(_CONTROL, {"evaluation": [f"data/{_CONTROL}-*.parquet"]}))
    return configs


def _kinds_of(split: str) -> tuple[str, ...]:
    return ("evaluation", _CONTROL) if split == "evaluation" else (split,)


def _config(name: str, files: dict[str, list[str]]) -> dict[str, Any]:
    return {"config_name": name, "data_files": [{"split": split, "path": paths} for split, paths in files.items()]}


def _info(totals: dict[str, int], labels: list[str]) -> list[dict[str, Any]]:
    names = [config["config_name"] for config in _configs(totals)]
    return [{"config_name": name, "features": _features(labels)} for name in names]


def _features(labels: list[str]) -> list[dict[str, Any]]:
    def label() -> dict[str, Any]:  # a new one each time: YAML would write a shared one as a reference
        return {"class_label": {"names": {str(number): name for number, name in enumerate(labels)}}}

    answer = {"expert": "string", "round": "int32", "blind": label(), "final": label()}
    answer |= {"flagged": "bool", "note": "string"}
    kinds: dict[str, dict[str, Any]] = {
        "ordinal": {"dtype": "int64"},
        "model_version": {"dtype": "int32"},
        "model_label": {"dtype": label()},
        "model_score": {"dtype": "float32"},
        "model_scores": {"list": "float32"},
        "round": {"dtype": "int32"},
        "annotations": {"list": [{"name": name, "dtype": kind} for name, kind in answer.items()]},
        _LABEL: {"dtype": label()},
    }
    return [{"name": name} | kinds.get(name, {"dtype": "string"}) for name in DATASET_COLUMNS]


def _contents(totals: dict[str, int]) -> str:
    told = {
        "train": "items with a consensus label, for fine-tuning",
        "evaluation": "items with a consensus label, for evaluation, without the control slice",
        _CONTROL: "the control slice of the evaluation split, drawn at random; `load_dataset(folder, 'control')` gives "
        "it alone",
        "undecided": "items that experts have answered and that have no label or no set yet",
        "unlabelled": "the rest of the pool",
    }
    lines = [f"- `data/{kind}-*.parquet`: {totals[kind]:,}, {words}." for kind, words in told.items() if kind in totals]
    return "## Files\n\n" + ("\n".join(lines) or "No items.") + "\n"
