"""A round's map as a drawing: a few hundred shapes whatever the pool's size, the same for the page and the file."""

import math
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from app.services.maps import Chosen, RoundMap

SIZE = 1000  # units a side
CELLS = 128  # cells a side that are drawn; what is stored is finer
LEVELS = 5


@dataclass(frozen=True)
class Shade:
    """The cells of a label (the number of labels: of items without one) that hold about as many items, as a path."""

    label: int
    level: int
    path: str


@dataclass(frozen=True)
class Dot:
    """An item of the round. ``overruled``: the experts' consensus is not the model's label."""

    item: Chosen
    x: float
    y: float
    overruled: bool


@dataclass(frozen=True)
class Line:
    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True)
class Name:
    x: float
    y: float
    words: str


@dataclass(frozen=True)
class Picture:
    size: int
    scale: float
    levels: int
    shades: list[Shade]
    lines: list[Line]
    dots: list[Dot]
    names: list[Name]


def picture(drawn: RoundMap) -> Picture:
    unit = SIZE / drawn.extent
    dots = [_dot(item, unit) for item in drawn.chosen]
    at = {dot.item.id: dot for dot in dots}
    pairs = [(at[pair.left], at[pair.right]) for pair in drawn.pairs if pair.left in at and pair.right in at]
    named = [region for region in drawn.regions if region.words and sum(region.counts)]
    return Picture(
        size=SIZE,
        scale=SIZE / CELLS,
        levels=LEVELS,
        shades=[shade for label, packed in enumerate(drawn.density) for shade in _shades(label, packed, drawn.grid)],
        lines=[Line(left.x, left.y, right.x, right.y) for left, right in pairs],
        dots=sorted(dots, key=lambda dot: dot.overruled),  # what matters most lies on top
        names=[Name(round(r.x * unit, 1), round(r.y * unit, 1), ", ".join(r.words[:3])) for r in named],
    )


def _dot(item: Chosen, unit: float) -> Dot:
    overruled = None not in (item.label, item.consensus) and item.label != item.consensus
    return Dot(item, round(item.x * unit, 1), round(item.y * unit, 1), overruled)


def _shades(label: int, packed: str, grid: int) -> Iterator[Shade]:
    counts = _coarser(_unpack(b64decode(packed)), grid)
    most = max(counts.values(), default=0)
    by_level: dict[int, list[int]] = {}
    for cell, count in sorted(counts.items()):
        by_level.setdefault(_level(count, most), []).append(cell)
    for level, cells in sorted(by_level.items()):
        yield Shade(label, level, "".join(_runs(cells)))


def _coarser(numbers: Iterable[int], grid: int) -> dict[int, int]:
    """Items by cell of CELLS × CELLS, those cells that have any."""
    step, counts = grid // CELLS, dict[int, int]()
    for at, count in enumerate(numbers):
        if count:
            cell = at // grid // step * CELLS + at % grid // step
            counts[cell] = counts.get(cell, 0) + count
    return counts


def _unpack(packed: bytes) -> Iterator[int]:
    """LEB128, as app.curation.packing writes it; here without numpy, which this process has no other use for."""
    value = shift = 0
    for byte in packed:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield value
            value = shift = 0


def _level(count: int, most: int) -> int:
    """1 … LEVELS by the logarithm, so that a thin edge shows beside a thick middle."""
    if most == 1:
        return LEVELS // 2 + 1
    return 1 + min(LEVELS - 1, int(LEVELS * math.log(count) / math.log(most)))


def _runs(cells: list[int]) -> Iterator[str]:
    """Cells that lie side by side in a row become one rectangle."""
    start = 0
    for at in range(1, len(cells) + 1):
        if at == len(cells) or cells[at] != cells[at - 1] + 1 or cells[at] % CELLS == 0:
            row, column = divmod(cells[start], CELLS)
            yield f"M{column} {row}h{at - start}v1h-{at - start}z"
            start = at
