"""What differs between two texts, word by word, as safe HTML."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import groupby, zip_longest

from markupsafe import Markup, escape

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST = 4000  # words: beyond it the comparison would take longer than a person waits


def marked(left: str, right: str) -> tuple[Markup, Markup]:
    """Both texts escaped, with ``<mark>`` around what the other one lacks; texts too long to compare, or that share
    less than a third of their words, come back without marks: nearly everything would be marked."""
    a, b = _WORDS.findall(left), _WORDS.findall(right)
    if len(a) + len(b) > _MOST:
        return escape(left), escape(right)
    matcher = SequenceMatcher(None, [w.casefold() for w in a], [w.casefold() for w in b], autojunk=False)
    shared = sum(word.isalnum() for at, _, size in matcher.get_matching_blocks() for word in a[at : at + size])
    if 2 * shared < sum(word.isalnum() for word in a + b) / 3:
        return escape(left), escape(right)
    left_parts, right_parts = [], []
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        left_parts.append(_part("".join(a[a0:a1]), kind != "equal"))
        right_parts.append(_part("".join(b[b0:b1]), kind != "equal"))
    return Markup("").join(left_parts), Markup("").join(right_parts)


def marked_lines(lines: Sequence[tuple[str, str]]) -> list[tuple[str, Markup]]:
    """(kind, text) of a comparison, as safe HTML: removed lines and the added ones right after them are compared one
    by one, and the words that differ are marked."""
    shown: list[tuple[str, Markup]] = []
    for unchanged, run in groupby(lines, key=lambda line: line[0] == "same"):
        run_lines = list(run)
        if unchanged:
            shown += [("same", escape(text)) for _, text in run_lines]
            continue
        pairs = zip_longest(
            [text for kind, text in run_lines if kind == "removed"],
            [text for kind, text in run_lines if kind == "added"],
        )
        sides = [_pair(old, new) for old, new in pairs]
        shown += [("removed", old) for old, _ in sides if old is not None]
        shown += [("added", new) for _, new in sides if new is not None]
    return shown


def _pair(old: str | None, new: str | None) -> tuple[Markup | None, Markup | None]:
    if old is None or new is None:
        return (None if old is None else escape(old)), (None if new is None else escape(new))
    return marked(old, new)


def _part(text: str, differs: bool) -> Markup:
    if not differs or not text.strip():
        return escape(text)
    return Markup("<mark>{}</mark>").format(text)
