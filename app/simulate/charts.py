"""Charts of a study as Vega-Lite specifications."""

from typing import Any, Literal

from app.simulate.summary import Mean, Summary

Theme = Literal["light", "dark"]

PRELABELLER, CROWD, GOLD = "pre-labeller", "all crowd labels", "all true labels"
_INK = {"light": ("#1d2529", "#56636a", "#e4e9e8"), "dark": ("#dfe6e6", "#9aa8aa", "#2b3639")}
_SERIES = {
    # Okabe & Ito's colours, which the colour-blind can tell apart; lighter on dark paper.
    "light": ["#1c625d", "#b4651a", "#5a6b8c", "#a23b72", "#7a7a1f", "#2f7fc1", "#6b4fa0", "#444444"],
    "dark": ["#6cc5bb", "#e0a25f", "#9fb0d3", "#e38bb8", "#cfcf6b", "#7fbcee", "#b9a3e3", "#c4c4c4"],
}
_DASHES = [[1, 0], [5, 3], [2, 2], [8, 3, 2, 3]]


def condition_chart(summary: Summary, theme: Theme = "light") -> dict[str, Any]:
    """Kappa on the hold-out by condition, with 95 % intervals over seeds."""
    import altair as alt

    rows = [_row(name, mean) for name, mean in conditions(summary) if mean.value is not None]
    chart = alt.Chart(alt.InlineData(values=rows))
    y = alt.Y("condition:N", sort=[row["condition"] for row in rows], title=None, axis=alt.Axis(labelLimit=220))
    tips = [alt.Tooltip("condition:N"), *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("kappa", "low", "high"))]
    colour = _SERIES[theme][0]
    bar = chart.mark_bar(color=colour, opacity=0.3, height={"band": 0.6})
    value = alt.X("kappa:Q", title="Kappa on the hold-out", scale=alt.Scale(zero=True))
    layers = [
        bar.encode(x=value, y=y, tooltip=tips),
        chart.mark_rule(color=colour, strokeWidth=2).encode(x="low:Q", x2="high:Q", y=y, tooltip=tips),
        chart.mark_point(color=colour, filled=True, size=70, opacity=1).encode(x=value, y=y, tooltip=tips),
    ]
    return _styled(alt.layer(*layers).properties(height={"step": 26}), theme)


def curve_chart(summary: Summary, theme: Theme = "light") -> dict[str, Any]:
    """Kappa on the hold-out by fine-tuning labels, a line a strategy with its 95 % interval; the crowd's and the
    true labels' models as dashed lines."""
    import altair as alt

    rows = [
        _row(strategy.strategy, point.kappa) | {"labels": round(point.training)}
        for strategy in summary.strategies
        for point in strategy.curve
    ]
    names = [strategy.strategy for strategy in summary.strategies]
    chart = alt.Chart(alt.InlineData(values=rows))
    colours, dashes = _SERIES[theme], _DASHES
    colour = alt.Color(
        "condition:N",
        title=None,
        scale=alt.Scale(domain=names, range=[colours[k % len(colours)] for k in range(len(names))]),
        legend=alt.Legend(orient="bottom", columns=4, labelLimit=180, symbolType="circle", symbolOpacity=1),
    )
    dash = alt.StrokeDash(
        "condition:N",
        legend=None,
        scale=alt.Scale(domain=names, range=[dashes[k // len(colours) % len(dashes)] for k in range(len(names))]),
    )
    x = alt.X("labels:Q", title="Fine-tuning labels")
    y = alt.Y("kappa:Q", title="Kappa on the hold-out", scale=alt.Scale(domain=_domain(summary)))
    tips = [alt.Tooltip("condition:N", title="strategy"), "labels:Q",
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("kappa", "low", "high"))]  # fmt: skip
    layers = [
        chart.mark_area(opacity=0.08, clip=True).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", color=colour),
        chart.mark_line(strokeWidth=2).encode(x=x, y=y, color=colour, strokeDash=dash),
        chart.mark_point(filled=True, size=45, opacity=1).encode(x=x, y=y, color=colour, tooltip=tips),
        *_references(alt, summary, theme),
    ]
    return _styled(alt.layer(*layers).properties(height=360), theme)


def conditions(summary: Summary) -> list[tuple[str, Mean]]:
    """Every condition with its kappa: the pre-labeller, the crowd's labels, each strategy, the true labels."""
    found = [(PRELABELLER, summary.prelabels)]
    if summary.crowd:
        found.append((CROWD, summary.crowd.kappa))
    found += [(strategy.strategy, strategy.final) for strategy in summary.strategies]
    return [*found, (GOLD, summary.gold.kappa)] if summary.gold else found


def _references(alt: Any, summary: Summary, theme: Theme) -> list[Any]:
    known = [(CROWD, summary.crowd), (GOLD, summary.gold)]
    rows = [_row(name, reference.kappa) for name, reference in known if reference and reference.kappa.value is not None]
    if not rows:
        return []
    base = alt.Chart(alt.InlineData(values=rows))
    soft = _INK[theme][1]
    rule = base.mark_rule(color=soft, strokeDash=[5, 4], strokeWidth=1.5).encode(y="kappa:Q")
    # One label above its line and one below: the two lines are often close.
    low, high = sorted(rows, key=lambda row: row["kappa"])[:: len(rows) - 1 or 1][:2] if len(rows) > 1 else rows * 2
    labels = [
        alt.Chart(alt.InlineData(values=[row]))
        .mark_text(color=soft, align="right", baseline=baseline, dx=-4, dy=shift)
        .encode(x=alt.value("width"), y="kappa:Q", text="condition:N")
        for row, baseline, shift in [(high, "bottom", -3), (low, "top", 3)][: len(rows)]
    ]
    return [rule, *labels]


def _domain(summary: Summary) -> list[float]:
    """From the lowest kappa, or 0, to the highest; intervals beyond are cut off, else one with two seeds fills all."""
    values = [mean.value for _, mean in conditions(summary)]
    values += [point.kappa.value for strategy in summary.strategies for point in strategy.curve]
    known = [value for value in values if value is not None]
    return [min(0.0, *known) - 0.02, min(1.0, max(known) + 0.08)]


def _row(name: str, mean: Mean) -> dict[str, Any]:
    def rounded(value: float | None) -> float | None:
        return None if value is None else round(value, 4)

    return {"condition": name, "kappa": rounded(mean.value), "low": rounded(mean.low), "high": rounded(mean.high)}


def _styled(chart: Any, theme: Theme) -> dict[str, Any]:
    ink, soft, grid = _INK[theme]
    chart = chart.properties(width="container", background="transparent").configure_view(stroke=None)
    chart = chart.configure_axis(domainColor=soft, gridColor=grid, labelColor=soft, tickColor=soft, titleColor=ink,
                                 titleFontWeight="normal", labelFontSize=12, titleFontSize=12)  # fmt: skip
    specification: dict[str, Any] = chart.configure_legend(labelColor=ink, labelFontSize=12).to_dict()
    return specification
