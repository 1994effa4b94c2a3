"""A page as PDF, printed by Chromium where it is installed."""

import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from app.errors import Unavailable

_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60
_printing = threading.Lock()


def browser() -> str | None:
    """The path of the browser that prints, if there is one."""
    return next((found for name in _BROWSERS if (found := shutil.which(name))), None)


def pdf(html: str) -> bytes:
    """Of a page that loads nothing. One at a time, so that nobody fills the machine with browsers.

    Raises Unavailable without a browser, while another page is printed, or when the browser writes nothing.
    """
    found = browser()
    if found is None:
        raise Unavailable("A PDF needs Chromium, which is not installed here. Write .html and print it from a browser.")
    if not _printing.acquire(blocking=False):
        raise Unavailable("Another report is being printed. Try again in a moment.")
    try:
        return _print(found, html)
    finally:
        _printing.release()


def _print(found: str, html: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        page, target = Path(folder) / "report.html", Path(folder) / "report.pdf"
        page.write_text(html, encoding="utf-8")
        as_root = ["--no-sandbox"] if os.geteuid() == 0 else []  # as in a container; the page holds no script
        command = [
            found, "--headless", *as_root, "--disable-gpu", "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile", f"--print-to-pdf={target}", page.as_uri(),
        ]  # fmt: skip
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
        except subprocess.TimeoutExpired as error:
            raise Unavailable("Chromium took too long to print the report.") from error
        if done.returncode or not target.is_file():
            raise Unavailable("Chromium could not print the report.", detail=done.stderr[-500:])
        return target.read_bytes()
