"""Files on their way into the pool: kept in the artifact store, so that a worker elsewhere can read them."""

import re
import secrets
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from app.errors import InvalidInput, NotFound, TooLarge
from app.ml.artifacts import ArtifactStore
from app.services.pool.readers import Format, guess_format, open_reader
from app.services.pool.rows import ColumnMapping

_BLOCK = 1 << 20
_TOKEN = re.compile(r"[0-9a-f]{32}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_TEXT_NAMES = ("text", "content", "body", "sentence", "headline", "title", "comment", "message", "tweet", "document")
_LANGUAGE_NAMES = ("language", "lang", "locale")
_ID_NAMES = ("id", "item_id", "external_id", "uid", "uuid", "guid", "key")
_ID_ENDING = re.compile(r"(?<!user)(?<!author)(?<!annotator)(?<!worker)(?<!parent)[ _-](?:id|ID|Id)$|[a-z]I[dD]$")


@dataclass(frozen=True)
class Upload:
    """A stored file. ``token`` is unguessable and names it within its project."""

    project_id: int
    token: str
    filename: str
    format: Format
    key: str


@dataclass(frozen=True)
class Preview:
    """The first rows of a file, before anything is stored. ``problems`` are those of the rows shown."""

    format: Format
    columns: list[str]
    mapping: ColumnMapping | None  # a guess; None when no column holds text
    rows: list[dict[str, Any]]
    problems: list[str]


def store_upload(
    store: ArtifactStore, project_id: int, filename: str, stream: BinaryIO, *, max_bytes: int = 512 << 20
) -> Upload:
    """Copy the file into the store, in blocks. No session: a slow upload must hold no transaction.

    Raises TooLarge beyond ``max_bytes``, InvalidInput for an empty file.
    """
    token = secrets.token_hex(16)
    # Stored under a name without dots at its start or anything that a store might read as a path.
    name = _UNSAFE.sub("-", Path(filename).name).lstrip(".-")[-100:].lstrip(".-") or "upload"
    with tempfile.TemporaryDirectory(prefix="linecall-upload-") as folder:
        path = Path(folder) / "upload"
        head = _copy(stream, path, max_bytes)
        format_ = guess_format(filename, head)
        key = f"imports/{project_id}/{token}/{format_}/{name}"
        store.put_file(key, path)
    return Upload(project_id, token, name, format_, key)


def _copy(stream: BinaryIO, path: Path, max_bytes: int) -> bytes:
    """Returns the first bytes."""
    head, size = b"", 0
    with path.open("wb") as target:
        while block := stream.read(_BLOCK):
            head = head or block[:1024]
            size += len(block)
            if size > max_bytes:
                raise TooLarge(f"The file is larger than {max_bytes / (1 << 20):,.0f} MB.", field="file")
            target.write(block)
    if not size:
        raise InvalidInput("The file is empty.", field="file")
    return head


def find_upload(store: ArtifactStore, project_id: int, token: str) -> Upload:
    """The upload of this project with this token. Raises NotFound."""
    keys = store.list(f"imports/{project_id}/{token}") if _TOKEN.fullmatch(token) else []
    if len(keys) != 1:
        raise NotFound("This upload is not there any more. Upload the file again.")
    format_, name = keys[0].split("/")[-2:]
    return Upload(project_id, token, name, known_format(format_), keys[0])


def known_format(name: str) -> Format:
    for known in ("csv", "jsonl", "parquet"):
        if name == known:
            return known
    raise InvalidInput("Linecall reads CSV, JSON Lines and Parquet.", field="format")


def preview(source: Path | BinaryIO, format: str | None = None, *, limit: int = 20, filename: str = "") -> Preview:
    """Columns, guessed mapping and first rows of a file or seekable stream. Raises FileProblem."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return preview(stream, format, limit=limit, filename=filename or source.name)
    source.seek(0)
    known = known_format(format) if format else guess_format(filename, source.read(1024))
    with open_reader(source, known) as reader:
        records = list(islice(reader.records(reader.columns), limit))
        rows = [
            dict(zip(reader.columns, map(_shown, record.values), strict=True)) for record in records if record.values
        ]
        problems = [f"Row {record.row}: {record.problem}" for record in records if record.problem is not None]
        return Preview(known, reader.columns, guess_mapping(reader.columns, rows), rows, problems)


def preview_upload(store: ArtifactStore, upload: Upload, *, limit: int = 20) -> Preview:
    with store.open_read(upload.key) as stream:
        return preview(stream, upload.format, limit=limit)


def _shown(value: Any) -> Any:
    """Undecodable bytes as the replacement sign: a page can't send a lone surrogate."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) and not value.isascii() else value


def guess_mapping(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> ColumnMapping | None:
    """The text by a usual name, else the column with the longest strings; everything else but an id is meta."""
    lowered = {name.strip().lower(): name for name in reversed(columns)}
    text = next((lowered[name] for name in _TEXT_NAMES if name in lowered), None) or _longest(columns, rows)
    if text is None:
        return None
    id_ = next((lowered[name] for name in _ID_NAMES if name in lowered and lowered[name] != text), None)
    id_ = id_ or _named_as_id([name for name in columns if name != text], rows)
    language = next((lowered[name] for name in _LANGUAGE_NAMES if name in lowered), None)
    meta = tuple(name for name in columns if name and name not in (text, id_))
    return ColumnMapping(text, id_, meta, language if language in meta else None)


def _named_as_id(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str | None:
    """A column such as post_id, if it is the only one of its kind and tells the rows apart."""
    named = [name for name in columns if _ID_ENDING.search(name.strip())]
    values = [str(row.get(named[0]) or "") for row in rows] if len(named) == 1 else []
    return named[0] if values and all(values) and len(set(values)) == len(values) else None


def _longest(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str | None:
    def length(name: str) -> int:
        return sum(len(row[name]) for row in rows if isinstance(row.get(name), str))

    best = max(columns, key=length, default=None)
    return best if best is not None and length(best) > 0 else None
