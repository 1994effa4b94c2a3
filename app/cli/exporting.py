"""``linecall export``."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.base import database, settings
from app.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from app.db.tables import Project


def export(
    slug: Annotated[str, typer.Argument(metavar="PROJECT", help="The project's short name.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File or folder to write; left out: standard output.")
    ] = None,
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format", help="jsonl, csv, parquet or datasets (a folder); left out: from the file's name, else jsonl."
        ),
    ] = None,
    scope: Annotated[str, typer.Option(help="all items, or only the labelled ones.")] = "all",
    names: Annotated[bool, typer.Option("--names", help="Experts by name, not by number.")] = False,
) -> None:
    """Write a project's items with labels, answers and predictions. docs/export.md describes the columns.

    The format 'datasets' is a folder that the datasets library loads. A file or folder appears under its name only
    when it is complete; a folder that is there already must be empty.

    Exit codes: 0 written; 1 refused or failed; 2 wrong usage.
    """
    from app.services import exports, projects

    kind = format_name or (output.suffix.lstrip(".").lower() if output else "") or "jsonl"
    exports.check(kind, scope)
    with database(settings()) as db:
        with db.write() as session:
            exports.record(session, projects.get_project(session, slug), kind, scope, names=names)
        with db.read() as session:
            project = projects.get_project(session, slug)
            if kind == exports.DATASET:
                _write_dataset(session, project, output, scope, names=names)
            else:
                _write_file(exports.export(session, project, kind, scope, names=names), output)


def _write_file(blocks: Iterator[bytes], output: Path | None) -> None:
    if output is None:
        for block in blocks:
            sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()
        return
    if output.is_dir():
        raise InvalidInput(f"{output} is a folder.", field="output")
    unfinished = output.with_name(f"{output.name}.part")
    with unfinished.open("wb") as target:
        target.writelines(blocks)
    unfinished.replace(output)


def _write_dataset(session: "Session", project: "Project", output: Path | None, scope: str, *, names: bool) -> None:
    from app.ml.portable import write_folder
    from app.services import exports
    from app.services.report import report
    from app.web.report import dataset_card

    if output is None:
        raise InvalidInput("A folder can't go to standard output: name it with --output.", field="output")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise Conflict(f"{output} is there already, and is not an empty folder.")
    card = dataset_card(report(session, project))
    with tempfile.TemporaryDirectory(dir=output.absolute().parent, prefix=f"{output.name}.part-") as made:
        write_folder(exports.export_dataset(session, project, card, scope, names=names), Path(made) / "folder")
        (Path(made) / "folder").replace(output)
