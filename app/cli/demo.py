"""``linecall demo``: the sample project, to click through or to watch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.base import note, quiet_models, table

if TYPE_CHECKING:
    from app.config import Settings
    from app.services.alignment import Figure
    from app.simulate.headless import RoundOutcome

_DEFAULT_FOLDER = Path("linecall-data/demo")


def demo(
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the demo. Default: linecall-data/demo; with --simulate a temporary one."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the web process listens on.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port; left out: 8000, or the next one that is free.")
    ] = None,
    simulate: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Run N rounds with simulated experts instead, and print their figures."),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="With --simulate: also write the figures and timings to this file.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same simulated rounds.")] = 0,
) -> None:
    """Try Linecall on a sample project: 1,500 advertisements, one admin, three experts.

    Without --simulate it starts the pages and a worker, prints a sign-in link for each person once the first review
    is open, and runs until Ctrl-C. Started again on the same folder, it goes on where it was.

    Exit codes: 0 ended in order; 1 refused or failed; 2 wrong usage.
    """
    if simulate is None:
        if json_file is not None:
            raise typer.BadParameter("it goes with --simulate", param_hint="--json")
        raise NotImplementedError
    _simulate(simulate, data_dir, json_file, seed)


def demo_settings(folder: Path, **values: Any) -> "Settings":
    """Settings of a demo, whatever LINECALL_DATABASE_URL says: a demo never touches another database."""
    from app.config import Settings

    return Settings(data_dir=folder.absolute(), database_url="", workflow_database_url="", artifacts_url="", **values)


def _simulate(count: int, data_dir: Path | None, json_file: Path | None, seed: int) -> None:
    import tempfile

    from app.errors import Conflict

    if data_dir is not None:
        if (data_dir / "linecall.sqlite").exists():
            raise Conflict(f"{data_dir} has a demo already. Simulated rounds start in a fresh folder: name another.")
        _run_rounds(data_dir, count, json_file, seed)
        note(f"To look at it: linecall demo --data-dir {data_dir}")
        return
    with tempfile.TemporaryDirectory(prefix="linecall-demo-") as folder:
        _run_rounds(Path(folder), count, json_file, seed)


def _run_rounds(folder: Path, count: int, json_file: Path | None, seed: int) -> None:
    import json
    import time

    began = time.monotonic()
    quiet_models()
    from app.simulate.headless import simulate_rounds

    outcomes = []
    config = demo_settings(folder, worker_poll_seconds=0.1)
    for outcome in simulate_rounds(config, count, seed=seed):
        outcomes.append(outcome)
        parts = ", ".join(f"{name} {outcome.seconds[name]:.1f} s" for name in ("prepare", "review", "conclude"))
        note(f"Round {outcome.round} of {count}: {outcome.answers} answers, {outcome.ties} ties decided; {parts}.")
    seconds = round(time.monotonic() - began, 2)
    typer.echo(_table(outcomes))
    for outcome in outcomes:
        typer.echo(f"\nAdvice after round {outcome.round}: {outcome.advice_reason}")
    note(f"\n{seconds:.0f} s in all.")
    if json_file is not None:
        report = {"seed": seed, "rounds": [outcome.as_json() for outcome in outcomes], "seconds": seconds}
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


_HEADER = (
    "round",
    "labels",
    "positive",
    "internal kappa",
    "model–human kappa",
    "control-slice kappa",
    "advice",
)


def _table(outcomes: "list[RoundOutcome]") -> str:
    rows = [
        (
            outcome.round,
            outcome.labels,
            "–" if outcome.share_positive is None else f"{outcome.share_positive:.0%}",
            show(outcome.internal),
            show(outcome.model),
            show(outcome.control),
            outcome.advice,
        )
        for outcome in outcomes
    ]
    return table(_HEADER, rows)


def show(figure: "Figure | None") -> str:
    """A kappa with its interval and n; an undefined one is said to be so."""
    if figure is None:
        return "–"
    if figure.value is None:
        return f"undefined (n {figure.n})"
    interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.2f}, {figure.high:.2f}]"
    return f"{figure.value:.2f}{interval} (n {figure.n})"
