"""Labelled text to simulate on: JSON Lines, with the votes of the people who labelled it where they are known."""

import gzip
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.curation.arrays import MISSING
from app.errors import InvalidInput
from app.simulate import sample
from app.simulate.experts import panel

Ints = NDArray[np.int64]

SMALLEST = 60
MOST_EXPERTS = 30
_SLOT = re.compile(r"s\d+")


@dataclass(frozen=True)
class Data:
    """n texts. ``truth`` (n,) is the consensus that models are scored by; ``votes`` (n, annotators) is who said what,
    -1 where that person was never asked, with no column where votes are unknown."""

    name: str
    texts: list[str]
    truth: Ints
    votes: Ints
    annotators: list[str]
    n_labels: int

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def has_panel(self) -> bool:
        """Whether the same few people answered throughout, so that each can be one of the experts. A crowd of
        hundreds with a handful of answers each, or columns s1, s2, … that are places in a list, are not."""
        persons = 0 < len(self.annotators) <= MOST_EXPERTS
        return persons and not any(_SLOT.fullmatch(name) for name in self.annotators)

    def take(self, rows: Ints) -> "Data":
        texts = [self.texts[row] for row in rows]
        return Data(self.name, texts, self.truth[rows], self.votes[rows], self.annotators, self.n_labels)

    def digest(self) -> str:
        """Changes with any text, label or vote."""
        seen = hashlib.sha256(json.dumps(self.texts).encode())
        for array in (self.truth, self.votes):
            seen.update(np.ascontiguousarray(array).tobytes())
        return seen.hexdigest()


def sample_data() -> Data:
    """The sample of advertisements with the demo's three experts; the truth is the simulated lead's."""
    ads, experts = sample.read_ads(), panel(0)
    votes = [[expert.answer(ad.id, ad.degree) for expert in experts] for ad in ads]
    truth = [int(ad.degree > sample.LEAD_THRESHOLD) for ad in ads]
    names = [expert.name for expert in experts]
    texts = [ad.text for ad in ads]
    return Data("sample ads", texts, np.array(truth), np.array(votes), names, len(sample.LABELS))


def read_data(path: Path) -> Data:
    """JSON Lines, perhaps gzipped: ``text``, ``label`` (an index from 0) and perhaps ``votes``, {annotator: label}.

    Rows with ``"tie": true`` are left out: their label is arbitrary. A text that comes again counts once, as in an
    import. Raises InvalidInput naming the line.
    """
    by_text: dict[str, dict[str, Any]] = {}
    for row in _rows(path):
        if not row.get("tie"):
            by_text.setdefault(row["text"], row)
    rows = list(by_text.values())
    if len(rows) < SMALLEST:
        raise InvalidInput(f"{path.name} has {len(rows)} usable rows; a simulation needs {SMALLEST} at least.")
    annotators = sorted({name for row in rows for name in row.get("votes", {})})
    column = {name: place for place, name in enumerate(annotators)}
    votes = np.full((len(rows), len(annotators)), MISSING, dtype=np.int64)
    for place, row in enumerate(rows):
        for name, vote in row.get("votes", {}).items():
            votes[place, column[name]] = vote
    truth = np.array([row["label"] for row in rows], dtype=np.int64)
    n_labels = int(max(truth.max(), votes.max(initial=0))) + 1
    if len(np.unique(truth)) < 2:
        raise InvalidInput(f"All of {path.name} has one label, so there is nothing to learn.")
    return Data(_name(path), [row["text"] for row in rows], truth, votes, annotators, n_labels)


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".jsonl")


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                yield _parsed(line, number, path.name)
    except (gzip.BadGzipFile, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path.name} can't be read as JSON Lines: {error}.") from error


def _parsed(line: str, number: int, name: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"Line {number} of {name} is not JSON.", row=number) from error
    if not (isinstance(row, dict) and isinstance(row.get("text"), str) and _is_label(row.get("label"))):
        raise InvalidInput(f"Line {number} of {name} needs a text and a label, a whole number from 0.", row=number)
    votes = row.get("votes", {})
    if not (isinstance(votes, dict) and all(_is_label(vote) for vote in votes.values())):
        raise InvalidInput(f"The votes of line {number} of {name} are not {{annotator: label}}.", row=number)
    return row


def _is_label(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1000
