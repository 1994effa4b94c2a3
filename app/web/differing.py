"""What differs between two texts, word by word, as safe HTML."""

import re
from difflib import SequenceMatcher

from markupsafe import Markup, escape

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_MOST = 4000  # words: beyond it the comparison would take longer than a person waits


def marked(left: str, right: str) -> tuple[Markup, Markup]:
    """Both texts escaped, with ``<mark>`` around what the other one lacks; texts too long to compare, or with less
    than a quarter in common, come back without marks: everything would be marked."""
    a, b = _WORDS.findall(left), _WORDS.findall(right)
    if len(a) + len(b) > _MOST:
        return escape(left), escape(right)
    matcher = SequenceMatcher(None, [w.casefold() for w in a], [w.casefold() for w in b], autojunk=False)
    if matcher.ratio() < 0.25:
        return escape(left), escape(right)
    left_parts, right_parts = [], []
    for kind, a0, a1, b0, b1 in matcher.get_opcodes():
        left_parts.append(_part("".join(a[a0:a1]), kind != "equal"))
        right_parts.append(_part("".join(b[b0:b1]), kind != "equal"))
    return Markup("").join(left_parts), Markup("").join(right_parts)


def _part(text: str, differs: bool) -> Markup:
    if not differs or not text.strip():
        return escape(text)
    return Markup("<mark>{}</mark>").format(text)
