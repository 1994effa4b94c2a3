"""Reads CSV, JSON Lines and Parquet row by row: memory does not grow with the file, and every row keeps its number.

A row's number is the one that a person finds it by: in CSV the row of a spreadsheet (the header is 1, a line break
inside quotes starts no row), in JSON Lines the line, in Parquet the row counted from 1.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, Literal, NamedTuple, NoReturn, Protocol, cast

from app.errors import InvalidInput

Format = Literal["csv", "jsonl", "parquet"]

_SUFFIXES: dict[str, Format] = {
    "csv": "csv",
    "tsv": "csv",
    "txt": "csv",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "json": "jsonl",
    "parquet": "parquet",
    "pq": "parquet",
}
_DELIMITERS = (",", ";", "\t", "|")
_SAMPLE_BYTES = 1 << 16
_SAMPLE_ROWS = 100
_LONGEST_LINE = 4_000_000  # bytes or characters: what one row may hold in memory, in any format
_LONGEST_CELL = 1_000_000  # characters: where an unclosed quote is noticed
_BATCH_ROWS = 1000
_BATCH_BYTES = 32_000_000  # of a Parquet batch, by what the file says of its values
_MOST_COLUMNS = 5000
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class FileProblem(InvalidInput):
    """The file can't be read, or not from ``row`` on: there are no rows to skip, only a file to mend."""

    def __init__(self, message: str, *, row: int | None = None, field: str | None = None) -> None:
        super().__init__(message, row=row, field=field)
        self.row, self.field = row, field


class Record(NamedTuple):
    """A row: one value per wanted column (None where the row has none), or what is wrong with it.

    Bytes that are not UTF-8 arrive as lone surrogates, so that the row can still be told from its neighbours.
    """

    row: int
    values: Sequence[Any]
    problem: str | None = None


class Reader(Protocol):
    columns: list[str]

    def records(self, wanted: Sequence[str]) -> Iterator[Record]:
        """Every row from the first; may be called once. Raises FileProblem."""

    def close(self) -> None:
        """Let go of the stream without closing it."""


def guess_format(filename: str, head: bytes) -> Format:
    """By the first bytes where they are telling, else by the file's ending, else CSV."""
    if head.startswith(b"PAR1"):
        return "parquet"
    suffix = filename.rpartition(".")[2].lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    return "jsonl" if head.removeprefix(_BOM).lstrip().startswith(b"{") else "csv"


@contextmanager
def open_reader(stream: BinaryIO, format_: Format) -> Iterator[Reader]:
    """Reads a seekable stream from its beginning and leaves it open. Raises FileProblem."""
    stream.seek(0)
    reader = _READERS[format_](stream)
    try:
        yield reader
    finally:
        reader.close()


class _CsvReader:
    def __init__(self, stream: BinaryIO) -> None:
        sample = stream.read(_SAMPLE_BYTES)
        stream.seek(0)
        _refuse_other_encodings(sample)
        csv.field_size_limit(_LONGEST_CELL)
        self._text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
        self._held = 0  # characters of the row that is being read, which may have any number of lines
        self._rows = csv.reader(self._lines(), delimiter=_sniff_delimiter(sample), strict=True)
        self._row = 0
        self.columns = self._read_header()

    def _read_header(self) -> list[str]:
        header = next((cells for cells in self._numbered() if cells), None)
        if header is None:
            raise FileProblem("The file is empty.")
        _check_columns(header, self._row)
        return header

    def _numbered(self) -> Iterator[list[str]]:
        try:
            for cells in self._rows:
                self._row, self._held = self._row + 1, 0
                yield cells
        except csv.Error as error:
            message = f"From row {self._row + 1} on the rows can't be told apart: check its quotes ({error})."
            raise FileProblem(message, row=self._row + 1) from error

    def _lines(self) -> Iterator[str]:
        for line in _text_lines(self._text):
            self._held += len(line)
            if self._held > _LONGEST_LINE:
                row = self._row + 1
                raise FileProblem(f"Row {row} is longer than {_LONGEST_LINE:,} characters: check its quotes.", row=row)
            yield line

    def records(self, wanted: Sequence[str]) -> Iterator[Record]:
        places = [self.columns.index(name) for name in wanted]
        width = len(self.columns)
        for cells in self._numbered():
            if len(cells) == width:
                yield Record(self._row, [cells[place] for place in places])
            elif cells:  # a blank line is no row
                yield Record(self._row, (), f"The row has {len(cells)} columns, the header has {width}.")

    def close(self) -> None:
        self._text.detach()


