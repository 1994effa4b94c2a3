"""Export rows as the bytes of a file, written as they come: memory does not grow with the pool."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from app.errors import InvalidInput
from app.services.exports.rows import COLUMNS, ExportRow

_NESTED = ("meta", "model_scores", "reason_detail", "annotations")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_BLOCK_CHARACTERS = 1 << 16
GROUP_ROWS = 10_000
GROUP_CHARACTERS = 8_000_000


class ExportFormat(NamedTuple):
    media_type: str
    suffix: str
    write: Callable[[Iterable[ExportRow]], Iterator[bytes]]


def find_format(name: str) -> ExportFormat:
    if name not in FORMATS:
        raise InvalidInput(f"The formats are {', '.join(FORMATS)} and datasets.", field="format")
    return FORMATS[name]


def _blocks(lines: Iterable[str]) -> Iterator[bytes]:
    held, characters = list[str](), 0
    for line in lines:
        held.append(line)
        characters += len(line)
        if characters >= _BLOCK_CHARACTERS:
            yield "".join(held).encode()
            held, characters = [], 0
    if held:
        yield "".join(held).encode()


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def write_jsonl(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    return _blocks(as_json(row) + "\n" for row in rows)


def write_csv(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """RFC 4180 in UTF-8, nested values as JSON; see ``defuse`` for cells that look like formulas."""
    return _blocks(_csv_lines(rows))


def _csv_lines(rows: Iterable[ExportRow]) -> Iterator[str]:
    line = io.StringIO(newline="")
    writer = csv.writer(line)
    writer.writerow(COLUMNS)
    for row in rows:
        yield line.getvalue()
        line.seek(0)
        line.truncate()
        writer.writerow([defuse(value) for value in _flat(row).values()])
    yield line.getvalue()


def _flat(row: ExportRow) -> ExportRow:
    """Nested values as JSON text, for formats of plain columns."""
    return {name: as_json(value) if name in _NESTED and value is not None else value for name, value in row.items()}


def defuse(value: Any) -> Any:
    """A string that a spreadsheet would run as a formula gets an apostrophe in front; JSONL and Parquet stay exact."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA_STARTS) else value


def write_parquet(rows: Iterable[ExportRow]) -> Iterator[bytes]:
    """Nested values as JSON text; a row group holds at most 10,000 rows or about 8 million characters."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"ordinal": pa.int64(), "model_version": pa.int32(), "model_score": pa.float32(), "round": pa.int32()}
    schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
    sink = _Sink()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for group in _groups(map(_flat, rows)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            yield sink.take()
    yield sink.take()


def _groups(rows: Iterable[ExportRow]) -> Iterator[list[ExportRow]]:
    remaining = iter(rows)
    while first := list(islice(remaining, 1)):
        group, characters = first, len(first[0]["text"])
        while len(group) < GROUP_ROWS and characters < GROUP_CHARACTERS:
            row = next(remaining, None)
            if row is None:
                break
            group.append(row)
            characters += len(row["text"])
        yield group


class _Sink(io.RawIOBase):
    """Takes what the Parquet writer writes, and gives it on piece by piece."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._given = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def tell(self) -> int:
        return self._given + len(self._held)

    def take(self) -> bytes:
        data = bytes(self._held)
        self._given += len(data)
        self._held.clear()
        return data


FORMATS = {
    "jsonl": ExportFormat("application/x-ndjson", "jsonl", write_jsonl),
    "csv": ExportFormat("text/csv; charset=utf-8", "csv", write_csv),
    "parquet": ExportFormat("application/vnd.apache.parquet", "parquet", write_parquet),
}
