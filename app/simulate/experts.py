"""Simulated experts: what they answer, and why they disagree as people do.

An expert calls an ad clickbait when its hidden degree, plus a little noise, exceeds the expert's own threshold:

    answer = 1 if degree + e > threshold else 0,    e ~ Normal(0, noise)

Different thresholds are a lasting difference of opinion, noise is inattention. Both matter only near the line, so that
experts agree on clear ads and differ on arguable ones. The noise of an answer is drawn from (seed, expert, item), so
that it does not depend on the order in which items are given out. Real experts are not like this: they drift, tire
and misread. What is simulated here proves the machinery, never the method.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np

NOISE = 0.15  # in degrees


@dataclass(frozen=True)
class SimulatedExpert:
    """``number`` sets this expert's noise apart from a colleague's."""

    name: str
    number: int
    threshold: float
    noise: float = NOISE
    seed: int = 0

    def answer(self, item_key: str, degree: float) -> int:
        """1 for clickbait, else 0; the same item gets the same answer."""
        rng = np.random.default_rng([self.seed, self.number, crc32(item_key.encode())])
        return int(degree + rng.normal(0, self.noise) > self.threshold)


_PANEL = (("Ada", 1.3), ("Bruno", 1.5), ("Chidi", 1.7))  # name, threshold


def panel(seed: int) -> list[SimulatedExpert]:
    """The demo's three experts: one strict, one in between, one lenient."""
    return [
        SimulatedExpert(name, number, threshold, seed=seed) for number, (name, threshold) in enumerate(_PANEL, start=1)
    ]
