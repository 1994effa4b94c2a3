"""A stranger's walk: from an empty database, in the browser only, to the third round and the report.

    python scripts/walk.py --pool pool.csv --answers answers.json [--baseline crowd.csv] [--rounds 3] [--out walk]

The pool is a CSV with a column of texts; the answers say by text which label it has, counted from 0. It starts Linecall
in a folder of its own, does what an admin and two experts would do, page by page, and takes a picture of each step.
Each expert errs now and then, so that they differ.
"""

import argparse
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
PATIENCE = 600_000  # milliseconds: embedding a pool takes its time
PASSWORD = "correct horse battery"  # noqa: S105 - of accounts in a folder that goes away
EXPERTS = ("Ben", "Cleo")
GUIDELINE = """## What is asked

A headline is **clickbait** when it holds back what it is about, so that one must click to learn it.

## Clickbait

It promises a feeling, a list or a secret, and does not say what the story is.

## No clickbait

It says what has happened, even if the words are strong.
"""


@dataclass
class Walk:
    """``answers`` by text; ``examples`` by label, in the project's order."""

    browser: Browser
    base: str
    out: Path
    pool: Path
    answers: Mapping[str, int]
    labels: tuple[str, str]
    guideline: str
    examples: tuple[list[str], list[str]]
    baseline: Path | None = None
    rounds: int = 3
    round_size: int = 100
    slips: float = 0.06  # of an expert's answers
    taken: list[str] = field(default_factory=list)

    def shoot(self, page: Page, name: str) -> None:
        self.taken.append(name)
        page.screenshot(path=self.out / f"{len(self.taken):02d}-{name}.png", full_page=True)

    def page(self) -> Page:
        """A browser of somebody's own."""
        page = self.browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True).new_page()
        page.on("dialog", lambda dialog: dialog.accept())
        return page


def whole(walk: Walk, sign_in_link: str) -> None:
    admin = walk.page()
    admin.goto(sign_in_link)
    admin.get_by_role("button", name="Sign in").click()
    admin.wait_for_load_state()
    walk.shoot(admin, "first-page")
    make_the_project(walk, admin)
    fill_the_guided_start(walk, admin)
    experts = [invite(walk, admin, name) for name in EXPERTS]
    project = admin.url.partition("/start")[0]
    for number in range(1, walk.rounds + 1):
        go_through_a_round(walk, admin, experts, project, number)
    take_the_report(walk, admin, project)


def make_the_project(walk: Walk, page: Page) -> None:
    page.get_by_role("link", name=re.compile("new project", re.I)).or_(
        page.get_by_role("button", name=re.compile("new project", re.I))
    ).first.click()
    page.get_by_label("Name").fill("Headlines")
    page.get_by_label("Label 1").fill(walk.labels[0])
    page.get_by_label("Label 2").fill(walk.labels[1])
    walk.shoot(page, "new-project")
    page.get_by_role("button", name="Make the project").click()
    page.wait_for_url("**/start")
    walk.shoot(page, "guided-start")


