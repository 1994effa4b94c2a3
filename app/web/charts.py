"""Charts as Altair specifications: one definition for the page, the download and a report.

Altair is loaded when the first chart is asked for, never at the start of the web process.
"""

from dataclasses import dataclass
from typing import Any, Literal

from app.services.alignment import CONTROL, EVALUATION, SLICES, AlignmentReport, Figure, Internal, Point

Theme = Literal["light", "dark"]
SLICE_NAMES = {EVALUATION: "Evaluation set", CONTROL: "Control slice"}
PRELABELLER = "pre-labeller"
_DIGITS = 4  # more would be noise of floating point, and -2.8e-15 must not become a minus sign
_FONT = "system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


@dataclass(frozen=True)
class _Colours:
    evaluation: str
    control: str
    experts: str
    ink: str
    soft: str
    grid: str
    paper: str


_COLOURS: dict[Theme, _Colours] = {
    "light": _Colours("#1c625d", "#b4651a", "#5a6b8c", "#1d2529", "#56636a", "#e4e9e8", "#ffffff"),
    "dark": _Colours("#6cc5bb", "#e0a25f", "#9fb0d3", "#dfe6e6", "#9aa8aa", "#2b3639", "#181f22"),
}


def alignment_chart(report: AlignmentReport, theme: Theme = "light") -> dict[str, Any]:
    """Vega-Lite: model–human kappa by model version on both slices with 95 % intervals, the experts' internal
    alignment as a band, and the pre-labeller's kappa as a dashed line. A report without points has empty axes."""
    import altair as alt

    colours = _COLOURS[theme]
    ceiling, first = report.ceiling(), next(iter(report.series(EVALUATION)), None)
    layers: list[Any] = []
    if ceiling is not None and ceiling.kappa.value is not None:
        layers += _band(alt, ceiling, colours)
    if first is not None and first.round_number == 0 and first.kappa.value is not None:
        layers += _reference(alt, first, colours)
    layers += _baseline(alt, report, colours)
    layers += _series(alt, report, colours)
    chart = alt.layer(*layers).properties(width="container", height=340, background=colours.paper)
    title = alt.TitleParams(
        _key(report), anchor="start", frame="bounds", color=colours.soft, fontSize=12, fontWeight="normal", offset=10
    )
    chart = chart.properties(title=title).configure(font=_FONT, padding={"left": 4, "right": 10, "top": 6, "bottom": 4})
    chart = chart.configure_view(stroke=None).configure_axis(
        domainColor=colours.soft,
        gridColor=colours.grid,
        labelColor=colours.soft,
        tickColor=colours.soft,
        titleColor=colours.ink,
        titleFontWeight="normal",
        labelFontSize=12,
        titleFontSize=12,
    )
    chart = chart.configure_legend(
        labelColor=colours.ink, orient="top", title=None, labelFontSize=12, labelLimit=300, columns=1, offset=8
    )
    specification: dict[str, Any] = chart.to_dict()
    specification["description"] = _description(report)
    return specification


def _band(alt: Any, ceiling: Internal, colours: _Colours) -> list[Any]:
    """The experts' internal alignment across the whole width, with its interval."""
    data = alt.InlineData(values=[{**_figure(ceiling.kappa), "what": "Experts among themselves"}])
    tooltip = [alt.Tooltip("what:N", title="Figure"), *_figure_tooltips(alt)]
    across = {"x": alt.value(0), "x2": alt.value("width"), "tooltip": tooltip}
    line = alt.Chart(data).mark_rule(color=colours.experts, strokeWidth=2).encode(y=alt.Y("kappa:Q"), **across)
    if ceiling.kappa.low is None:
        return [line]
    band = alt.Chart(data).mark_rect(color=colours.experts, opacity=0.16)
    return [band.encode(y=alt.Y("low:Q"), y2="high:Q", **across), line]


def _reference(alt: Any, first: Point, colours: _Colours) -> list[Any]:
    data = alt.InlineData(values=[{**_figure(first.kappa), "what": "Pre-labeller"}])
    tooltip = [alt.Tooltip("what:N", title="Figure"), *_figure_tooltips(alt)]
    across = {"x": alt.value(0), "x2": alt.value("width"), "tooltip": tooltip}
    rule = alt.Chart(data).mark_rule(color=colours.soft, strokeDash=[5, 4], strokeWidth=1.5)
    return [rule.encode(y=alt.Y("kappa:Q"), **across)]


def _baseline(alt: Any, report: AlignmentReport, colours: _Colours) -> list[Any]:
    reference = report.reference()
    if reference is None or reference.kappa.value is None:
        return []
    data = alt.InlineData(values=[{**_figure(reference.kappa), "what": "Baseline"}])
    tooltip = [alt.Tooltip("what:N", title="Figure"), *_figure_tooltips(alt)]
    across = {"x": alt.value(0), "x2": alt.value("width"), "tooltip": tooltip}
    rule = alt.Chart(data).mark_rule(color=colours.control, strokeDash=[2, 3], strokeWidth=1.5)
    return [rule.encode(y=alt.Y("kappa:Q"), **across)]


