"""What makes a row of a file an item of the pool, and what is wrong with it if nothing does."""

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple
from uuid import UUID

from app.errors import InvalidInput
from app.services.pool.readers import FileProblem, Record

_NOT_UTF8 = "is not valid UTF-8"


@dataclass(frozen=True)
class Limits:
    """Characters that one row may bring."""

    text: int = 20_000
    external_id: int = 200  # the column's width
    meta: int = 20_000


@dataclass(frozen=True)
class ColumnMapping:
    text: str
    id: str | None = None
    meta: tuple[str, ...] = ()
    language: str | None = None  # one of ``meta``

    @property
    def wanted(self) -> list[str]:
        return [self.text, *([self.id] if self.id is not None else []), *self.meta]

    def as_json(self) -> dict[str, Any]:
        language = {} if self.language is None else {"language": self.language}
        return {"text": self.text, "id": self.id, "meta": list(self.meta), **language}


class Draft(NamedTuple):
    """An item that has no ordinal yet."""

    row: int
    external_id: str | None
    content_hash: bytes
    text: str
    meta: dict[str, Any] | None


class Problem(NamedTuple):
    row: int | None
    field: str | None
    message: str


def parse_mapping(values: Mapping[str, Any]) -> ColumnMapping:
    """``{"text": column, "id": column or None, "meta": [columns], "language": column or absent}``; the language's
    column is kept with the further ones. Raises InvalidInput."""
    text, id_, meta = values.get("text"), values.get("id") or None, values.get("meta") or []
    if not isinstance(text, str) or not text:
        raise InvalidInput("Say which column holds the text.", field="text")
    if id_ is not None and not isinstance(id_, str):
        raise InvalidInput("The id is one column's name.", field="id")
    if not isinstance(meta, (list, tuple)) or not all(isinstance(name, str) for name in meta):
        raise InvalidInput("The further columns are a list of names.", field="meta")
    language = values.get("language") or None
    if language is not None and (not isinstance(language, str) or language in (text, id_)):
        raise InvalidInput("The language is a column of its own.", field="language")
    kept = dict.fromkeys([*meta, *([language] if language is not None else [])])
    return ColumnMapping(text, id_, tuple(kept), language)


def check_mapping(mapping: ColumnMapping, columns: Sequence[str]) -> None:
    """Raises FileProblem for a column that the file does not have."""
    for field, name in [("text", mapping.text), ("id", mapping.id), *(("meta", name) for name in mapping.meta)]:
        if name is not None and name not in columns:
            have = ", ".join(f"'{column}'" for column in columns[:20]) or "none"
            raise FileProblem(f"The file has no column '{name}'. Its columns: {have}.", field=field)


def normalise(text: str) -> str:
    """The form in which two texts are the same one: Unicode NFC, every run of white space one space, none at the ends.

    White space is what ``str.split`` splits at, so a no-break space counts; case and punctuation matter. The item
    keeps the text as it was given.
    """
    return " ".join(unicodedata.normalize("NFC", text).split())


def content_hash(text: str) -> bytes:
    """BLAKE2b, 16 bytes, of the normalised text in UTF-8."""
    return blake2b(normalise(text).encode(), digest_size=16).digest()


def check(record: Record, mapping: ColumnMapping, limits: Limits) -> Draft | Problem:
    """A record whose values follow ``mapping.wanted``, as an item or as the first thing wrong with it."""
    if record.problem is not None:
        return Problem(record.row, None, record.problem)
    values = iter(record.values)
    text = next(values)
    if wrong := _wrong_text(text, limits.text):
        return Problem(record.row, mapping.text, f"The text {wrong}.")
    external_id = _as_id(next(values)) if mapping.id is not None else None
    if wrong := _wrong_id(external_id, limits.external_id):
        return Problem(record.row, mapping.id, f"The id {wrong}.")
    meta: dict[str, Any] = {}
    for name, value in zip(mapping.meta, values, strict=True):
        try:
            meta[name] = _plain(value)
        except ValueError as error:
            return Problem(record.row, name, f"The value {error}.")
    if _length(meta) > limits.meta:
        return Problem(record.row, None, f"The further columns hold more than {limits.meta:,} characters.")
    return Draft(record.row, external_id, content_hash(text), text, meta or None)


def _length(meta: dict[str, Any]) -> int:
    """Characters, as JSON where the values are not plain strings (as in every CSV file)."""
    if all(isinstance(value, str) for value in meta.values()):
        return sum(map(len, meta.values()))
    return len(json.dumps(meta, ensure_ascii=False))


def _wrong_text(text: Any, most: int) -> str | None:
    if text is None:
        return "is missing"
    if not isinstance(text, str):
        return "is not a string"
    if not text or text.isspace():
        return "is empty"
    if len(text) > most:
        return f"has {len(text):,} characters; {most:,} is the most"
    return _unstorable(text)


def _unstorable(text: str) -> str | None:
    if "\0" in text:
        return "contains a NUL character"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return _NOT_UTF8
    return None


def _as_id(value: Any) -> Any:
    """Ids are strings; a whole number becomes one, and a blank is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, UUID):
        return str(value)
    return (value.strip() or None) if isinstance(value, str) else value


def _wrong_id(value: Any, most: int) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return "is neither a string nor a whole number"
    if len(value) > most:
        return f"has {len(value):,} characters; {most:,} is the most"
    return _unstorable(value)


def _plain(value: Any) -> Any:
    """The value as JSON that both databases store. Raises ValueError with the rest of a sentence."""
    if isinstance(value, str):
        if wrong := _unstorable(value):
            raise ValueError(wrong)
        return value
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None  # JSON has no NaN
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, (Decimal, UUID)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, dict):
        return {_plain(str(key)): _plain(part) for key, part in value.items()}
    raise ValueError(f"is of a kind that can't be kept ({type(value).__name__})")