def fill_the_guided_start(walk: Walk, page: Page) -> None:
    page.get_by_label("Guideline", exact=True).fill(walk.guideline)
    for label, examples in zip(walk.labels, walk.examples, strict=True):
        page.get_by_label(f"Examples of “{label}”").fill("\n".join(examples))
    page.get_by_role("button", name="Publish the guideline").click()
    page.wait_for_load_state()
    walk.shoot(page, "guideline-published")

    page.locator("#pool input[type=file]").set_input_files(walk.pool)
    page.locator("#pool").get_by_role("button", name="Upload and look").click()
    page.wait_for_url("**/pool/uploads/*")
    walk.shoot(page, "pool-preview")
    page.get_by_role("button", name="Import").click()
    page.get_by_role("heading", name="What is in the pool").wait_for(timeout=PATIENCE)
    walk.shoot(page, "pool-imported")
    page.get_by_text("Back to the guided start").click()

    if walk.baseline:
        page.get_by_role("link", name="Upload labels").click()
        walk.shoot(page, "baseline")
        page.locator("input[type=file]").set_input_files(walk.baseline)
        page.get_by_role("button", name="Upload and look").click()
        page.wait_for_url("**/baseline/uploads/*")
        walk.shoot(page, "baseline-preview")
        page.get_by_role("button", name="Match the labels").click()
        page.get_by_text("Back to the guided start").wait_for(timeout=PATIENCE)
        walk.shoot(page, "baseline-matched")
        page.get_by_text("Back to the guided start").click()

    page.get_by_role("button", name="Try it on 20 items").click()
    page.locator("#dry-run h2 .pill", has_text="done").first.wait_for(timeout=PATIENCE)
    walk.shoot(page, "dry-run")
    page.get_by_role("link", name="Guided start").click()
    page.locator("#round summary").click()
    page.get_by_label("Items per round").fill(str(walk.round_size))
    walk.shoot(page, "round-settings")
    page.get_by_role("button", name="Save the settings").click()
    page.wait_for_load_state()


def invite(walk: Walk, admin: Page, name: str) -> Page:
    """The link goes from the admin's page to a browser of the expert's, who makes an account with it."""
    start = admin.url.partition("/p/")[0] + "/p/" + admin.url.partition("/p/")[2].partition("/")[0] + "/start"
    admin.goto(start)
    admin.locator("#experts").get_by_label("Name").fill(name)
    admin.get_by_role("button", name="Make an invitation link").click()
    admin.locator("#secret").wait_for()
    walk.shoot(admin, f"invitation-link-{name.lower()}")
    path = urlsplit(admin.locator("#secret").input_value()).path
    admin.goto(start)
    expert = walk.page()
    expert.goto(walk.base + path)
    expert.get_by_label("Name").fill(name)
    expert.get_by_label("E-mail address").fill(f"{name.lower()}@example.org")
    expert.get_by_label("Password").fill(PASSWORD)
    walk.shoot(expert, f"joining-{name.lower()}")
    expert.get_by_role("button", name="Make the account and join").click()
    expert.wait_for_load_state()
    walk.shoot(expert, f"joined-{name.lower()}")
    return expert


def go_through_a_round(walk: Walk, admin: Page, experts: list[Page], project: str, number: int) -> None:
    admin.goto(project + ("/start" if number == 1 else "/rounds"))
    walk.shoot(admin, f"before-round-{number}")
    admin.locator("#start-round").click()
    admin.wait_for_url(f"**/rounds/{number}")
    admin.wait_for_timeout(1500)
    walk.shoot(admin, f"round-{number}-preparing")
    follow(admin, "in review")
    walk.shoot(admin, f"round-{number}-review")
    for place, expert in enumerate(experts):
        answer_everything(walk, expert, project, random.Random(100 * number + place))
        walk.shoot(expert, f"round-{number}-expert-{place + 1}-finished")
        if place == 0:
            admin.goto(f"{project}/rounds/{number}")
            walk.shoot(admin, f"round-{number}-half")
    decide_the_ties(walk, admin, project, number)
    admin.goto(f"{project}/rounds/{number}")
    follow(admin, "done")
    walk.shoot(admin, f"round-{number}-done")
    admin.goto(f"{project}/alignment")
    admin.locator(".vega-embed .marks").first.wait_for(timeout=60_000)
    walk.shoot(admin, f"round-{number}-alignment")


