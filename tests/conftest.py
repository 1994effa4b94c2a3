"""Databases, Hypothesis profiles and what to do without a browser, for every test."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from hypothesis import settings as hypothesis_settings

# Before anything of ours or numpy is imported: the developer's own settings must not reach a test, no test may
# look for models on the network, and test processes share the cores.
for _name in [name for name in os.environ if name.startswith("LINECALL_")]:
    if _name != "LINECALL_CHROMIUM":
        del os.environ[_name]
# A worker that yields to the web process would yield to other tests too, and these are always there.
os.environ["LINECALL_WORKER_NICE"] = "0"
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

from app.db.engine import Database
from app.db.tables import Base
from app.services import passwords
from tests import postgres

hypothesis_settings.register_profile("ci", deadline=None, derandomize=True, database=None)
hypothesis_settings.register_profile("explore", deadline=None, max_examples=1000)
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

_FOLDER = "linecall_postgres_folder"
_NO_BROWSER = "no Chromium: install the package chromium, or set LINECALL_CHROMIUM to its path"


class _OnePostgresPerRun:
    """In the process that pytest was started as: makes the server's folder, tells xdist's workers, removes it."""

    def __init__(self, config: pytest.Config) -> None:
        self.folder = postgres.make_folder()
        setattr(config, _FOLDER, self.folder)

    def pytest_unconfigure(self) -> None:
        postgres.remove_folder(self.folder)


class _TellWorkers:
    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node) -> None:
        node.workerinput[_FOLDER] = str(getattr(node.config, _FOLDER))


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        setattr(config, _FOLDER, Path(config.workerinput[_FOLDER]))
        return
    config.pluginmanager.register(_OnePostgresPerRun(config))
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(_TellWorkers())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if chromium_path() is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=_NO_BROWSER))
    # The longest files first: begun last, one of them would keep one process busy when the others have nothing left.
    long = {item.path for item in items if item.get_closest_marker("slow") or item.get_closest_marker("browser")}
    items.sort(key=lambda item: item.path not in long)
    wrong = [item for item in items if item.get_closest_marker("postgres_only") and _backend_of(item) == "sqlite"]
    if wrong:
        items[:] = [item for item in items if item not in wrong]
        config.hook.pytest_deselected(items=wrong)


def _backend_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("backend") if callspec else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "browser" in report.keywords]
    if skipped:
        reasons = sorted({_reason(report) for report in skipped})
        terminalreporter.write_line(f"browser tests skipped: {len(skipped)} ({'; '.join(reasons)})", yellow=True)


def _reason(report: pytest.TestReport) -> str:
    where = report.longrepr
    return where[2].removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)


@cache
def chromium_path() -> str | None:
    """The browser that tests marked ``browser`` drive; without one they are skipped."""
    named = os.environ.get("LINECALL_CHROMIUM")
    return shutil.which(named) if named else shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="session")
def chromium() -> str:
    path = chromium_path()
    if path is None:
        pytest.skip(_NO_BROWSER)
    return path


@pytest.fixture(scope="session", autouse=True)
def own_hasher() -> Iterator[PasswordHasher]:
    """The product's way to hash passwords. It is slow by design (36 ms, .05 as tests do it), and hundreds of tests sign
    three people in."""
    own = passwords._hasher
    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    yield own
    passwords._hasher = own


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest, worker_id: str) -> Iterator[postgres.Server]:
    server = postgres.Server(getattr(request.config, _FOLDER), owner=worker_id)
    yield server
    server.close()


@pytest.fixture(scope="session")
def _postgres_template(postgres_server: postgres.Server) -> str:
    name = postgres_server.create()
    _create_tables(postgres_server.url(name))
    return name


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.sqlite"
    _create_tables(f"sqlite:///{path}")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # all of it is in the one file that tests copy
    connection.close()
    return path


def _create_tables(url: str) -> None:
    database = Database(url)
    with database.write() as session:
        Base.metadata.create_all(session.connection())
    database.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def empty_database_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without a single table, on each kind of database."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'linecall.sqlite'}"
        return
    server = request.getfixturevalue("postgres_server")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture
def db(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database of this test's own with every table and no row; each test runs on SQLite and on Postgres."""
    if backend == "sqlite":
        path = tmp_path / "linecall.sqlite"
        shutil.copyfile(request.getfixturevalue("_sqlite_template"), path)
        database = Database(f"sqlite:///{path}")
        yield database
        database.dispose()
        return
    server = request.getfixturevalue("postgres_server")
    name = server.create(template=request.getfixturevalue("_postgres_template"))
    database = Database(server.url(name))
    yield database
    database.dispose()
    server.drop(name)
