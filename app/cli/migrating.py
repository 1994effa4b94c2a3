"""``linecall migrate``."""

from typing import Annotated

import typer

from app.cli.base import plain_database_errors, require_database, settings


def migrate(
    check: Annotated[bool, typer.Option("--check", help="Change nothing; fail if a revision is pending.")] = False,
) -> None:
    """Bring the database to the revision that this version needs, and print it.

    An SQLite file that has data is copied beside itself first. All pending revisions are applied, or none.

    Exit codes: 0 up to date; 1 pending (--check), refused or failed; 2 wrong usage.
    """
    from app.db import migrate as migrations

    url = settings().resolved_database_url
    if check:
        require_database(url)
    with plain_database_errors(url):
        if check:
            migrations.check(url)
        elif (backup := migrations.upgrade(url)) is not None:
            typer.echo(f"The database as it was: {backup}")
        typer.echo(migrations.current(url))
