"""What one more round is likely to bring, if it goes on as before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from statistics import linear_regression

FEWEST = 3  # points: two make a line that fits whatever they are


@dataclass(frozen=True)
class Trend:
    """``gain`` is the rise of kappa to expect from ``now`` to ``then`` fine-tuning labels, read off a line through
    ``points`` model versions. It has no interval: the versions are scored on the same items, so their errors go
    together, and a handful of points says little about how straight the line is."""

    gain: float
    now: int
    then: int
    points: int


def next_gain(sizes: Sequence[int], kappas: Sequence[float | None], next_size: int) -> Trend | None:
    """A least-squares line of kappa over the logarithm of the training size (learning curves are close to that over a
    few doublings: Figueroa et al. 2012), at most back to a tenth of the present size. None where fewer than
    ``FEWEST`` versions of different sizes are defined, or the next one would be no larger."""
    known = [(size, kappa) for size, kappa in zip(sizes, kappas, strict=True) if kappa is not None and size > 0]
    if not known or next_size <= (now := max(size for size, _ in known)):
        return None
    recent = [(size, kappa) for size, kappa in known if size * 10 >= now]
    if len({size for size, _ in recent}) < FEWEST:
        return None
    slope = linear_regression([log(size) for size, _ in recent], [kappa for _, kappa in recent]).slope
    return Trend(slope * log(next_size / now), now, next_size, len(recent))
