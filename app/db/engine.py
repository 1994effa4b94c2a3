"""One engine for SQLite and Postgres, with the transactions that Linecall's promises rest on."""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

T = TypeVar("T")
_BUSY_TIMEOUT_MS = 15_000


def normalise_url(url: str) -> str:
    """``postgres://`` and ``postgresql://`` mean psycopg 3 here."""
    for prefix in ("postgres://", "postgresql://"):
        if url.startswith(prefix):
            return "postgresql+psycopg://" + url.removeprefix(prefix)
    return url


def make_engine(url: str, *, pool_size: int = 40) -> Engine:
    url = normalise_url(url)
    if not url.startswith("sqlite"):
        return create_engine(url, pool_size=pool_size, max_overflow=20, pool_pre_ping=True)
    engine = create_engine(url, pool_size=pool_size, max_overflow=20, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    event.listen(engine, "commit", _commit_sqlite)
    return engine


def _configure_sqlite(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # The driver would open transactions late and in the wrong mode; _begin_sqlite does it instead.
    cast(Any, connection).isolation_level = None
    cursor = connection.cursor()
    _use_wal(cursor)
    for pragma in (
        "synchronous=FULL",  # an answer that the page called saved survives a power cut
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "cache_size=-16000",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _use_wal(cursor: DBAPICursor) -> None:
    # A file's first switch to WAL fails at once, whatever the busy timeout, while another process makes it too.
    until = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later can't wait for the lock (SQLITE_BUSY at once), so writers
    # take it at the start.
    writes = connection.get_execution_options().get("linecall_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _commit_sqlite(connection: Connection) -> None:
    # After an error that has ended the transaction the driver's commit does nothing and succeeds all the same.
    if not _is_in_transaction(connection):
        raise TransactionLost("SQLite has rolled this transaction back, so nothing of it is saved.")


def _is_in_transaction(connection: Connection) -> bool:
    return cast(sqlite3.Connection, connection.connection.dbapi_connection).in_transaction


class TransactionLost(Exception):
    """What was to be committed is gone: a full disk, a failed read or write or a lack of memory makes SQLite roll
    back the whole transaction and not only the statement, and code that caught that error went on without one."""


class Database:
    """Sessions for reading and for writing, and the shared lane for short writes."""

    def __init__(self, url: str, *, pool_size: int = 40) -> None:
        self.url = normalise_url(url)
        self.engine = make_engine(url, pool_size=pool_size)
        self._writer = self.engine.execution_options(linecall_write=True)
        self.is_sqlite = self.engine.dialect.name == "sqlite"
        self._lane = _WriteLane(self._writer) if self.is_sqlite else None

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that is rolled back at the end. On SQLite it never waits for a writer."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed at the end, or rolled back by an exception. On SQLite it holds the write
        lock from its start: do no slow work inside it."""
        with Session(self._writer, expire_on_commit=False) as session, session.begin():
            yield session

    def run_write(self, work: Callable[[Session], T]) -> T:
        """Run one short write transaction and return once it is on disk.

        On SQLite, transactions that arrive while another commits are committed together: each in a savepoint of
        its own, all with one fsync. ``work`` must return plain values, not attached rows.
        """
        if self._lane is not None:
            return self._lane.run(work)
        with self.write() as session:
            return work(session)

    def dispose(self) -> None:
        self.engine.dispose()


class _WriteLane:
    """Group commit for SQLite, where writers exclude each other anyway.

    A caller queues its work and takes the lock; whoever holds it does all work queued by then in one transaction.
    The others find their result ready. Waiting on a lock in the process, rather than on SQLite's busy timer,
    also keeps the order fair.
    """

    _MOST = 64  # bounds how long the first caller of a batch waits for the last one's work

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._queue: deque[tuple[Callable[[Session], Any], Future[Any]]] = deque()

    def run(self, work: Callable[[Session], T]) -> T:
        future: Future[T] = Future()
        self._queue.append((work, future))
        with self._lock:
            while not future.done():  # a long queue may need more than one batch to reach this caller's
                self._drain()
        return future.result()

    def _drain(self) -> None:
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._MOST))]
        results: list[tuple[Future[Any], Any, BaseException | None]] = []
        try:
            with Session(self._engine, expire_on_commit=False) as session, session.begin():
                if len(batch) == 1:  # nobody else's work to protect, so no savepoint: an exception undoes it all
                    work, future = batch[0]
                    results.append((future, work(session), None))
                else:
                    results.extend((future, *_attempt(session, work)) for work, future in batch)
        except BaseException as error:  # the transaction as a whole failed: nothing is saved, and everybody is told
            for _, future in batch:
                future.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for future, value, failure in results:
            if failure is None:
                future.set_result(value)
            else:
                future.set_exception(failure)


def _attempt(session: Session, work: Callable[[Session], Any]) -> tuple[Any, Exception | None]:
    """The work's value, or the exception that undid it; either way the transaction around it goes on.

    Raises the exception where it has ended that transaction: what others did in it before is gone, and what comes
    after would be committed on its own.
    """
    connection = session.connection()
    try:
        with session.begin_nested():
            value = work(session)
        return value, None
    except Exception as error:
        if not _is_in_transaction(connection):
            raise
        return None, error
