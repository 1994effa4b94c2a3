"""``linecall migrate``."""

from typing import Annotated

import typer

from app.cli.base import plain_database_errors, require_database, settings


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if a revision is pending.")] = False,
) -> None:
    """Bring the database to the revision that this version needs, and print it.

    A database that is in use is backed up first, an SQLite file beside itself, Postgres into the data folder, and the
    backup's place is printed. All pending revisions are applied, or none.

    Exit codes: 0 up to date; 1 pending (--check), refused or failed; 2 wrong usage.
    """
    from app.db import migrate as migrations
    from app.services import backup

    config = settings()
    url = config.resolved_database_url
    if check:
        require_database(url)
    with plain_database_errors(url):
        if check:
            migrations.check(url)
        elif (kept := backup.upgrade(config)) is not None:
            typer.echo(f"The database as it was: {kept}")
        typer.echo(migrations.current(url))
