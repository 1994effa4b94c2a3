"""Tables of benchmarks/README.md from what ``linecall simulate --json`` wrote: one table of areas, one of kappas.

python -m benchmarks.curation_tables study.json [more.json …]
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

Summary = dict[str, Any]


def read(paths: list[str]) -> list[Summary]:
    """Summaries of all files, each named by its data and prevalence."""
    found = []
    for path in paths:
        for summary in json.loads(Path(path).read_text("utf-8"))["summaries"]:
            share = summary["prevalence"]["value"]
            found.append(summary | {"name": f"{summary['data']}, {share:.0%}"})
    return found


def interval(mean: dict[str, Any]) -> str:
    if mean["value"] is None:
        return "–"
    reach = f" ± {mean['high'] - mean['value']:.3f}" if mean["high"] is not None else ""
    return f"{mean['value']:.3f}{reach}"


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def areas(summaries: list[Summary]) -> str:
    """Strategies by falling mean area over the data sets; in brackets how many sets' intervals of the difference
    from random lie above 0, and how many below."""
    by_strategy: dict[str, list[dict[str, Any]]] = {}
    for summary in summaries:
        for found in summary["strategies"]:
            by_strategy.setdefault(found["strategy"], []).append(found)
    whole = {name: rows for name, rows in by_strategy.items() if len(rows) == len(summaries)}
    ranked = sorted(whole.items(), key=lambda row: -statistics.fmean(found["area"]["value"] for found in row[1]))
    rows = []
    for name, found in ranked:
        above = sum((one["over_random"]["low"] or 0) > 0 for one in found)
        below = sum((one["over_random"]["high"] or 0) < 0 for one in found)
        mean = statistics.fmean(one["area"]["value"] for one in found)
        rows.append([name, *(interval(one["area"]) for one in found), f"{mean:.3f}", f"{above} / {below}"])
    return table(["strategy", *(summary["name"] for summary in summaries), "mean", "above / below random"], rows)


def conditions(summaries: list[Summary], strategy: str) -> str:
    """One row a data set: the crowd's labels and model against ``strategy``'s."""
    rows = []
    for summary in summaries:
        chosen = next(found for found in summary["strategies"] if found["strategy"] == strategy)
        crowd, gold = summary["crowd"], summary["gold"]
        rows.append([
            summary["name"],
            f"{crowd['training']['value']:,.0f}",
            f"{crowd['label_kappa']['value']:.2f}{'' if crowd['real'] else ' (made up)'}",
            interval(summary["prelabels"]),
            interval(crowd["kappa"]),
            interval(gold["kappa"]),
            f"{chosen['training']['value']:.0f}",
            interval(chosen["final"]),
            f"{chosen['final']['value'] / crowd['kappa']['value']:.2f}",
            f"{chosen['reached']} of {chosen['final']['n']}"
            + (f", at {chosen['labels_to_baseline']['value']:.0f}" if chosen["reached"] else ""),
        ])  # fmt: skip
    header = ["data", "crowd's labels", "their kappa", "pre-labeller", "crowd's model", "all true labels' model",
              f"labels of {strategy}", "its model", "times the crowd's", "reached the crowd's"]  # fmt: skip
    return table(header, rows)


def main() -> None:
    summaries = read(sys.argv[1:])
    for engine in dict.fromkeys(summary["engine"] for summary in summaries):
        part = [summary for summary in summaries if summary["engine"] == engine]
        best = areas(part)
        print(f"## {engine}\n\n{best}\n")
        print(conditions(part, best.splitlines()[2].split("|")[1].strip()), "\n")


if __name__ == "__main__":
    main()
