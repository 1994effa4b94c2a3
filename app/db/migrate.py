"""Brings a database to the revision that this version of Linecall needs."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, event, text

from app.db import archive
from app.db.base import Base
from app.db.engine import make_engine
from app.db.tables import search
from app.errors import Conflict, Unavailable
from app.resources import resource

_LOCK = 7_104_331_902  # any number, as long as it is always the same


def copy_beside(connection: Connection, revision: str) -> Path | None:
    """Copy the SQLite file as it was before this transaction; the write lock is held, so nothing is lost. None for a
    database that is no file."""
    if connection.dialect.name != "sqlite" or not connection.engine.url.database:
        return None
    source = Path(connection.engine.url.database)
    target = source.with_name(f"{source.name}.before-{revision}-{stamp()}")
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return target


def stamp() -> str:
    """For the name of a backup."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S")


def upgrade(
    url: str,
    revision: str = "head",
    *,
    back_up: Callable[[Connection, str], Path | None] = copy_beside,
    then: Callable[[Connection, str, Path | None], None] | None = None,
) -> Path | None:
    """Apply the pending revisions in one transaction: all of them, or none.

    Processes that start together wait for one another. A database that was at a revision before is first backed up
    by ``back_up``, which is told that revision; what it returns is returned, else None. ``then`` is called after the
    last revision, in the same transaction. Raises Conflict when a newer Linecall made the database.
    """
    backup = None
    with migration_connection(url) as connection:
        config = _config(connection)
        pending, before = _pending(connection, config), _revision(connection)
        if pending and before:
            backup = back_up(connection, before)
        command.upgrade(config, revision)
        _check_foreign_keys(connection)
        if pending and before and then:
            then(connection, before, backup)
    return backup


def rebuild(
    url: str,
    revision: str,
    fill: Callable[[Connection], None],
    *,
    replace: bool,
    then: Callable[[Connection], None] | None = None,
) -> None:
    """Make the tables of ``revision``, have ``fill`` write their rows, migrate them to head and call ``then``, in one
    transaction. Raises Conflict when a newer Linecall made that revision, or rows are there already and ``replace`` is
    not given."""
    with migration_connection(url) as connection:
        config = _config(connection)
        if revision not in {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}:
            raise Conflict(f"A newer version of Linecall made this backup (revision {revision}): install that version.")
        if not replace:
            archive.require_empty(connection)
        if _revision(connection):
            command.downgrade(config, "base")
        command.upgrade(config, revision)
        fill(connection)
        command.upgrade(config, "head")
        _check_foreign_keys(connection)
        if then:
            then(connection)


def downgrade(url: str, revision: str) -> None:
    """Undo revisions down to ``revision`` ("base": all); tables that they added are dropped with their rows."""
    with migration_connection(url) as connection:
        command.downgrade(_config(connection), revision)
        _check_foreign_keys(connection)


def current(url: str) -> str | None:
    """The database's revision; None when it was never migrated."""
    with _connection(url) as connection:
        return _revision(connection)


def head() -> str:
    """The revision that this version of Linecall needs."""
    revision = ScriptDirectory.from_config(_config(None)).get_current_head()
    if revision is None:
        raise Unavailable("This installation has no migrations.")
    return revision


def check(url: str) -> None:
    """Raise Unavailable unless the database is at the revision that this version needs; it changes nothing."""
    with _connection(url) as connection:
        pending = _pending(connection, _config(connection))
        if pending:
            state = _revision(connection) or "empty"
            raise Unavailable(
                "The database is not up to date: run 'linecall migrate'.", current=state, pending=len(pending)
            )


def differences(url: str) -> list[Any]:
    """What Alembic would put into the next revision; empty when migrations and tables agree."""
    with _connection(url) as connection:
        compared = MigrationContext.configure(connection, opts={"include_name": is_known})
        return list(compare_metadata(compared, Base.metadata))


def is_known(name: str | None, kind: str, _: object) -> bool:
    """Alembic's ``include_name``: what is of the database alone stays out of the comparison."""
    return not search.is_ours(name, kind)


@contextmanager
def migration_connection(url: str) -> Iterator[Connection]:
    """A connection in a transaction that excludes other migrations. SQLite's foreign keys are off in it, since
    altering a table replaces it; they are checked before the commit."""
    with _connection(url, writes=True) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        yield connection
        connection.commit()


@contextmanager
def _connection(url: str, *, writes: bool = False) -> Iterator[Connection]:
    engine = make_engine(url, pool_size=1)
    if engine.dialect.name == "sqlite":
        if engine.url.database:
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA foreign_keys=OFF"))
    try:
        with engine.execution_options(linecall_write=writes).connect() as connection:
            yield connection
    finally:
        engine.dispose()


def _config(connection: Connection | None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(resource("migrations")).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _pending(connection: Connection, config: Config) -> list[str]:
    """Revisions not yet applied, oldest first."""
    script = ScriptDirectory.from_config(config)
    done = _revision(connection)
    try:
        return [step.revision for step in script.iterate_revisions("head", done or "base")][::-1]
    except (CommandError, RevisionError) as error:
        raise Conflict(
            f"The database is at revision {done}, which this version of Linecall does not know: "
            "a newer version made it. Install that version, or restore a backup.",
            revision=done,
        ) from error


def _check_foreign_keys(connection: Connection) -> None:
    if connection.dialect.name != "sqlite":
        return
    broken = connection.execute(text("PRAGMA foreign_key_check")).fetchmany(5)
    if broken:
        raise Conflict(
            "The migration was undone: it would leave rows that point nowhere.", rows=[list(r) for r in broken]
        )
