"""What one more round is likely to bring, if it goes on as before."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt
from statistics import linear_regression

FEWEST = 3  # points: two make a line that fits whatever they are
T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""Student's t by degrees of freedom, here because the web process has no scipy; the last serves for all above it."""


@dataclass(frozen=True)
class Trend:
    """``gain`` is the rise of kappa to expect from ``now`` to ``then`` fine-tuning labels, read off a line through
    ``points`` model versions; ``low`` and ``high`` are its 95 % prediction interval, None where the points lie on
    the line exactly and so do not show how far a next one may lie from it."""

    gain: float
    low: float | None
    high: float | None
    now: int
    then: int
    points: int


def next_gain(sizes: Sequence[int], kappas: Sequence[float | None], next_size: int) -> Trend | None:
    """A least-squares line of kappa over the logarithm of the training size (learning curves are close to that over a
    few doublings: Figueroa et al. 2012), at most back to a tenth of the present size. None where fewer than
    ``FEWEST`` versions of different sizes are defined, or the next one would be no larger.

    The interval is that of the difference of two new readings, the next version's and the present one's, around the
    line (Draper & Smith 1998, section 3.1), cut to what kappa can reach. The versions are scored on the same items, so
    their errors go together and the interval is rather too wide than too narrow: tests/curation/test_outlook.py.
    """
    known = [(size, kappa) for size, kappa in zip(sizes, kappas, strict=True) if kappa is not None and size > 0]
    if not known or next_size <= (now := max(size for size, _ in known)):
        return None
    recent = [(size, kappa) for size, kappa in known if size * 10 >= now]
    if len({size for size, _ in recent}) < FEWEST:
        return None
    logs, values = [log(size) for size, _ in recent], [kappa for _, kappa in recent]
    slope, start = linear_regression(logs, values)
    step = log(next_size / now)
    half = _half_width(logs, [y - start - slope * x for x, y in zip(logs, values, strict=True)], step)
    gain, latest = slope * step, max(recent)[1]
    low = min(gain, max(gain - half, -1 - latest)) if half else None
    high = max(gain, min(gain + half, 1 - latest)) if half else None
    return Trend(gain, low, high, now, next_size, len(recent))


def _half_width(logs: Sequence[float], residuals: Sequence[float], step: float) -> float | None:
    """The line's rise over ``step`` differs from that of two readings by the slope's error and by one residual at each
    end, of which the one at the near end has helped to make the slope."""
    freedom = len(logs) - 2
    squares = sum(residual**2 for residual in residuals)
    if squares < 1e-18:
        return None
    mean = sum(logs) / len(logs)
    spread = sum((x - mean) ** 2 for x in logs)
    variance = 2 + (step**2 + 2 * step * (max(logs) - mean)) / spread
    return T_975[min(freedom, len(T_975)) - 1] * sqrt(variance * squares / freedom)
