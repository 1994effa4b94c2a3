"""Embeddings after a restore: those of texts that are there no more are not given to others with the same numbers."""

import numpy as np
import pytest

from app.db import migrate
from app.db.engine import Database
from app.db.tables import Project
from app.services import backup
from app.workflows import context as worker_context
from app.workflows import pool_steps
from app.workflows.context import WorkerContext, missing_embeddings, pool_embeddings, round_facts, set_context
from tests.factories import make_items
from tests.workflows.loop import ads, make_loop, start


@pytest.fixture
def db(empty_database_url):
    """A migrated one, as a backup needs."""
    migrate.upgrade(empty_database_url)
    db = Database(empty_database_url)
    yield db
    db.dispose()


@pytest.fixture
def embed(monkeypatch):
    """Embed what is missing, as a round does, and check every row against its text. How many were missing."""
    monkeypatch.setattr(pool_steps, "reporter", lambda *_, **__: None)

    def work(settings, round_id: int, texts: list[str]) -> int:
        db = Database(settings.resolved_database_url)
        set_context(WorkerContext(settings, db, "tester"))
        facts = round_facts(round_id)
        missing = missing_embeddings(facts, 10)
        for first, stop in missing:
            pool_steps.embed_shard(round_id, first, stop, 0, 1)
        found, encoder = pool_embeddings(facts), worker_context.context().encoder(facts.encoder)
        db.dispose()
        set_context(None)
        wanted = encoder.encode(texts)
        assert np.abs(found - wanted).max() < 0.01
        return sum(stop - first for first, stop in missing)

    yield work
    set_context(None)


def add(settings, project_id: int, texts: list[str]) -> None:
    db = Database(settings.resolved_database_url)
    with db.write() as session:
        make_items(session, session.get_one(Project, project_id), texts)
    db.dispose()


def test_texts_imported_after_a_restore_get_vectors_of_their_own(db, settings, embed, tmp_path):
    project_id = make_loop(db, items=20)
    round_id = start(db, project_id)
    assert embed(settings, round_id, ads(0, 20)) == 20
    backup.write(settings, tmp_path / "backup.zip")
    backup.write(settings, tmp_path / "rows-only.zip", artifacts=False)
    add(settings, project_id, ads(20, 35))
    assert embed(settings, round_id, ads(0, 35)) == 15
    backup.restore(settings, tmp_path / "backup.zip", replace=True)
    add(settings, project_id, ads(40, 55))
    assert embed(settings, round_id, ads(0, 20) + ads(40, 55)) == 15
    backup.restore(settings, tmp_path / "rows-only.zip", replace=True)
    add(settings, project_id, ads(55, 70))
    assert embed(settings, round_id, ads(0, 20) + ads(55, 70)) == 15


def drop_stamps(settings) -> None:
    """As a version that knew none has left the data folder."""
    for path in (settings.data_dir / "artifacts").rglob("*.texts"):
        path.unlink()


@pytest.mark.parametrize(("stamped", "artifacts"), [(True, True), (True, False), (False, True), (False, False)])
def test_another_installations_backup_brings_its_own(db, settings, embed, tmp_path, stamped, artifacts):
    round_id = start(db, make_loop(db, items=20))
    assert embed(settings, round_id, ads(0, 20)) == 20
    here = settings.model_copy(update={"data_dir": tmp_path / "here", "database_url": ""})
    migrate.upgrade(here.resolved_database_url)
    own = Database(here.resolved_database_url)
    project_id = make_loop(own, items=0)
    add(here, project_id, ads(60, 80))
    assert embed(here, start(own, project_id), ads(60, 80)) == 20
    own.dispose()
    if not stamped:
        drop_stamps(here)
        drop_stamps(settings)
    backup.write(settings, tmp_path / "backup.zip", artifacts=artifacts)
    backup.restore(here, tmp_path / "backup.zip", replace=True)
    assert embed(here, round_id, ads(0, 20)) == (0 if artifacts else 20), "they came with the backup, if at all"


def test_a_data_folder_of_before_there_were_stamps_is_embedded_already(db, settings, embed):
    project_id = make_loop(db, items=20)
    round_id = start(db, project_id)
    embed(settings, round_id, ads(0, 20))
    drop_stamps(settings)
    assert embed(settings, round_id, ads(0, 20)) == 0
    add(settings, project_id, ads(20, 25))
    assert embed(settings, round_id, ads(0, 25)) == 5
