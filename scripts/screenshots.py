"""Takes the pictures in docs/screenshots: every page of a demo project after three simulated rounds.

    python scripts/screenshots.py [--all] [--out docs/screenshots]

The two pictures that the README shows are the default; ``--all`` takes every page, light and dark, wide and phone.
"""

import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import select

from app.config import Settings
from app.db.engine import Database
from app.db.tables import Membership, Project, Round
from app.services import accounts, rounds

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PAGES = {
    "label": ("expert", "/label"),
    "answers": ("expert", "/answers"),
    "alignment": ("admin", "/alignment"),
    "overview": ("admin", ""),
    "rounds": ("admin", "/rounds"),
    "round": ("admin", "/rounds/1"),
    "review": ("admin", "/rounds/4"),
    "round-items": ("admin", "/rounds/1/items"),
    "pool": ("admin", "/pool"),
    "people": ("admin", "/people"),
    "settings": ("admin", "/settings"),
    "guideline": ("admin", "/guideline"),
}
README_PICTURES = {"label": (1280, 560), "alignment": (1280, 1120)}  # the top of each page
SIZES = {"wide": (1280, 800), "phone": (360, 740)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    options = parser.parse_args()
    chromium = os.environ.get("LINECALL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Install chromium, or set LINECALL_CHROMIUM to its path.")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as (base, slug, cookies), sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=FLAGS)
        for name, (who, path) in PAGES.items() if options.all else ():
            for scheme in ("light", "dark"):
                for size, viewport in SIZES.items():
                    target = options.out / f"{name}-{scheme}-{size}.png"
                    take(browser, f"{base}/p/{slug}{path}", cookies[who], scheme, viewport, target, whole=True)
        for name, viewport in README_PICTURES.items() if not options.all else ():
            who, path = PAGES[name]
            target = options.out / f"{name}.png"
            take(browser, f"{base}/p/{slug}{path}", cookies[who], "light", viewport, target, whole=False)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, str, dict[str, str]]]:
    """A demo project after three rounds with the fourth in review: its address, its slug, and a cookie by role."""
    linecall = [sys.executable, "-m", "app.cli"]
    subprocess.run([*linecall, "demo", "--simulate", "3", "--data-dir", str(folder)], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"LINECALL_DATA_DIR": str(folder)}
    process = subprocess.Popen([*linecall, "serve", "--port", str(port)], env=environment)
    db = Database(Settings(data_dir=folder).resolved_database_url)
    try:
        slug, cookies = _open_fourth_round(db)
        yield f"http://127.0.0.1:{port}", slug, cookies
    finally:
        process.terminate()
        process.wait()
        db.dispose()


def _open_fourth_round(db: Database) -> tuple[str, dict[str, str]]:
    with db.write() as session:
        project = session.scalars(select(Project)).one()
        round_id = rounds.start_round(session, project).id
        cookies = {}
        for member in session.scalars(select(Membership).order_by(Membership.id)):
            cookies[member.role] = accounts.start_session(session, member.user_id, days=1)
    for _ in range(600):
        with db.read() as session:
            if session.get_one(Round, round_id).state == "review":
                return project.slug, cookies
        time.sleep(0.1)
    raise SystemExit("the fourth round did not open")


def take(
    browser: Browser, url: str, cookie: str, scheme: str, size: tuple[int, int], target: Path, *, whole: bool
) -> None:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if scheme == "dark" else "light"
    )
    context.add_cookies([{"name": "linecall", "value": cookie, "url": url}])
    page = context.new_page()
    page.goto(url)
    page.wait_for_timeout(2500)  # charts draw themselves after loading; pages that poll are never idle
    page.screenshot(path=target, full_page=whole)
    print(target)
    context.close()


if __name__ == "__main__":
    main()