def _key(report: AlignmentReport) -> list[str]:
    """What the band and the dashed line are, above the chart, where no mark can cover it."""
    ceiling, first = report.ceiling(), next(iter(report.series(EVALUATION)), None)
    lines = []
    if ceiling is not None:
        lines.append(f"Band: experts, {_short(ceiling.kappa.value)} (evaluation set, n = {ceiling.kappa.n:,})")
    if first is not None and first.round_number == 0:
        lines.append(f"Dashed: pre-labeller, {_short(first.kappa.value)} (n = {first.kappa.n:,})")
    reference = report.reference()
    if reference is not None and reference.kappa.value is not None:
        lines.append(f"Dotted: baseline, {_short(reference.kappa.value)} (n = {reference.kappa.n:,})")
    return lines


def _series(alt: Any, report: AlignmentReport, colours: _Colours) -> list[Any]:
    names = {slice_: _series_name(report, slice_) for slice_ in SLICES if report.series(slice_)}
    rows = [_row(point, names[point.slice]) for point in report.points]
    order = list(dict.fromkeys(row["model"] for row in rows))
    chart = alt.Chart(alt.InlineData(values=rows))
    axis = alt.Axis(labelAngle=0, title="Model version: after round", labelLimit=90, labelOverlap=False)
    shared = {
        "x": alt.X("model:N", sort=order, scale=alt.Scale(type="band", paddingOuter=0.15), axis=axis),
        "xOffset": alt.XOffset("offset:Q", scale=alt.Scale(domain=[-4, 4])),
        "color": alt.Color(
            "series:N",
            scale=alt.Scale(domain=list(names.values()), range=[getattr(colours, slice_) for slice_ in names]),
        ),
    }
    y = alt.Y("kappa:Q", title="Cohen's kappa", scale=alt.Scale(domain=_domain(report)))
    tips = [
        alt.Tooltip("series:N", title="Slice"),
        alt.Tooltip("version:N", title="Model version"),
        *_figure_tooltips(alt),
        alt.Tooltip("training:Q", title="Fine-tuning labels", format=","),
    ]
    shape = alt.Shape("series:N", scale=alt.Scale(domain=list(names.values()), range=["circle", "diamond"]))
    known = chart.transform_filter("isValid(datum.kappa)")
    unknown = chart.transform_filter("!isValid(datum.kappa)")
    return [
        known.mark_line(strokeWidth=2, opacity=0.55).encode(y=y, **shared),
        known.mark_rule(strokeWidth=2).encode(y=alt.Y("low:Q"), y2="high:Q", tooltip=tips, **shared),
        known.mark_point(size=85, filled=True, opacity=1).encode(y=y, tooltip=tips, shape=shape, **shared),
        unknown.mark_text(text="undefined", baseline="bottom", dy=-2, fontSize=11).encode(
            y=alt.value("height"),
            tooltip=[*tips[:2], alt.Tooltip("undefined:N", title="Undefined")],
            **shared,
        ),
    ]


def _figure_tooltips(alt: Any) -> list[Any]:
    return [
        alt.Tooltip("kappa:Q", title="Kappa", format=".2f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", title="n (items)", format=","),
    ]


def _row(point: Point, series: str) -> dict[str, Any]:
    after = f"after round {point.round_number} ({point.engine})" if point.round_number else PRELABELLER
    return {
        "model": model_name(point),
        "version": f"{point.version}, {after}",
        "series": series,
        "slice": point.slice,
        "offset": -1 if point.slice == EVALUATION else 1,
        "training": point.training_size,
        **_figure(point.kappa),
    }


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "kappa": tidy(figure.value),
        "low": tidy(figure.low),
        "high": tidy(figure.high),
        "interval": "none" if figure.low is None else f"{_short(figure.low)} to {_short(figure.high)}",
        "n": figure.n,
        "undefined": figure.undefined,
    }


def model_name(point: Point) -> str:
    """The place on the axis: the pre-labeller, or the round that made the version."""
    return str(point.round_number) if point.round_number else PRELABELLER


def tidy(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS) + 0.0


def _short(value: float | None) -> str:
    return "undefined" if value is None else f"{value:z.2f}".replace("-", "\u2212")


def _series_name(report: AlignmentReport, slice_: str) -> str:
    sizes = {point.kappa.n for point in report.series(slice_)}
    n = f"{min(sizes):,}" if len(sizes) == 1 else f"{min(sizes):,}\u2013{max(sizes):,}"
    return f"{SLICE_NAMES[slice_]}, n = {n}"


def _domain(report: AlignmentReport) -> list[float]:
    """From 0, or lower where something is, up to 1."""
    ceiling = report.ceiling()
    figures = [point.kappa for point in report.points] + ([ceiling.kappa] if ceiling else [])
    lowest = [value for figure in figures for value in (figure.low, figure.value) if value is not None]
    return [min([0.0, *(int(value * 10 - 1) / 10 for value in lowest if value < 0)]), 1.0]


def _description(report: AlignmentReport) -> str:
    if report.round_number is None:
        return "No round has been finished yet, so there is nothing to draw."
    return (
        f"Model–human alignment (Cohen's kappa) of {len(report.series(EVALUATION))} model versions, as scored after "
        f"round {report.round_number}. The table on the same page holds every figure."
    )
