"""Takes the pictures in docs: the two that the README shows, or every state of every page.

    python scripts/screenshots.py [--all] [--out docs/screenshots]

``--all`` goes through the states of scripts/tour.py, each light and dark, wide and on a phone, and writes
docs/screens.md as well.
"""

import argparse
import base64
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

from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import select
from tour import CHARTS_WAIT, Shoot, Tour, people_of, prepare_fourth_round, whole

from app.config import Settings
from app.db.engine import Database
from app.db.tables import Project

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
SIZES = {"wide": (1280, 800), "phone": (360, 740)}
SCALES = {"wide": 0.7, "phone": 1}  # of the pictures: all of them together have some 4 MB
QUALITY = 52
SEED = "5"  # of the ten in docs/sample.md the run that lies nearest to their mean
IN_HAND = """() => {  // on a phone what is spoken of may be further down
  const field = document.activeElement;
  if (field.closest("form, summary, .guideline")) field.scrollIntoView({ block: "center" });
}"""
INTRODUCTION = """# Screens

Every state of the pages, light and dark, wide and on a phone of 360 points. `python scripts/screenshots.py --all` takes
the pictures anew and writes this page: a demo project after three simulated rounds, with the fourth answered, disputed
and decided on the way.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    options = parser.parse_args()
    chromium = os.environ.get("LINECALL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Install chromium, or set LINECALL_CHROMIUM to its path.")
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, demo(Path(folder)) as (base, db), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        (every_state if options.all else for_the_readme)(browser, base, db, options.out)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[str, Database]]:
    """A demo project after three rounds, with web process and worker: its address and its database."""
    linecall = [sys.executable, "-m", "app.cli"]
    run = ["demo", "--simulate", "3", "--seed", SEED, "--data-dir", str(folder)]
    subprocess.run([*linecall, *run], check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"LINECALL_DATA_DIR": str(folder)}
    process = subprocess.Popen([*linecall, "serve", "--port", str(port)], env=environment)
    db = Database(Settings(data_dir=folder).resolved_database_url)
    try:
        wait_until_it_answers(port)
        yield f"http://127.0.0.1:{port}", db
    finally:
        process.terminate()
        process.wait()
        db.dispose()


def wait_until_it_answers(port: int) -> None:
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the web process did not start")


def tour_of(browser: Browser, base: str, db: Database, shoot: Shoot) -> Tour:
    with db.read() as session:
        project = session.scalars(select(Project)).one()
        return Tour(browser, base, db, project.id, project.slug, shoot, people_of(session, project.id))


def for_the_readme(browser: Browser, base: str, db: Database, out: Path) -> None:
    tour = tour_of(browser, base, db, lambda *_: None)
    admin, expert = list(tour.people)[:2]
    prepare_fourth_round(tour, admin)
    for name, who, path, height in (("label", expert, "./label", 560), ("alignment", admin, "./alignment", 1120)):
        with tour.page(who, path) as page:
            page.set_viewport_size({"width": 1280, "height": height})
            page.wait_for_timeout(CHARTS_WAIT)
            page.screenshot(path=out / f"{name}.png")


def every_state(browser: Browser, base: str, db: Database, out: Path) -> None:
    folder = out / "states"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    seen: list[tuple[str, str]] = []

    def shoot(name: str, sentence: str, page: Page) -> None:
        seen.append((name, sentence))
        take(page, folder, name)
        print(f"{name}: {sentence}", flush=True)

    whole(tour_of(browser, base, db, shoot))
    write_page(out.parent / "screens.md", seen)


def take(page: Page, folder: Path, name: str) -> None:
    """The same page four times: what it looks like is a matter of style sheets only."""
    devtools = page.context.new_cdp_session(page)
    for size, (width, height) in SIZES.items():
        phone = size == "phone"
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        devtools.send("Emulation.setDeviceMetricsOverride", metrics)
        devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": phone})
        page.evaluate(IN_HAND)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if scheme == "dark" else "light", reduced_motion="reduce")
            page.wait_for_timeout(350)  # colours fade into one another
            clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": SCALES[size]}
            clip["y"] = page.evaluate("Math.round(scrollY)")
            shot = devtools.send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY, "clip": clip})
            (folder / f"{name}-{scheme}-{size}.webp").write_bytes(base64.b64decode(shot["data"]))
    devtools.send("Emulation.clearDeviceMetricsOverride")
    devtools.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    page.emulate_media(color_scheme="light")
    devtools.detach()


def write_page(path: Path, seen: list[tuple[str, str]]) -> None:
    parts = [INTRODUCTION]
    for name, sentence in seen:
        cells = [
            f'<img src="screenshots/states/{name}-{scheme}-{size}.webp" width="{300 if size == "wide" else 120}" '
            f'alt="{sentence}: {scheme}, {size}">'
            for size in SIZES
            for scheme in ("light", "dark")
        ]
        parts.append(f"## {sentence}\n\n{' '.join(cells)}\n")
    path.write_text("\n".join(parts))


if __name__ == "__main__":
    main()
