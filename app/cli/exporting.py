"""``linecall export``."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.base import database, settings


def export(
    slug: Annotated[str, typer.Argument(metavar="PROJECT", help="The project's short name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", dir_okay=False, help="File to write; left out: standard output.")
    ] = None,
    format_name: Annotated[
        str | None, typer.Option("--format", help="jsonl, csv or parquet; left out: from the file's name, else jsonl.")
    ] = None,
    scope: Annotated[str, typer.Option(help="all items, or only the labelled ones.")] = "all",
    names: Annotated[bool, typer.Option("--names", help="Experts by name, not by number.")] = False,
) -> None:
    """Write a project's items with labels, answers and predictions. docs/export.md describes the columns.

    A file appears under its name only when it is complete.

    Exit codes: 0 written; 1 refused or failed; 2 wrong usage.
    """
    import sys

    from app.services import exports, projects

    kind = format_name or (output.suffix.lstrip(".").lower() if output else "") or "jsonl"
    with database(settings()) as db, db.read() as session:
        blocks = exports.export(session, projects.get_project(session, slug), kind, scope, names=names)
        if output is None:
            for block in blocks:
                sys.stdout.buffer.write(block)
            sys.stdout.buffer.flush()
            return
        unfinished = output.with_name(f"{output.name}.part")
        with unfinished.open("wb") as target:
            target.writelines(blocks)
        unfinished.replace(output)
