"""A backup restores on either kind of database, files and words included; a torn one changes nothing."""

import pytest
from sqlalchemy import func, inspect, select

from app.config import Settings
from app.db import archive, migrate
from app.db.engine import Database, make_engine
from app.db.tables import Item, Project
from app.errors import Conflict, InvalidInput
from app.ml.artifacts import ArtifactStore
from app.services import backup
from tests.factories import make_items, make_project
from tests.services.alignment_factories import make_history


@pytest.fixture
def filled(empty_database_url, tmp_path) -> Settings:
    migrate.upgrade(empty_database_url)
    db = Database(empty_database_url)
    history = make_history(db, rounds=2)
    with db.write() as session:
        project = session.get_one(Project, history.project_id)
        make_items(session, project, ["Ein Wörterbuch — 🎉 \u2028 zeile"])
    db.dispose()
    found = Settings(data_dir=tmp_path / "from", database_url=empty_database_url)
    ArtifactStore(found.resolved_artifacts_url).put_bytes("models/project-1/a.bin", bytes(range(256)) * 9000)
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def other(request, tmp_path) -> Settings:
    if request.param == "sqlite":
        yield Settings(data_dir=tmp_path / "to")
        return
    server = request.getfixturevalue("postgres_server")
    name = server.create()
    yield Settings(data_dir=tmp_path / "to", database_url=server.url(name))
    server.drop(name)


def contents(settings: Settings) -> dict[str, list[str]]:
    engine = make_engine(settings.resolved_database_url, pool_size=1)
    with engine.connect() as connection:
        tables = archive.tables_of(connection)
        rows = {name: list(archive.read_rows(connection, name, kinds)) for name, kinds in tables.items()}
    engine.dispose()
    return {name: sorted(found) for name, found in rows.items()}


def test_a_backup_restores_on_either_database(filled, other, tmp_path):
    file = tmp_path / "backup.zip"
    backup.write(filled, file)
    with pytest.raises(Conflict):
        backup.write(filled, file)
    backup.restore(other, file)
    before, after = contents(filled), contents(other)
    assert len(before["items"]) > 5
    assert {name: len(rows) for name, rows in after.items()} == {name: len(rows) for name, rows in before.items()}
    assert before["items"] == after["items"]
    assert before["annotations"] == after["annotations"]
    assert migrate.differences(other.resolved_database_url) == []
    assert ArtifactStore(other.resolved_artifacts_url).get_bytes("models/project-1/a.bin") == bytes(range(256)) * 9000
    db = Database(other.resolved_database_url)
    with db.write() as session:
        largest = session.scalar(select(func.max(Item.id)))
        project = make_project(session)
        assert make_items(session, project, 1)[0].id > largest, "ids go on after the restored ones"
    db.dispose()
    with pytest.raises(Conflict, match="not empty"):
        backup.restore(other, file)
    backup.restore(other, file, replace=True)
    assert contents(other)["items"] == before["items"]


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_torn_file_is_refused_and_changes_nothing(filled, tmp_path, damage):
    file = tmp_path / "backup.zip"
    backup.write(filled, file)
    data = bytearray(file.read_bytes())
    if damage == "flipped":
        data[len(data) // 3] ^= 0xFF
    file.write_bytes({"cut": data[: len(data) // 2], "flipped": data, "empty": b""}[damage])
    before = contents(filled)
    with pytest.raises(InvalidInput, match="Nothing was changed"):
        backup.restore(filled, file, replace=True)
    assert contents(filled) == before
    fresh = Settings(data_dir=tmp_path / "fresh")
    with pytest.raises(InvalidInput):
        backup.restore(fresh, file)
    assert not (tmp_path / "fresh").exists()


def test_a_restore_that_fails_half_way_leaves_all_as_it_was(filled, tmp_path, monkeypatch):
    file = tmp_path / "backup.zip"
    backup.write(filled, file)
    before = contents(filled)

    def fail(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(backup, "_forget_workflows", fail)
    with pytest.raises(ZeroDivisionError):
        backup.restore(filled, file, replace=True)
    assert contents(filled) == before
    fresh = Settings(data_dir=tmp_path / "fresh")
    with pytest.raises(ZeroDivisionError):
        backup.restore(fresh, file)
    assert ArtifactStore(fresh.resolved_artifacts_url).list() == []
    engine = make_engine(fresh.resolved_database_url)
    assert inspect(engine).get_table_names() == []
    engine.dispose()
