"""``linecall demo``: the sample project, to click through or to watch."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.base import fail, note, quiet_models, table

if TYPE_CHECKING:
    from app.cli.processes import Processes
    from app.config import Settings
    from app.db.engine import Database
    from app.services.alignment import Figure
    from app.simulate.demo import Demo
    from app.simulate.headless import RoundOutcome

_DEFAULT_FOLDER = Path("linecall-data/demo")
_PORT = 8000
_DOING = {
    "embed": "turning the texts into vectors",
    "prelabel": "labelling the pool",
    "mine": "choosing the items",
    "decide": "forming the consensus",
    "train": "fine-tuning",
    "predict": "labelling the pool anew",
    "evaluate": "scoring",
}


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
        _show(data_dir or _DEFAULT_FOLDER, host, port)
        return
    _simulate(simulate, data_dir, json_file, seed)


def demo_settings(folder: Path, **values: Any) -> "Settings":
    """Settings of a demo, whatever LINECALL_DATABASE_URL says: a demo never touches another database."""
    from app.config import Settings

    return Settings(data_dir=folder.absolute(), database_url="", workflow_database_url="", artifacts_url="", **values)


def _show(folder: Path, host: str, port: int | None) -> None:
    from app.cli.processes import Processes

    chosen = _choose_port(host, port)
    config = demo_settings(folder, host=host, port=chosen, base_url=f"http://{_address(host)}:{chosen}")
    processes = Processes(_environment(config))
    processes.handle_signals()
    try:
        _open_first_review(config, processes)
        code = processes.run(restart=["worker"])
    finally:
        processes.stop()
    note("Ended. Nothing is lost: 'linecall demo' goes on here.")
    raise typer.Exit(code)


def _choose_port(host: str, port: int | None) -> int:
    from app.cli.processes import port_is_free

    if port is not None:
        if not port_is_free(host, port):
            fail(f"Port {port} on {host} is taken. Choose another with --port, or leave it out.")
        return port
    free = next((candidate for candidate in range(_PORT, _PORT + 100) if port_is_free(host, candidate)), None)
    if free is None:
        fail(f"No port from {_PORT} to {_PORT + 99} is free on {host}. Choose one with --port.")
    if free != _PORT:
        note(f"Port {_PORT} is taken, so this is port {free}.")
    return free


def _address(host: str) -> str:
    """Where a browser on this machine finds it."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _environment(config: "Settings") -> dict[str, str]:
    from app.cli.processes import child_environment

    return child_environment(
        LINECALL_DATA_DIR=str(config.data_dir),
        LINECALL_DATABASE_URL="",
        LINECALL_WORKFLOW_DATABASE_URL="",
        LINECALL_ARTIFACTS_URL="",
        LINECALL_HOST=config.host,
        LINECALL_PORT=str(config.port),
        LINECALL_BASE_URL=config.base_url,
        LINECALL_LOG_LEVEL="WARNING",
    )


def _open_first_review(config: "Settings", processes: "Processes") -> None:
    from app.db.engine import Database
    from app.simulate.demo import ensure_open_round, sign_in_links

    fresh = not (config.data_dir / "linecall.sqlite").exists()
    note("Making the project and importing 1,500 ads …" if fresh else f"Going on with the demo in {config.data_dir}.")
    db = Database(config.resolved_database_url)
    try:
        demo = _ready_demo(config, db, fresh)
        processes.start("web", "web")
        processes.start("worker", "worker")
        number = ensure_open_round(db, demo)
        state = _wait_for_review(db, demo, number, processes)
        if _wait_for_pages(config, processes):
            links = sign_in_links(db, demo, config.resolved_base_url)
            _print_links(config, number, state, links)
    finally:
        db.dispose()


def _ready_demo(config: "Settings", db: "Database", fresh: bool) -> "Demo":
    from app.db import migrate
    from app.services.projects import ProjectSettings
    from app.simulate.demo import find_demo, make_demo

    if fresh:
        return make_demo(config, db, project_settings=ProjectSettings())
    migrate.upgrade(config.resolved_database_url)
    return find_demo(db)


def _wait_for_review(db: "Database", demo: "Demo", number: int, processes: "Processes") -> str:
    """Tell how far the worker is until the round waits for people; returns the round's state."""
    import time

    from app.services import overview, rounds

    told = ""
    while not processes.stopping and processes.alive("web"):
        with db.read() as session:
            round_ = rounds.get_round(session, demo.project_id, number)
            lines = overview.stage_lines(session, round_)
        if round_.state not in ("preparing", "concluding"):
            return round_.state
        stage = next((line.stage for line in lines if line.state == "running"), "")
        if stage and stage != told:
            told = stage
            note(f"Round {number}: {_DOING.get(stage, stage)} …")
        time.sleep(0.1)
    return "preparing"


def _wait_for_pages(config: "Settings", processes: "Processes") -> bool:
    """Whether a link that is opened at once leads somewhere; not if the web process has died."""
    import socket
    import time

    place = (_address(config.host).strip("[]"), config.port)
    while not processes.stopping and processes.alive("web"):
        try:
            socket.create_connection(place, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False


def _print_links(config: "Settings", number: int, state: str, links: "list[tuple[str, str, str]]") -> None:
    waits = "is open for review" if state == "review" else f"stands at '{state}'"
    typer.echo(f"\nLinecall is at {config.resolved_base_url} – round {number} {waits}.\n")
    typer.echo("Each link signs one person in, once. Open each in a browser or private window of its own:\n")
    for name, role, link in links:
        typer.echo(f"  {name:<6} {role:<7} {link}")
    typer.echo("\nCtrl-C ends the demo; starting it again prints new links. For other commands on this demo:")
    typer.echo(f"  export LINECALL_DATA_DIR={config.data_dir}\n")


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
