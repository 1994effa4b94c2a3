"""The whole loop as people go through it, in Chromium: an admin starts a round, two experts finish it, the chart shows
a point."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from app.db.engine import Database
from app.db.migrate import upgrade
from app.services import accounts, invitations, projects
from app.services.projects import ProjectSettings
from tests.factories import make_items

pytestmark = [pytest.mark.browser, pytest.mark.slow]

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


@pytest.fixture
def backend() -> str:
    return "sqlite"


@pytest.fixture
def site(tmp_path):
    """A running installation with a small pool, an admin and two experts: its address and a sign-in link for each."""
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"sqlite:///{tmp_path / 'linecall.sqlite'}"
    upgrade(url)
    links = _people_and_pool(url, f"http://127.0.0.1:{port}")
    environment = os.environ | {"LINECALL_DATA_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    with (tmp_path / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", str(port)],
            env=environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, process, tmp_path / "log.txt")
        yield links
    finally:
        process.terminate()
        process.wait(timeout=120)


def _people_and_pool(url: str, base: str) -> dict[str, str]:
    rows = [json.loads(line) for line in SAMPLE.read_text(encoding="utf-8").splitlines()]
    chosen = [r for r in rows if r["degree"] >= 2][:30] + [r for r in rows if r["degree"] < 1][:50]
    db = Database(url)
    with db.write() as session:
        project = projects.create_project(
            session,
            name="Small ads",
            labels=["Honest", "Clickbait"],
            guideline="An ad is **clickbait** when it hides what it sells.",
            examples=EXAMPLES,
            settings=ProjectSettings(round_size=16),
        )
        make_items(session, project, [row["text"] for row in chosen])
        links = {}
        for name, role in (("ada", "admin"), ("ben", "expert"), ("cleo", "expert")):
            user = accounts.create_user(session, email=f"{name}@example.org", name=name.title())
            accounts.add_member(session, project.id, user.id, role)
            links[name] = f"{base}/sign-in/" + invitations.create_sign_in_link(session, user.id)
        links["project"] = f"{base}/p/{project.slug}"
    db.dispose()
    return links


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture
def chrome(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


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


def label_everything(page, project: str) -> int:
    """Answer with the keyboard until the queue is empty, by a rule that a person could follow; every contrast card is
    confirmed by its key."""
    page.goto(f"{project}/label")
    given = 0
    while True:
        page.locator("#item:visible, #empty:visible, #contrast:visible").first.wait_for()
        if page.locator("#contrast").count():
            page.wait_for_timeout(550)  # the card takes no key that was meant for the text before it
            page.keyboard.press("Enter")
            page.locator("#contrast").wait_for(state="detached")
            continue
        if not page.locator("#work").is_visible():
            break
        page.keyboard.press("1" if re.search(r"[£€$]\s?\d", page.inner_text("#item")) else "2")
        given += 1
        page.wait_for_function(
            "n => Object.keys(localStorage).every(key => !key.startsWith('linecall:outbox'))", arg=given
        )
        assert given < 100
    return given


def test_an_admin_starts_a_round_two_experts_finish_it_and_the_chart_shows_a_point(site, chrome):
    admin = signed_in(chrome, site["ada"])
    admin.goto(site["project"] + "/rounds")
    admin.get_by_role("button", name=re.compile("Start")).first.click()
    admin.wait_for_url("**/rounds/1")
    admin.get_by_text(re.compile("review", re.I)).first.wait_for()

    ben = signed_in(chrome, site["ben"])
    ben.goto(site["project"] + "/label")
    ben.locator("#answer").wait_for(
        state="visible", timeout=300_000
    )  # the queue fills by itself when the round is ready
    assert label_everything(ben, site["project"]) == 16

    cleo = signed_in(chrome, site["cleo"])
    assert label_everything(cleo, site["project"]) == 16

    admin.goto(site["project"] + "/alignment")
    for _ in range(240):
        if admin.locator(".vega-embed").count():
            break
        admin.wait_for_timeout(500)
        admin.reload()
    admin.locator(".vega-embed .marks").first.wait_for(timeout=120_000)
    assert "Model–human alignment" in admin.inner_text("main")
    assert re.search(r"n = \d+", admin.inner_text("main"))
    assert [ben.problems, cleo.problems, admin.problems] == [[], [], []]
