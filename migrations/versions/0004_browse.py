"""Words of the pool, and predictions in the order of their scores: what browsing a million items needs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003_dry_runs"
branch_labels = None
depends_on = None

# SQLite: a copy of `items` made by a later revision (batch_alter_table) drops its triggers, so it must make them anew.
_SQLITE = (
    "CREATE VIRTUAL TABLE items_search USING fts5"
    "(text, content='items', content_rowid='id', tokenize=\"unicode61 remove_diacritics 2\", prefix='3')",
    "CREATE TRIGGER items_search_insert AFTER INSERT ON items BEGIN "
    "INSERT INTO items_search(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER items_search_delete AFTER DELETE ON items BEGIN "
    "INSERT INTO items_search(items_search, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER items_search_update AFTER UPDATE OF text ON items BEGIN "
    "INSERT INTO items_search(items_search, rowid, text) VALUES ('delete', old.id, old.text); "
    "INSERT INTO items_search(rowid, text) VALUES (new.id, new.text); END",
    "INSERT INTO items_search(items_search) VALUES ('rebuild')",
)


def upgrade() -> None:
    op.create_index("ix_predictions_score", "predictions", ["model_version_id", "label", "score", "item_id"])
    if op.get_bind().dialect.name == "sqlite":
        for statement in _SQLITE:
            op.execute(sa.text(statement))
    else:
        op.execute("CREATE INDEX ix_items_search ON items USING gin (to_tsvector('simple', text))")
    op.create_index("ix_items_project_id_id", "items", ["project_id", "id"])


def downgrade() -> None:
    op.drop_index("ix_items_project_id_id", "items")
    if op.get_bind().dialect.name == "sqlite":
        for name in ("insert", "delete", "update"):
            op.execute(f"DROP TRIGGER items_search_{name}")
        op.execute("DROP TABLE items_search")
    else:
        op.execute("DROP INDEX ix_items_search")
    op.drop_index("ix_predictions_score", "predictions")