def _refuse_other_encodings(sample: bytes) -> None:
    if sample.startswith(_UTF16):
        raise FileProblem("The file is in UTF-16. Save it as UTF-8.")


def _check_columns(columns: list[str], row: int | None) -> None:
    _refuse_many_columns(len(columns))
    for place, name in enumerate(columns):
        if not _is_unicode(name):
            raise FileProblem("The header is not valid UTF-8. Save the file as UTF-8.", row=row)
        if name and name in columns[:place]:
            raise FileProblem(f"Two columns are called '{name}'.", row=row, field=name)


def _refuse_many_columns(count: int) -> None:
    if count > _MOST_COLUMNS:
        raise FileProblem(f"The file has more than {_MOST_COLUMNS:,} columns.")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE and not line.endswith(("\n", "\r")):
            raise FileProblem(f"A line is longer than {_LONGEST_LINE:,} characters.")
        yield line


def _sniff_delimiter(sample: bytes) -> str:
    """The one that splits the header, and the most rows into as many columns; a comma if there is none."""
    lines = sample.decode("utf-8-sig", errors="replace").splitlines(keepends=True)
    whole = lines[:-1] if len(sample) == _SAMPLE_BYTES else lines

    def fit(delimiter: str) -> tuple[float, int]:
        try:
            rows = [row for row in islice(csv.reader(whole, delimiter=delimiter), _SAMPLE_ROWS) if row]
        except csv.Error:
            return 0.0, 0
        width = len(rows[0]) if rows else 0
        return (sum(len(row) == width for row in rows) / len(rows), width) if width > 1 else (0.0, 0)

    return max(_DELIMITERS, key=fit)


