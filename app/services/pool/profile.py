"""What a pool is made of: how long its texts are, which are nearly the same, and which languages they seem to be in."""

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import Item
from app.services.pool.languages import guess_language

LENGTHS = (20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 20_000)  # upper ends of the histogram's bars, in characters
LANGUAGE_SAMPLE = 2_000
_PAGE = 5_000
_EXAMPLES = 3
_NOT_WORDS = re.compile(r"[\W\d_]+")


def profile(db: Database, project_id: int, *, language_column: str | None = None) -> dict[str, Any]:
    """As JSON, of the whole pool as it is now: a pass over its texts, 8 + 4 bytes of memory each.

    ``near_duplicates.texts`` counts the texts beyond the first of each group that differs only in case, punctuation
    and digits. Languages are those of ``language_column`` where the file had one, else guessed from a sample.
    """
    keys, lengths, languages = array("Q"), array("I"), Counter[str]()
    total = _count(db, project_id)
    step = max(1, total // LANGUAGE_SAMPLE)
    for row in _rows(db, project_id, language_column):
        if row.ordinal >= total:
            break
        keys.append(near_key(row.text))
        lengths.append(len(row.text))
        if language_column is not None:
            languages[str(row.language or "not given")] += 1
        elif row.ordinal % step == 0:
            languages[guess_language(row.text)] += 1
    if not lengths:
        return {"items": 0}
    return {
        "items": len(lengths),
        "lengths": _lengths(lengths),
        "near_duplicates": _near_duplicates(db, project_id, keys),
        "languages": _shares(languages),
        "languages_from": language_column,
        "languages_n": sum(languages.values()),
    }


class _Row(NamedTuple):
    ordinal: int
    text: str
    language: Any


def _count(db: Database, project_id: int) -> int:
    with db.read() as session:
        newest = select(Item.ordinal).where(Item.project_id == project_id).order_by(Item.ordinal.desc()).limit(1)
        last = session.scalar(newest)
    return 0 if last is None else last + 1


def _rows(db: Database, project_id: int, language_column: str | None) -> Iterator[_Row]:
    """Every item by ordinal, in pages, so that no transaction stays open for long."""
    after = -1
    columns = (Item.ordinal, Item.text, Item.meta) if language_column is not None else (Item.ordinal, Item.text)
    while True:
        page = select(*columns).where(Item.project_id == project_id, Item.ordinal > after)
        with db.read() as session:
            rows = session.execute(page.order_by(Item.ordinal).limit(_PAGE)).all()
        for row in rows:
            meta = row[2] or {} if language_column is not None else {}
            yield _Row(row[0], row[1], meta.get(language_column))
        if len(rows) < _PAGE:
            return
        after = rows[-1][0]


def near_key(text: str) -> int:
    """The same for texts that differ only in case, punctuation, white space and digits."""
    words = _NOT_WORDS.sub(" ", text.casefold()).strip() or text
    return int.from_bytes(blake2b(words.encode(), digest_size=8).digest(), "little")


def _lengths(lengths: "array[int]") -> dict[str, Any]:
    import numpy as np

    values = np.frombuffer(lengths, dtype=np.uint32)
    edges = np.searchsorted(np.array(LENGTHS), values, side="left")
    counts = np.bincount(edges, minlength=len(LENGTHS) + 1)
    bars = [[upper, int(count)] for upper, count in zip([*LENGTHS, None], counts, strict=True)]
    return {
        "shortest": int(values.min()),
        "median": int(np.median(values)),
        "longest": int(values.max()),
        "histogram": [bar for bar in bars if bar[1]],
    }


def _near_duplicates(db: Database, project_id: int, keys: "array[int]") -> dict[str, Any]:
    import numpy as np

    values = np.frombuffer(keys, dtype=np.uint64)
    unique, counts = np.unique(values, return_counts=True)
    groups = np.flatnonzero(counts > 1)
    largest = groups[np.argsort(-counts[groups], kind="stable")][:_EXAMPLES]
    found = [(np.flatnonzero(values == unique[g])[:2].tolist(), int(counts[g])) for g in largest]
    texts = _texts(db, project_id, [ordinal for pair, _ in found for ordinal in pair])
    return {
        "texts": int((counts[groups] - 1).sum()),
        "groups": len(groups),
        "examples": [{"count": count, "texts": [texts[ordinal][:200] for ordinal in pair]} for pair, count in found],
    }


def _texts(db: Database, project_id: int, ordinals: Sequence[int]) -> dict[int, str]:
    wanted = select(Item.ordinal, Item.text).where(Item.project_id == project_id, Item.ordinal.in_(ordinals))
    with db.read() as session:
        return {row[0]: row[1] for row in session.execute(wanted)}


def _shares(counts: Counter[str]) -> list[list[Any]]:
    """[name, share], the largest first; beyond ten, the rest together."""
    total = sum(counts.values())
    ranked = counts.most_common()
    shown = [[name, count / total] for name, count in ranked[:10]]
    rest = sum(count for _, count in ranked[10:])
    return [*shown, ["others", rest / total]] if rest else shown
