"""Migrations make the same tables as app.db.tables, on both databases, and never lose a file."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect, text

from app.db import migrate
from app.db.engine import Database, make_engine
from app.db.tables import Base, User
from app.errors import Conflict, Unavailable
from tests.factories import make_user


def test_a_migrated_database_works(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    assert migrate.current(empty_database_url) == migrate.head()
    database = Database(empty_database_url)
    with database.write() as session:
        make_user(session, "Ada")
    with database.read() as session:
        assert session.query(User).one().name == "Ada"
    database.dispose()


def test_alembic_finds_nothing_to_add(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    assert migrate.differences(empty_database_url) == []


def index_description(index) -> str:
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return f"{index['name']} {index['column_names']} {index['unique']} {options}"


def described(engine: Engine) -> dict[str, dict[str, list[str]]]:
    """Everything that Alembic's comparison leaves out too: checks, index conditions, the names of constraints."""
    inspector = inspect(engine)
    tables = set(inspector.get_table_names()) - {"alembic_version"}
    if engine.dialect.name == "sqlite":
        return _described(inspector, tables) | {"search": {"sql": search_of(engine)}}
    return _described(inspector, tables)


def search_of(engine: Engine) -> list[str]:
    """The text index and its triggers as they were made: a copy of ``items`` would have dropped the triggers."""
    wanted = "SELECT sql FROM sqlite_master WHERE name LIKE 'items_search%' AND sql IS NOT NULL ORDER BY name"
    with engine.connect() as connection:
        return list(connection.scalars(text(wanted)))


def _described(inspector, tables: set[str]) -> dict[str, dict[str, list[str]]]:
    return {
        table: {
            "columns": sorted(f"{c['name']} {c['type']!r} {c['nullable']}" for c in inspector.get_columns(table)),
            "key": [str(inspector.get_pk_constraint(table))],
            "checks": sorted(f"{c['name']}: {c['sqltext']}" for c in inspector.get_check_constraints(table)),
            "unique": sorted(f"{c['name']}: {c['column_names']}" for c in inspector.get_unique_constraints(table)),
            "foreign": sorted(str(c) for c in inspector.get_foreign_keys(table)),
            "indexes": sorted(index_description(index) for index in inspector.get_indexes(table)),
        }
        for table in tables
    }


def test_migrations_and_tables_make_the_same_schema(empty_database_url: str, db: Database) -> None:
    if db.is_sqlite:  # both fixtures name the same file
        empty_database_url = empty_database_url.replace("linecall.sqlite", "migrated.sqlite")
    migrate.upgrade(empty_database_url)
    migrated = make_engine(empty_database_url)
    assert described(migrated) == described(db.engine)
    migrated.dispose()


def test_every_constraint_has_a_name() -> None:
    unnamed = [(t.name, c) for t in Base.metadata.sorted_tables for c in t.constraints if not c.name]
    assert unnamed == []


def test_downgrade_leaves_nothing(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    migrate.downgrade(empty_database_url, "base")
    assert migrate.current(empty_database_url) is None
    engine = make_engine(empty_database_url)
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
    migrate.upgrade(empty_database_url)


def test_check_names_the_command_that_is_missing(empty_database_url: str) -> None:
    with pytest.raises(Unavailable, match="linecall migrate"):
        migrate.check(empty_database_url)
    migrate.upgrade(empty_database_url)
    migrate.check(empty_database_url)


def test_processes_that_start_together_migrate_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate.upgrade, [empty_database_url] * 4))
    assert migrate.current(empty_database_url) == migrate.head()


def set_revision(url: str, revision: str) -> None:
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()


def test_a_newer_database_is_refused_in_plain_words(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    set_revision(empty_database_url, "9999")
    with pytest.raises(Conflict, match="newer version"):
        migrate.upgrade(empty_database_url)
    with pytest.raises(Conflict, match="newer version"):
        migrate.check(empty_database_url)


SECOND = '''
"""A second revision, which alters a table in use."""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", "{head}", None, None

def upgrade():
    with op.batch_alter_table("users") as batch:
        batch.add_column(sa.Column("nickname", sa.String(20)))
        batch.alter_column("name", type_=sa.String(250), existing_nullable=False)
    {then}
'''


def add_revision(folder: Path, monkeypatch: pytest.MonkeyPatch, then: str = "pass") -> None:
    """Make ``folder`` a copy of the migrations with one revision more."""
    head, original = migrate.head(), migrate.resource("migrations")
    (folder / "versions").mkdir(parents=True)
    for source in [*original.glob("*.*"), *original.glob("versions/*.py")]:
        (folder / source.relative_to(original)).write_text(source.read_text())
    (folder / "versions" / "next.py").write_text(SECOND.format(head=head, then=then))
    monkeypatch.setattr(migrate, "resource", lambda name: folder)


@pytest.fixture
def used_url(empty_database_url: str) -> str:
    """A migrated database with a row that others point at."""
    assert migrate.upgrade(empty_database_url) is None, "an empty file needs no copy"
    assert migrate.upgrade(empty_database_url) is None, "nor does one with nothing pending"
    database = Database(empty_database_url)
    with database.write() as session:
        user = make_user(session, "Ada")
        session.execute(
            text(
                "INSERT INTO api_tokens (user_id, name, token_hash, hint, scopes, created_at)"
                " VALUES (:user, 'x', :hash, 'x', '[]', '2026-01-01')"
            ),
            {"user": user.id, "hash": b"x" * 32},
        )
    database.dispose()
    return empty_database_url


def test_pending_revisions_keep_the_rows_and_a_copy(
    used_url: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = migrate.head()
    add_revision(tmp_path / "more", monkeypatch)
    copy = migrate.upgrade(used_url)
    assert migrate.current(used_url) == "next"
    database = Database(used_url)
    with database.read() as session:
        assert session.execute(text("SELECT name, nickname FROM users")).all() == [("Ada", None)]
        assert session.scalar(text("SELECT count(*) FROM api_tokens")) == 1
    database.dispose()
    if backend == "postgres":
        assert copy is None
        return
    assert copy is not None
    with sqlite3.connect(copy) as saved:
        assert saved.execute("SELECT name FROM users").fetchall() == [("Ada",)]
    assert migrate.current(f"sqlite:///{copy}") == before


def test_a_failing_revision_changes_nothing(used_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = migrate.head()
    add_revision(tmp_path / "more", monkeypatch, then="raise ZeroDivisionError")
    with pytest.raises(ZeroDivisionError):
        migrate.upgrade(used_url)
    assert migrate.current(used_url) == before
    assert migrate.differences(used_url) == []


def test_a_revision_that_orphans_rows_is_undone(
    used_url: str, backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "postgres":
        pytest.skip("Postgres checks foreign keys itself, at once")
    before = migrate.head()
    add_revision(tmp_path / "more", monkeypatch, then='op.execute("DELETE FROM users")')
    with pytest.raises(Conflict, match="point nowhere"):
        migrate.upgrade(used_url)
    assert migrate.current(used_url) == before