class _JsonlReader:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = json.JSONDecoder(parse_constant=_refuse_constant)
        head = stream.read(_SAMPLE_BYTES)
        _refuse_other_encodings(head)
        start = head.removeprefix(_BOM).lstrip()
        if not start and len(head) < _SAMPLE_BYTES:
            raise FileProblem("The file is empty.")
        if start.startswith(b"["):
            raise FileProblem("The file is a JSON array. Save it as JSON Lines: one object per line.")
        self.columns = self._keys_of_first_rows()

    def _keys_of_first_rows(self) -> list[str]:
        keys: dict[str, None] = {}
        for _, content in islice(self._objects(), _SAMPLE_ROWS):
            if isinstance(content, dict):
                keys.update(dict.fromkeys(content))
                _refuse_many_columns(len(keys))
        return list(keys)

    def records(self, wanted: Sequence[str]) -> Iterator[Record]:
        for row, content in self._objects():
            if isinstance(content, dict):
                yield Record(row, [content.get(name) for name in wanted])
            else:
                yield Record(row, (), content)

    def _objects(self) -> Iterator[tuple[int, dict[str, Any] | str]]:
        """(line, object or what is wrong with it), without blank lines."""
        self._stream.seek(0)
        for row, line in enumerate(_byte_lines(self._stream), 1):
            if line is None:
                yield row, f"The line is longer than {_LONGEST_LINE:,} bytes."
            elif not line.isspace():
                yield row, self._parse(line.removeprefix(_BOM) if row == 1 else line)

    def _parse(self, line: bytes) -> dict[str, Any] | str:
        try:
            content = self._decoder.decode(line.decode())
        except UnicodeDecodeError as error:
            return f"The line is not valid UTF-8 (byte {error.start + 1})."
        except json.JSONDecodeError as error:
            return f"The line is not valid JSON: {error.msg} (character {error.pos + 1})."
        except (ValueError, RecursionError) as error:
            return f"The line is not valid JSON: {error}."
        return content if isinstance(content, dict) else "The line is not a JSON object."

    def close(self) -> None:
        """Nothing is held."""


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _byte_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines; None for one that is too long to hold."""
    while line := stream.readline(_LONGEST_LINE):
        if len(line) < _LONGEST_LINE or line.endswith(b"\n"):
            yield line
            continue
        while (rest := stream.readline(_LONGEST_LINE)) and not rest.endswith(b"\n"):
            pass
        yield None


class _ParquetReader:
    """Reads fewer rows at a time where they are long: a value that stands in the file once can be repeated by all."""

    def __init__(self, stream: BinaryIO) -> None:
        import pyarrow.parquet as pq

        self._stream = stream
        with _parquet_problems():
            self._file = pq.ParquetFile(stream, pre_buffer=False)
            self.columns = list(self._file.schema_arrow.names)
        _check_columns(self.columns, None)

    def records(self, wanted: Sequence[str]) -> Iterator[Record]:
        row = 0
        for batch in self._batches(wanted):
            for values in zip(*(_python_values(batch.column(name)) for name in wanted), strict=True):
                row += 1
                yield Record(row, values)

    def _batches(self, wanted: Sequence[str]) -> Iterator[Any]:
        columns = list(dict.fromkeys(wanted))
        for group in range(self._file.num_row_groups):
            with _parquet_problems():
                rows = min(_BATCH_ROWS, max(1, _BATCH_BYTES // self._row_bytes(group, columns)))
            batches = self._file.iter_batches(rows, row_groups=[group], columns=columns, use_threads=False)
            while True:
                with _parquet_problems():
                    batch = next(batches, None)
                if batch is None:
                    break
                yield batch

    def _row_bytes(self, group: int, columns: Sequence[str]) -> int:
        """What a row of this group may take: as much as the group's rows on the average, and the longest of the values
        that can be repeated."""
        part, size, repeated, mixed = self._file.metadata.row_group(group), 0, list[str](), list[str]()
        for place in range(part.num_columns):
            column, chunk = self._file.metadata.schema.column(place), part.column(place)
            size += chunk.total_uncompressed_size if column.path.split(".")[0] in columns else 0
            if column.path in columns and chunk.has_dictionary_page and _is_text(column):
                (mixed if set(_NO_DICTIONARY) & set(chunk.encodings) else repeated).append(column.path)
        longest = self._longest(group, repeated) + _LONGEST_LINE * len(mixed)
        return 1 + int(size) // max(1, int(part.num_rows)) + longest

    def _longest(self, group: int, columns: list[str]) -> int:
        """Bytes of the longest value in each column's dictionary, together: its first row has the whole dictionary."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        kept = {"metadata": self._file.metadata, "read_dictionary": columns, "pre_buffer": False}
        batches = pq.ParquetFile(self._stream, **kept).iter_batches(1, [group], columns, use_threads=False)
        found = next(batches, None) if columns else None
        dictionaries = [column.dictionary for column in found or [] if pa.types.is_dictionary(column.type)]
        return sum(int(pc.max(pc.binary_length(values)).as_py() or 0) for values in dictionaries)

    def close(self) -> None:
        """The stream is the caller's; ParquetFile closes only what it opened."""


_NO_DICTIONARY = ("DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY")  # Arrow can't read these as one


def _is_text(column: Any) -> bool:
    return column.physical_type == "BYTE_ARRAY" and column.logical_type.type in ("NONE", "STRING", "JSON", "ENUM")


@contextmanager
def _parquet_problems() -> Iterator[None]:
    """Arrow tells a damaged file by its own exceptions or by an OSError without a number; a disk's has one."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise FileProblem(f"The file is not a readable Parquet file: {error}") from error


def _python_values(column: Any) -> Iterable[Any]:
    import pyarrow as pa

    try:
        return cast(list[Any], column.to_pylist())
    except UnicodeDecodeError:
        raw = column.cast(pa.large_binary()).to_pylist()
        return [None if value is None else value.decode(errors="surrogateescape") for value in raw]


_READERS: dict[Format, type[_CsvReader] | type[_JsonlReader] | type[_ParquetReader]] = {
    "csv": _CsvReader,
    "jsonl": _JsonlReader,
    "parquet": _ParquetReader,
}
