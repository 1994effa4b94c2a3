"""The words of the pool: an FTS5 table beside ``items`` on SQLite, an index of ``to_tsvector`` on Postgres.

Neither is in the metadata, which knows no such kind of table: they come with ``items`` when that is made (migrations
make them for themselves) and ``is_ours`` keeps Alembic's comparison from dropping them.
"""

from sqlalchemy import DDL, Integer, Table, column, event, table

from app.db.tables.pool import Item

NAME = "items_search"  # and what FTS5 keeps beside it: items_search_data, items_search_idx, …
_INDEX = "ix_items_search"
ITEMS_SEARCH = table(NAME, column("rowid", Integer))  # SQLite's; a row's id is its item's

# A beginning of one of the lengths in ``prefix`` is a list of its own; for any other, the lists of all words that begin
# so are merged before the first item is there.
_SQLITE = (
    "CREATE VIRTUAL TABLE items_search USING fts5"
    "(text, content='items', content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\", prefix='2 3 4 5 6')",
    "CREATE TRIGGER items_search_insert AFTER INSERT ON items BEGIN "
    "INSERT INTO items_search(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER items_search_delete AFTER DELETE ON items BEGIN "
    "INSERT INTO items_search(items_search, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER items_search_update AFTER UPDATE OF text ON items BEGIN "
    "INSERT INTO items_search(items_search, rowid, text) VALUES ('delete', old.id, old.text); "
    "INSERT INTO items_search(rowid, text) VALUES (new.id, new.text); END",
)
_POSTGRES = f"CREATE INDEX {_INDEX} ON items USING gin (to_tsvector('simple', text))"


def _ddl(statement: str) -> DDL:
    return DDL(statement)  # type: ignore[no-untyped-call]


def _make_with(items: Table) -> None:
    for statement in _SQLITE:
        event.listen(items, "after_create", _ddl(statement).execute_if(dialect="sqlite"))
    event.listen(items, "after_create", _ddl(_POSTGRES).execute_if(dialect="postgresql"))
    event.listen(items, "before_drop", _ddl(f"DROP TABLE IF EXISTS {NAME}").execute_if(dialect="sqlite"))


_make_with(Item.__table__)  # type: ignore[arg-type]


def is_ours(name: str | None, kind: str) -> bool:
    """``kind`` is Alembic's: table, index, column, …"""
    return name is not None and ((kind == "table" and name.startswith(NAME)) or (kind == "index" and name == _INDEX))
