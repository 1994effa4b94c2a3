"""What the texts of a group have that the others have not: a few words to name it by."""

import math
import re
from collections import Counter
from collections.abc import Sequence

_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f"  # kana, Han, Thai: written without spaces
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W\d_{_UNSPACED}](?:['\u2019]?[^\W\d_{_UNSPACED}])+")
_FIRST_CHARACTERS = 2000
_LONGEST = 24
_TELLING = 1.5  # times as frequent as elsewhere, at least
_RUN = re.compile(f"[{_UNSPACED}]")


def words_of(text: str) -> set[str]:
    """The different words of a text's beginning, in lower case: letters only, two at least. Of scripts without spaces
    every two characters that follow each other."""
    found: set[str] = set()
    for word in _WORD.findall(text[:_FIRST_CHARACTERS].lower()):
        if _RUN.match(word):
            found.update(word[i : i + 2] for i in range(len(word) - 1))
        elif len(word) <= _LONGEST:
            found.add(word.replace("\u2019", "'"))
    return found


def distinctive_words(texts: Sequence[str], groups: Sequence[int], n_groups: int, n_words: int = 3) -> list[list[str]]:
    """For each group the words that tell it from the rest, the most telling first; fewer where there are none.

    A word's weight is p · log(p / q)², with p the share of the group's texts that hold it and q that of all other
    texts, both with half a text added: class-based TF-IDF on texts instead of counts, so that no long text names a
    group, with the square so that no word does that everybody uses. A word must be in two texts of its group, if the
    group has as many.
    """
    inside = [Counter[str]() for _ in range(n_groups)]
    sizes = Counter(groups)
    for text, group in zip(texts, groups, strict=True):
        inside[group].update(words_of(text))
    everywhere = Counter[str]()
    for counts in inside:
        everywhere.update(counts)
    return [_most_telling(counts, everywhere, sizes[group], len(texts), n_words) for group, counts in enumerate(inside)]


def _most_telling(counts: Counter[str], everywhere: Counter[str], size: int, total: int, n_words: int) -> list[str]:
    weights = {}
    for word, held in counts.items():
        p = (held + 0.5) / (size + 1)
        q = (everywhere[word] - held + 0.5) / (total - size + 1)
        if p >= _TELLING * q and held >= min(2, size):
            weights[word] = p * math.log(p / q) ** 2
    return sorted(weights, key=lambda word: (-weights[word], word))[:n_words]
