"""``linecall import``."""

import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli.base import database, fail, note, settings

if TYPE_CHECKING:
    from app.db.engine import Database
    from app.db.tables import Import
    from app.ml.artifacts import ArtifactStore

_TELL_SECONDS = 2.0
_SHOWN_ERRORS = 20


def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="CSV, JSON Lines or Parquet.")],
    project: Annotated[str, typer.Option(help="The project's short name.")],
    text: Annotated[str | None, typer.Option(help="Column of the text; left out: guessed.")] = None,
    id_column: Annotated[str | None, typer.Option("--id", help="Column of your own id, if there is one.")] = None,
    meta: Annotated[list[str] | None, typer.Option(help="A further column to keep; may be given again.")] = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave bad rows out; without it, one bad row refuses the file.")
    ] = False,
) -> None:
    """Import a file into a project's pool. Every row is checked before the first is stored; texts that the pool has
    already are counted, not stored. Where a worker is alive it does the work, otherwise this process does.

    Exit codes: 0 imported; 1 refused, with the errors by row; 2 wrong usage.
    """
    from app.ml.artifacts import ArtifactStore
    from app.services import pool, projects, workers

    config = settings()
    store = ArtifactStore(config.resolved_artifacts_url)
    with database(config) as db:
        with db.read() as session:
            project_id = projects.get_project(session, project).id
        mapping = _mapping(file, text, id_column, meta)
        with file.open("rb") as stream:
            upload = pool.store_upload(store, project_id, file.name, stream, max_bytes=max(1, file.stat().st_size))
        with db.read() as session:
            alive = workers.alive(session, timedelta(seconds=config.worker_dead_after_seconds))
        import_id = db.run_write(
            lambda session: pool.register_import(session, upload, mapping, skip_bad_rows=skip_bad_rows).id
        )
        job = _watch(db, project_id, import_id) if alive else _carry_out(db, store, import_id)
    _report(job)


def _mapping(file: Path, text: str | None, id_column: str | None, meta: list[str] | None) -> dict[str, object]:
    from app.errors import InvalidInput
    from app.services import pool

    if text is None:
        guess = pool.preview(file).mapping
        if guess is None:
            raise InvalidInput("No column holds text. Name one with --text.")
        text, id_column = guess.text, id_column or guess.id
        note(f"The text is taken from column '{text}'" + (f", the id from '{id_column}'." if id_column else "."))
    return {"text": text, "id": id_column, "meta": meta or []}


class _Teller:
    """Says how far it is, every two seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        if time.monotonic() - self._last < _TELL_SECONDS:
            return
        self._last = time.monotonic()
        note(f"{done:,} rows checked" if total is None else f"{done:,} of {total:,} rows")


def _carry_out(db: "Database", store: "ArtifactStore", import_id: int) -> "Import":
    from app.services import pool

    return pool.run_import(db, store, import_id, _Teller())


def _watch(db: "Database", project_id: int, import_id: int) -> "Import":
    from app.services import pool

    tell = _Teller()
    while True:
        with db.read() as session:
            job = pool.import_status(session, project_id, import_id)
        if job.state not in ("queued", "running"):
            return job
        tell(job.rows_done, job.rows_total)
        time.sleep(0.2)


def _report(job: "Import") -> None:
    for error in job.errors[:_SHOWN_ERRORS]:
        place = ", ".join(f"{part} {error[part]}" for part in ("row", "field") if error.get(part) is not None)
        note(f"{place}: {error['message']}" if place else error["message"])
    if len(job.errors) > _SHOWN_ERRORS:
        note(f"… and {job.rows_rejected - _SHOWN_ERRORS:,} more")
    if job.state != "done":
        fail(f"{job.filename} was not imported.")
    figures = f"{job.rows_added:,} items added, {job.rows_duplicate:,} duplicates, {job.rows_rejected:,} rows left out"
    typer.echo(f"{figures}.")
