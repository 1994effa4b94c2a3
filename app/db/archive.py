"""Every row of a database in a portable form, and back into either kind of database.

The rows are read by what the database itself says of its tables, not by this version's, so that one that waits for a
migration can be written too. A row is a JSON object; the manifest says which columns hold bytes, times or JSON.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    DateTime,
    LargeBinary,
    TableClause,
    column,
    func,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON, NullType, TypeEngine

from app.db.base import UtcDateTime
from app.db.tables import search
from app.errors import Conflict

# Of running processes and signed-in browsers: they would be untrue, or revoked ones valid again, after a restore.
LEFT_OUT = frozenset({"alembic_version", "workers", "user_sessions"})
_JSON = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
_TYPES: dict[str, TypeEngine[Any]] = {"bytes": LargeBinary(), "time": UtcDateTime(), "json": _JSON, "flag": Boolean()}
_BLOCK = 1000
Kinds = dict[str, str]


def tables_of(connection: Connection) -> dict[str, Kinds]:
    """The kind of each column, by table, in the order of their names."""
    found = inspect(connection)
    names = [name for name in found.get_table_names() if name not in LEFT_OUT and not search.is_ours(name, "table")]
    return {name: {c["name"]: _kind(c["type"]) for c in found.get_columns(name)} for name in sorted(names)}


def _kind(type_: TypeEngine[Any]) -> str:
    for kind, family in (("bytes", LargeBinary), ("time", DateTime), ("json", JSON), ("flag", Boolean)):
        if isinstance(type_, family):
            return kind
    return "plain"


def read_rows(connection: Connection, name: str, kinds: Kinds) -> Iterator[str]:
    """Each row as a line of JSON. The connection's transaction must see one state throughout."""
    of_table = _table(name, kinds)
    order = [of_table.c.id] if "id" in kinds else list(of_table.c)[:2]
    rows = connection.execution_options(yield_per=_BLOCK).execute(select(of_table).order_by(*order))
    for row in rows.mappings():
        yield json.dumps({key: _out(value) for key, value in row.items()}, ensure_ascii=False)


def _out(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value


def write_rows(connection: Connection, name: str, kinds: Kinds, lines: Iterable[bytes]) -> int:
    """Add the rows; how many."""
    statement, count, block = _table(name, kinds).insert(), 0, []
    for line in lines:
        block.append({key: _in(value, kinds[key]) for key, value in json.loads(line).items()})
        if len(block) == _BLOCK:
            connection.execute(statement, block)
            count, block = count + len(block), []
    if block:
        connection.execute(statement, block)
    if connection.dialect.name == "postgresql" and "id" in kinds and kinds["id"] == "plain":
        _go_on_counting(connection, name)
    return count + len(block)


def _in(value: Any, kind: str) -> Any:
    if value is None or kind not in ("bytes", "time"):
        return value
    return base64.b64decode(value) if kind == "bytes" else datetime.fromisoformat(value)


def _go_on_counting(connection: Connection, name: str) -> None:
    """The next row's id comes after the largest that is there."""
    counter = connection.scalar(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": name})
    if counter is not None:
        largest = connection.scalar(select(func.max(column("id"))).select_from(table(name)))
        if largest is not None:
            connection.execute(select(func.setval(counter, largest)))


def _table(name: str, kinds: Kinds) -> TableClause:
    return table(name, *[column(key, _TYPES.get(kind, NullType())) for key, kind in kinds.items()])


def require_empty(connection: Connection) -> None:
    """Raises Conflict for a database that holds a row."""
    for name, kinds in tables_of(connection).items():
        if connection.execute(select(_table(name, kinds)).limit(1)).first() is not None:
            raise Conflict("The database is not empty. Give --replace to put the backup in the place of what is there.")


def drop_foreign_keys(connection: Connection) -> list[str]:
    """On Postgres, so that rows may come in any order: the statements that put the keys back, which checks every row.
    On SQLite keys are off in a migration's connection."""
    if connection.dialect.name != "postgresql":
        return []
    wanted = (
        "SELECT conrelid::regclass::text, quote_ident(conname), pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace ORDER BY 1, 2"
    )
    again = []
    for owner, name, definition in connection.execute(text(wanted)).all():
        connection.execute(text(f"ALTER TABLE {owner} DROP CONSTRAINT {name}"))
        again.append(f"ALTER TABLE {owner} ADD CONSTRAINT {name} {definition}")
    return again
