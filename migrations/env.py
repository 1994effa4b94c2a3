"""Alembic's entry point. ``app.db.migrate`` hands over a connection whose transaction it owns; the ``alembic``
command, used by developers to write a revision, makes one from the settings."""

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import JSON

from app.config import get_settings
from app.db.base import UtcDateTime
from app.db.migrate import is_known, migration_connection
from app.db.tables import Base


def render_item(kind, item, autogen_context):
    """Revisions name database types, not our classes: an old revision must not change when a class does."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, JSON) and not isinstance(item, JSONB):
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_item,
        render_as_batch=True,  # SQLite alters a table by copying it
        compare_type=True,
        include_name=is_known,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with migration_connection(get_settings().resolved_database_url) as own:
        run(own)
