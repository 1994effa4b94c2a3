"""``linecall backup`` and ``linecall restore``."""

from pathlib import Path
from typing import Annotated

import typer

from app.cli.base import database, note, plain_database_errors, settings


def backup(file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")]) -> None:
    """Write everything into one file while Linecall runs: every table and every artifact, from either database.

    Exit codes: 0 written; 1 refused or failed; 2 wrong usage.
    """
    from app.services import backup as backups

    config = settings()
    with database(config):
        manifest = backups.back_up(config, file)
    note(f"{file}: revision {manifest['revision']}, {len(manifest['parts']):,} parts, {file.stat().st_size:,} bytes.")


def restore(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A file that 'linecall backup' wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of what is there.")] = False,
) -> None:
    """Put a backup into an empty installation, on SQLite or Postgres, whichever it came from. Stop web and workers
    first. The whole file is checked before anything is changed; then all of it is restored, or nothing. Sign-ins, API
    tokens and open links end.

    Exit codes: 0 restored; 1 refused or failed; 2 wrong usage.
    """
    from app.services import backup as backups

    config = settings()
    with plain_database_errors(config.resolved_database_url):
        manifest = backups.restore(config, file, replace=replace)
    note(f"Restored what was there at {manifest['made_at']}. Everybody signs in again.")
    note("API tokens, invitations and sign-in links of before have ended: make new ones where they are needed.")
    if not manifest.get("artifacts", True):
        note("It was made before a migration, so it holds no models and embeddings: those that are here stay.")
