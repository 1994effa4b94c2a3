"""A study as one HTML file: the article's two tables and figure for these data, and the learning curves."""

import json
import statistics
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from app.errors import Unavailable
from app.resources import resource
from app.simulate.charts import condition_chart, curve_chart
from app.simulate.conditions import StudyOptions
from app.simulate.summary import Mean, Summary

_STYLE = "pico.min.css"
_SCRIPTS = ("vega.min.js", "vega-lite.min.js", "vega-embed.min.js")


def html_report(summaries: Sequence[Summary], options: StudyOptions, seeds: Sequence[int], command: str) -> str:
    """A page that needs nothing else: styles, scripts and figures are inside.

    Raises Unavailable where the pages' packages have not been fetched (``make assets``).
    """
    require_assets()
    environment = Environment(
        loader=FileSystemLoader(resource("templates")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"kappa": kappa, "whole": whole, "percent": percent, "stops": stops}
    vendor = resource("static") / "vendor"
    charts = [_charts(number, summary) for number, summary in enumerate(summaries)]
    return environment.get_template("simulation.html").render(
        summaries=summaries,
        options=options,
        seeds=list(seeds),
        command=command,
        overall=mean_areas(summaries),
        style=Markup((vendor / _STYLE).read_text("utf-8")),  # noqa: S704 our own build
        scripts=[Markup((vendor / name).read_text("utf-8")) for name in _SCRIPTS],  # noqa: S704 our own build
        charts=_json([chart for pair in charts for chart in pair]),
    )


def require_assets() -> None:
    """Raises Unavailable where a report can't be written, for want of the pages' packages."""
    vendor = resource("static") / "vendor"
    if missing := [name for name in (_STYLE, *_SCRIPTS) if not (vendor / name).is_file()]:
        raise Unavailable(f"A report needs {missing[0]}, which 'make assets' fetches.")


def mean_areas(summaries: Sequence[Summary]) -> dict[str, dict[str, float]]:
    """By engine, then strategy: the mean over data sets of the area under the curve, for strategies that ran on all."""
    engines: dict[str, list[Summary]] = defaultdict(list)
    for summary in summaries:
        engines[summary.engine].append(summary)
    means = {}
    for name, parts in engines.items():
        areas: dict[str, list[float]] = defaultdict(list)
        for found in (strategy for part in parts for strategy in part.strategies):
            if found.area.value is not None:
                areas[found.strategy].append(found.area.value)
        whole_rows = {strategy: values for strategy, values in areas.items() if len(values) == len(parts)}
        ranked = sorted(whole_rows.items(), key=lambda row: -statistics.fmean(row[1]))
        means[name] = {strategy: statistics.fmean(values) for strategy, values in ranked}
    return means


def kappa(mean: Mean, *, signed: bool = False) -> str:
    if mean.value is None:
        return "–"
    sign = "+" if signed else ""
    if mean.low is None or mean.high is None:
        return f"{mean.value:{sign}z.3f}"
    return f"{mean.value:{sign}z.3f} ({mean.low:{sign}z.2f} to {mean.high:{sign}z.2f})"


def whole(mean: Mean) -> str:
    return "–" if mean.value is None else f"{mean.value:,.0f}"


def percent(mean: Mean) -> str:
    return "–" if mean.value is None else f"{mean.value:.0%}"


def stops(found: Sequence[tuple[int | None, str]]) -> str:
    """'4 plateau, 5 match, never': one entry a seed."""
    return ", ".join("never" if number is None else f"{number} {kind}" for number, kind in found)


def _charts(number: int, summary: Summary) -> list[dict[str, Any]]:
    return [
        {"id": f"conditions-{number}", "light": condition_chart(summary), "dark": condition_chart(summary, "dark")},
        {"id": f"curves-{number}", "light": curve_chart(summary), "dark": curve_chart(summary, "dark")},
    ]


def _json(value: object) -> Markup:
    """JSON for a script element: nothing in it can end the element."""
    return Markup(json.dumps(value).replace("<", "\\u003c"))  # noqa: S704 escaped in this line
