"""SQLite's index of the pool's words knows the beginnings of two to six characters. Without, the lists of all words
that begin so are merged before the first item is there, which took seconds in a pool of a million."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _index("2 3 4 5 6")


def downgrade() -> None:
    _index("3")


def _index(lengths: str) -> None:
    """Made anew from the items; its triggers are of the table of items and stay."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute("DROP TABLE items_search")
    op.execute(
        "CREATE VIRTUAL TABLE items_search USING fts5"
        f"(text, content='items', content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\", prefix='{lengths}')"
    )
    op.execute("INSERT INTO items_search(items_search) VALUES ('rebuild')")
