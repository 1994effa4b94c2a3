"""The sample project: advertisements written for Linecall, with a hidden degree of clickbait. See docs/sample.md."""

import json
from dataclasses import dataclass
from pathlib import Path

NAME = "Clickbait ads"
LABELS = ["fine", "clickbait"]
# The import takes these columns of the file; the degree stays outside the database, as any truth would.
COLUMNS = {"text": "text", "id": "id", "meta": ["topic"]}
# What the simulated lead, who decides ties, calls clickbait; the experts' own thresholds lie around it.
LEAD_THRESHOLD = 1.5

EXAMPLES = {
    "fine": [
        "Waterproof hiking boots, 89 euros, free returns within 60 days.",
        "New: oat milk in one-litre cartons, now at the corner shop.",
        "Evening classes in Spanish: ten weeks from 8 January, beginners welcome.",
        "Car insurance from 19 a month, with cover for two drivers.",
        "Tired of flat tyres? Our puncture-proof inner tubes fit every 28-inch wheel.",
        "Only until Sunday: a third off all garden chairs, while stocks last!",
    ],
    "clickbait": [
        "You won't believe what this little tool does to your bills.",
        "She opened the box, and then this happened.",
        "The one thing your bank hopes you never find out.",
        "What he found behind the wall changed everything.",
        "Dentists beg you to stop doing this every morning.",
        "Nobody expected number seven. We still can't talk about it.",
    ],
}

_FOLDER = Path(__file__).resolve().parent / "sample"
POOL_FILE = _FOLDER / "ads.jsonl"


@dataclass(frozen=True)
class Ad:
    """``degree`` runs from 0 (says plainly what it sells) to 3 (says nothing, promises everything)."""

    id: str
    text: str
    degree: float
    topic: str


def read_ads(path: Path = POOL_FILE) -> list[Ad]:
    with path.open(encoding="utf-8") as lines:
        return [Ad(**json.loads(line)) for line in lines]


def guideline() -> str:
    return (_FOLDER / "guideline.md").read_text(encoding="utf-8")
