"""``linecall report``."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from app.cli.base import database, settings
from app.errors import InvalidInput, Unavailable

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PRINT_SECONDS = 60


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
    from app.web.report import dataset_card, report_html

    kind = output.suffix.lower()
    if kind not in (".html", ".pdf", ".md"):
        raise InvalidInput("The file's name must end in .html, .pdf or .md.", field="output")
    with database(settings()) as db, db.read() as session:
        project = projects.get_project(session, slug)
        text = dataset_card(report_of(session, project)) if kind == ".md" else report_html(session, project)
    if kind == ".pdf":
        _print(text, output)
    else:
        output.write_text(text, encoding="utf-8")
    typer.echo(f"Written to {output}.")


def _print(html: str, output: Path) -> None:
    """Raises Unavailable without a browser, or when it writes nothing."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise Unavailable("A PDF needs Chromium, which is not installed here. Write .html and print it from a browser.")
    with tempfile.TemporaryDirectory() as folder:
        page, pdf = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # as in a container; the page holds no script
        command = [
            browser, "--headless", *as_root, "--disable-gpu", "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={pdf}", page.as_uri(),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PRINT_SECONDS, check=False)  # noqa: S603
        if done.returncode or not pdf.is_file():
            raise Unavailable("Chromium could not print the report.", detail=done.stderr[-500:])
        shutil.copyfile(pdf, output)
