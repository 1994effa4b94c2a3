"""The command line. Each command's module is small and imports what is heavy inside its functions.

Exit codes: 0 done; 1 refused or failed, with a plain message on standard error; 2 a command that can't be understood.
"""

from typing import Annotated

import typer

from app import __version__
from app.cli import (
    backing_up,
    demo,
    doctor,
    exporting,
    importing,
    migrating,
    models,
    projects,
    reporting,
    rounds,
    serving,
    simulating,
    users,
)
from app.cli.base import new_app

__all__ = ["app", "main"]

app = new_app(
    "linecall",
    "Expert labelling with active learning. Settings are read from LINECALL_… (docs/settings.md).\n\n"
    "Exit codes: 0 done; 1 refused or failed, with the reason on standard error; 2 a wrong command line.",
)
app.command("demo")(demo.demo)
app.command("serve")(serving.serve)
app.command("web")(serving.web)
app.command("worker")(serving.worker)
app.command("migrate")(migrating.migrate)
app.command("backup")(backing_up.backup)
app.command("restore")(backing_up.restore)
app.add_typer(users.app)
app.add_typer(projects.app)
app.command("import")(importing.import_file)
app.add_typer(rounds.app)
app.add_typer(models.app)
app.command("export")(exporting.export)
app.command("report")(reporting.report)
app.command("simulate")(simulating.simulate)
app.command("doctor")(doctor.doctor)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"linecall {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Options before the command's name."""


def main() -> None:
    app()
