"""``linecall report``."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.base import database, settings
from app.errors import InvalidInput


def report(
    slug: Annotated[str, typer.Argument(metavar="PROJECT", help="The project's short name.")],
    output: Annotated[Path, typer.Argument(dir_okay=False, help="File to write: .html, .pdf or .md (dataset card).")],
) -> None:
    """Write what a project has come to: the report as HTML or PDF, or the dataset's card as Markdown.

    A PDF is printed by Chromium, which must be installed.

    Exit codes: 0 written; 1 refused or failed; 2 wrong usage.
    """
    from app.services import projects
    from app.services.report import report as report_of
    from app.web import printing
    from app.web.report import dataset_card, report_html

    kind = output.suffix.lower()
    if kind not in (".html", ".pdf", ".md"):
        raise InvalidInput("The file's name must end in .html, .pdf or .md.", field="output")
    with database(settings()) as db, db.read() as session:
        project = projects.get_project(session, slug)
        text = dataset_card(report_of(session, project)) if kind == ".md" else report_html(session, project)
    if kind == ".pdf":
        output.write_bytes(printing.pdf(text))
    else:
        output.write_text(text, encoding="utf-8")
    typer.echo(f"Written to {output}.")
