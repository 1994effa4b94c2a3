"""Installations for a browser: a web process that can be killed and started again, or all of ``linecall serve``."""

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import uvicorn
from sqlalchemy import select

from app.config import Settings
from app.db.engine import Database
from app.db.migrate import upgrade
from app.db.tables import Annotation
from app.services import accounts, projects
from tests.application import application
from tests.factories import make_items
from tests.services.review_factories import add_round

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "app" / "simulate" / "sample" / "ads.jsonl"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
EXAMPLES = {
    "Honest": [
        "Waterproof hiking boots, 89 euros, free returns within 60 days.",
        "Learn Spanish in evening classes: ten weeks from 8 January.",
        "Oat milk in one-litre cartons, now at the corner shop.",
    ],
    "Clickbait": [
        "You won't believe what this little tool does to your bills.",
        "She opened the box and then this happened.",
        "The one thing your bank hopes you never find out.",
    ],
}
LONG = "A long clause. " * 400
ARABIC = "هذا نص عربي قصير"
HOSTILE = '<img src=x onerror="document.title=1">'
TEXTS = [f"Text number {n} to judge" for n in range(8)] + [LONG, ARABIC, HOSTILE] + [f"Last {n}" for n in range(9)]

# Web processes are forked from one that is warm: starting takes longer than most stories.
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(["tests.browser.site", "tests.browser.warm"])


def _serve(port: int, environment: dict[str, str], log: str) -> None:
    with open(log, "a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.environ.update(environment)
    settings = Settings()
    uvicorn.run(application(settings, Database(settings.resolved_database_url)), port=port)


class Site:
    """One expert, and an open review of twenty texts. ``template`` is an SQLite file with every table."""

    def __init__(self, folder: Path, template: Path, **settings: str) -> None:
        self.port = free_port()
        self.folder, self.base = folder, f"http://127.0.0.1:{self.port}"
        self.environment = {"LINECALL_DATA_DIR": str(folder)} | settings
        shutil.copyfile(template, folder / "linecall.sqlite")
        self.db = Database(f"sqlite:///{folder / 'linecall.sqlite'}")
        with self.db.write() as session:
            project = projects.create_project(
                session, name="Ads", labels=["Honest", "Bait"], guideline="Is it **bait**?"
            )
            items = make_items(session, project, TEXTS)
            self.round_id = add_round(session, project, [item.id for item in items], overlap=1).id
            self.items = [item.id for item in items]
            user = accounts.create_user(session, email="ben@example.org", name="Ben")
            accounts.add_member(session, project.id, user.id, "expert")
            self.user_id = user.id
        self.desk = f"{self.base}/p/ads/label"
        self.process: ForkServerProcess | None = None

    def start(self) -> None:
        log = self.folder / "log.txt"
        self.process = _forks.Process(target=_serve, args=(self.port, self.environment, str(log)), daemon=True)
        self.process.start()
        wait_until_it_listens(self.port, self.process.is_alive, log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.join()
        assert self.process.exitcode == -signal.SIGKILL

    def cookie(self) -> dict[str, str]:
        with self.db.write() as session:
            token = accounts.start_session(session, self.user_id, days=1)
        return {"name": "linecall", "value": token, "url": self.base}

    def answers(self) -> list[tuple[int, str, int | None]]:
        with self.db.read() as session:
            rows = session.execute(
                select(Annotation.item_id, Annotation.kind, Annotation.label).order_by(Annotation.id)
            ).all()
        return [(self.items.index(item), kind, label) for item, kind, label in rows]


@contextmanager
def linecall_serve(folder: Path, fill: Callable[[str, str], dict[str, str]]) -> Iterator[dict[str, str]]:
    """``linecall serve`` with a worker, on a database that ``fill`` has put people into, given its URL and the site's
    address; what ``fill`` returned."""
    port = free_port()
    url = f"sqlite:///{folder / 'linecall.sqlite'}"
    upgrade(url)
    filled = fill(url, f"http://127.0.0.1:{port}")
    environment = os.environ | {"LINECALL_DATA_DIR": str(folder), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port)]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until_it_listens(port, lambda: process.poll() is None, folder / "log.txt")
        yield filled
    finally:
        process.terminate()
        process.wait(timeout=120)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_it_listens(port: int, alive: Callable[[], bool], log: Path) -> None:
    for _ in range(3000):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert alive(), log.read_text()
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def some_ads() -> list[dict]:
    """Eighty of the sample's, thirty of them bait."""
    every = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    return [row for row in every if row["degree"] >= 2][:30] + [row for row in every if row["degree"] < 1][:50]


# --- what is seen, and done, on a page -----------------------------------------------------------------------------


def shown(page) -> str:
    return page.inner_text("#item")


def all_sent(page) -> None:
    page.wait_for_function("() => Object.keys(localStorage).every(key => !key.startsWith('linecall:outbox'))")


def contrast_card(page):
    """The two texts side by side, once they take keys and taps: they take none that was meant for the text before."""
    page.locator("#contrast[data-ready]").wait_for()
    return page.locator("#contrast")


def signed_in(chrome, link: str):
    """A page of a browser of one's own; any error in its console fails the test."""
    page = chrome.new_context().new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    page.goto(link)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_load_state()
    return page
