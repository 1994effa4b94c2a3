"""The figure of a report: kappa by model version as a picture that needs no script."""

from html import escape

from app.services.alignment import CONTROL, EVALUATION, AlignmentReport, Figure, Point

WIDTH, HEIGHT = 720, 336
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 12, 72
_SHIFT = {EVALUATION: -6.0, CONTROL: 6.0}


def kappa_figure(report: AlignmentReport) -> str:
    """SVG: points with 95 % intervals of both slices, the experts' band, the baseline's line; "" without points."""
    if not report.points:
        return ""
    lowest = min([0.0, *(f.low for p in report.points if (f := p.kappa).low is not None)])
    floor = int(lowest * 10 - 1) / 10 if lowest < 0 else 0.0
    versions = sorted({point.version for point in report.points})
    places = {
        version: _LEFT + (WIDTH - _LEFT - _RIGHT) * (i + 0.5) / len(versions) for i, version in enumerate(versions)
    }
    parts = [*_axes(floor), *_across(report, floor)]
    for point in report.points:
        parts += _mark(point, places[point.version] + _SHIFT[point.slice], floor)
    for point in report.series(EVALUATION):
        name = f"round {point.round_number}" if point.round_number else "pre-labeller"
        parts.append(_text(places[point.version], HEIGHT - _BOTTOM + 18, name, "middle"))
        parts.append(_text(places[point.version], HEIGHT - _BOTTOM + 34, f"n = {point.kappa.n:,}", "middle", "soft"))
    for point in report.series(CONTROL):
        parts.append(
            _text(places[point.version], HEIGHT - _BOTTOM + 50, f"control {point.kappa.n:,}", "middle", "soft")
        )
    title = f"Cohen's kappa by model version, after round {report.round_number}"
    return (
        f'<svg class="figure" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


_LOOKS = {  # of each class, for a file that no style sheet reaches
    "grid": 'stroke="#e4e9e8"',
    "band": 'fill="#5a6b8c" opacity="0.16"',
    "experts": 'stroke="#5a6b8c" stroke-width="2"',
    "baseline": 'stroke="#b4651a" stroke-width="1.5" stroke-dasharray="2 3"',
    "prelabeller": 'stroke="#56636a" stroke-width="1.5" stroke-dasharray="5 4"',
    EVALUATION: 'stroke="#1c625d" fill="#1c625d" stroke-width="2"',
    CONTROL: 'stroke="#b4651a" fill="#b4651a" stroke-width="2"',
    "soft": 'fill="#56636a"',
    "": 'fill="#1d2529"',
}
_KEY = (
    "Circles: evaluation set; diamonds: control slice; bars: 95 % intervals.",
    "Band: experts among themselves; dashed: pre-labeller; dotted: baseline.",
)


def standalone(report: AlignmentReport) -> str:
    """The figure as a file of its own, on white: each mark carries its looks, and the key stands below."""
    figure = kappa_figure(report) or (
        f'<svg class="figure" viewBox="0 0 {WIDTH} {HEIGHT}" xmlns="http://www.w3.org/2000/svg">'
        f"{_text(WIDTH / 2, HEIGHT / 2, 'No round has been finished yet.', 'middle')}</svg>"
    )
    height = HEIGHT + 20 * len(_KEY)
    for name, looks in _LOOKS.items():
        figure = figure.replace(f'class="{name}"', looks)
    key = "".join(
        f'<text x="{_LEFT}" y="{HEIGHT + 20 * i + 8}" fill="#56636a">{escape(line)}</text>'
        for i, line in enumerate(_KEY)
    )
    paper = f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>'
    head = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12"'
    figure = figure.replace(f'class="figure" viewBox="0 0 {WIDTH} {HEIGHT}"', head)
    opened = figure.index(">") + 1
    return f"{figure[:opened]}{paper}{figure[opened:].removesuffix('</svg>')}{key}</svg>"


def _y(value: float, floor: float) -> float:
    return _TOP + (HEIGHT - _TOP - _BOTTOM) * (1 - (value - floor) / (1 - floor))


def _axes(floor: float) -> list[str]:
    parts, tick = [], floor
    while tick <= 1.0001:
        y = _y(tick, floor)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:z.1f}".replace("-", "\u2212"), "end", "soft"))
        tick += 0.2
    return parts


def _across(report: AlignmentReport, floor: float) -> list[str]:
    """What holds for every version: the experts' band and the baseline."""
    parts, ceiling, reference = [], report.ceiling(), report.reference()
    if ceiling is not None and ceiling.kappa.value is not None:
        if ceiling.kappa.low is not None and ceiling.kappa.high is not None:
            top, bottom = _y(min(1.0, ceiling.kappa.high), floor), _y(max(floor, ceiling.kappa.low), floor)
            parts.append(
                f'<rect class="band" x="{_LEFT}" width="{WIDTH - _LEFT - _RIGHT}" y="{top:.1f}" '
                f'height="{bottom - top:.1f}"/>'
            )
        parts.append(_line("experts", ceiling.kappa, floor))
    if reference is not None and reference.kappa.value is not None:
        parts.append(_line("baseline", reference.kappa, floor))
    first = next(iter(report.series(EVALUATION)), None)
    if first is not None and first.round_number == 0 and first.kappa.value is not None:
        parts.append(_line("prelabeller", first.kappa, floor))
    return parts


def _line(kind: str, figure: Figure, floor: float) -> str:
    y = _y(figure.value or 0.0, floor)
    return f'<line class="{kind}" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'


def _mark(point: Point, x: float, floor: float) -> list[str]:
    figure = point.kappa
    if figure.value is None:
        return [_text(x, HEIGHT - _BOTTOM - 4, "undefined", "middle", "soft")]
    parts = []
    if figure.low is not None and figure.high is not None:
        top, bottom = _y(min(1.0, figure.high), floor), _y(figure.low, floor)
        parts.append(f'<line class="{point.slice}" x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}"/>')
    y = _y(figure.value, floor)
    if point.slice == EVALUATION:
        parts.append(f'<circle class="{point.slice}" cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>')
    else:
        parts.append(f'<path class="{point.slice}" d="M{x:.1f} {y - 5.5:.1f}l5.5 5.5l-5.5 5.5l-5.5 -5.5z"/>')
    return parts


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
