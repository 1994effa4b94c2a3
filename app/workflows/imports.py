"""Imports as a durable workflow: a file that a crash interrupted is taken up where it stopped."""

from dbos import DBOS

from app.services import pool
from app.workflows.context import context


@DBOS.workflow(name="import_file")
def import_file(import_id: int) -> None:
    run_import(import_id)


@DBOS.step(name="run_import")
def run_import(import_id: int) -> None:
    here = context()
    pool.run_import(here.db, here.store, import_id)