def answer_everything(walk: Walk, page: Page, project: str, dice: random.Random) -> None:
    page.goto(f"{project}/label")
    first = True
    while True:
        page.locator("#item:visible, #empty:visible, #contrast:visible").first.wait_for()
        if page.locator("#contrast").count():
            page.locator("#contrast[data-ready]").wait_for()  # it takes no key that was meant for the text before it
            page.keyboard.press("Enter")
            page.locator("#contrast").wait_for(state="detached")
            continue
        if not page.locator("#work").is_visible():
            return
        if first:
            walk.shoot(page, "labelling")
            first = False
        label = walk.answers[page.locator("#item").inner_text().strip()]
        page.keyboard.press(str((1 - label if dice.random() < walk.slips else label) + 1))
        page.wait_for_function("() => Object.keys(localStorage).every(key => !key.startsWith('linecall:outbox'))")


def decide_the_ties(walk: Walk, page: Page, project: str, number: int) -> None:
    """One after the other, each with its reason; the site admin is a lead too."""
    page.goto(f"{project}/rounds/{number}")
    follow(page, "ties to decide|done")
    if not page.get_by_text("Decide the ties").count():
        return
    page.get_by_text("Decide the ties").click()
    walk.shoot(page, f"round-{number}-ties")
    while page.locator(".ties").first.locator("form textarea").count():
        card = page.locator(".ties > li").first
        label = walk.answers[card.locator(".item-text").inner_text().strip()]
        card.get_by_label("Reason").fill("What the guideline says of texts that hide what they are about.")
        card.get_by_role("button", name=walk.labels[label], exact=True).click()
        page.wait_for_load_state()
        if not page.locator("h1", has_text="Disagreements").count():
            return


def follow(page: Page, states: str) -> None:
    """The round's page keeps up with the worker by itself."""
    page.locator("h1 .pill", has_text=re.compile(f"{states}|failed")).wait_for(timeout=PATIENCE)
    if page.locator("h1 .pill", has_text="failed").count():
        raise SystemExit(page.locator(".notice-error").inner_text())


def take_the_report(walk: Walk, page: Page, project: str) -> None:
    page.goto(f"{project}/report")
    walk.shoot(page, "report")
    with page.expect_download() as download:
        page.get_by_text("Download as one file").click()
    download.value.save_as(walk.out / "report.html")


# --- the command ---------------------------------------------------------------------------------------------------


@contextmanager
def an_empty_linecall(folder: Path) -> Iterator[tuple[str, str]]:
    """With one account, a site admin's: its address and a link that signs the admin in."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    linecall = [sys.executable, "-m", "app.cli"]
    environment = os.environ | {"LINECALL_DATA_DIR": str(folder), "LINECALL_PORT": str(port)}
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([*linecall, "serve"], env=environment, stdout=log, stderr=log)
    try:
        wait_until_it_answers(port)
        made = subprocess.run(
            [*linecall, "user", "create-admin", "ada@example.org", "--name", "Ada", "--link"],
            env=environment, check=True, capture_output=True, text=True,
        )  # fmt: skip
        yield f"http://127.0.0.1:{port}", made.stdout.strip()
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(port: int) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("the web process did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True)
    parser.add_argument("--answers", type=Path, required=True, help="JSON: for each text 0 or 1.")
    parser.add_argument("--labels", nargs=2, default=["no clickbait", "clickbait"])
    parser.add_argument("--guideline", default=GUIDELINE)
    parser.add_argument("--baseline", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--round-size", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("walk"))
    options = parser.parse_args()
    chromium = os.environ.get("LINECALL_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("Install chromium, or set LINECALL_CHROMIUM to its path.")
    options.out.mkdir(parents=True, exist_ok=True)
    answers = json.loads(options.answers.read_text(encoding="utf-8"))
    examples = tuple([text for text, label in answers.items() if label == wanted][:4] for wanted in (0, 1))
    with (
        tempfile.TemporaryDirectory() as folder,
        an_empty_linecall(Path(folder)) as (base, link),
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        whole(
            Walk(
                browser, base, options.out, options.pool, answers, tuple(options.labels), options.guideline,
                examples, options.baseline, options.rounds, options.round_size,
            ),
            link,
        )  # fmt: skip
        browser.close()


if __name__ == "__main__":
    main()
