"""A first draft for people who have never written a guideline: the headings that a good one has."""

from collections.abc import Sequence


def guideline_template(labels: Sequence[str]) -> str:
    """Markdown to be filled in. Of two labels the second is what is looked for."""
    wanted, *others = [labels[-1], *labels[:-1]] if len(labels) == 2 else list(labels)
    sections = "\n\n".join(_section(label) for label in [wanted, *others])
    return f"{_INTRODUCTION}\n\n{sections}\n\n{_EDGE_CASES}"


def places_to_fill(text: str) -> int:
    """How many of the template's places a guideline still has as they were."""
    return sum(text.count(place) for place in ("*…*", "*a text*", "*a text near the line*", _TWO_SENTENCES))


_TWO_SENTENCES = "*In two sentences:"
_INTRODUCTION = f"""## What this is about

{_TWO_SENTENCES} what is being looked for, and what the labels will be used for. Write for somebody who has never \
seen the texts.*"""


def _section(label: str) -> str:
    return f"""## {label}

**What it is.** *One sentence that decides most cases. Then the marks to look for:*

- *…*
- *…*

**What it isn't.** *What looks like it and is not, and which label it gets instead:*

- *…*

**Examples.**

- “*a text*” – *because …*
- “*a text near the line*” – *because …*"""


_EDGE_CASES = """## Edge cases

*Number them, so that people can refer to them. Add one whenever two experts disagree.*

1. *Both could be true:* …
2. *The text is too short, or in a language that you don't read:* skip it.
3. *The text quotes somebody else:* …

## When you can't decide

*Which label a doubtful text gets, and when to flag it instead.*"""
