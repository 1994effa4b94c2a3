"""Chromium, once for all stories of a file, and an installation of each story's own."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.db.migrate import upgrade
from tests.browser.site import FLAGS, Site


@pytest.fixture
def backend() -> str:
    return "sqlite"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with every table, made by the migrations."""
    path = tmp_path_factory.mktemp("migrated") / "linecall.sqlite"
    upgrade(f"sqlite:///{path}")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in the one file that stories copy
    return path


@pytest.fixture
def site(tmp_path: Path, migrated: Path) -> Iterator[Site]:
    site = Site(tmp_path, migrated)
    site.start()
    yield site
    site.kill()
    site.db.dispose()


@pytest.fixture(scope="module")
def chrome(chromium: str):
    """Not for longer than a file: while it is there, nothing else in this process can run an event loop."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield chrome
        chrome.close()


@pytest.fixture
def browser(chrome, site):
    """The expert's: windows that share cookies and storage, and nothing with another story's."""
    context = chrome.new_context()
    context.add_cookies([site.cookie()])
    yield context
    context.close()


@pytest.fixture
def desk(browser, site):
    page = browser.new_page()
    page.goto(site.desk)
    page.locator("#show-keys").wait_for()
    return page
