"""A backup restores on either kind of database, files and words included; a torn one changes nothing."""

import json

import pytest
from sqlalchemy import func, inspect, select

from app.config import Settings
from app.db import archive, migrate
from app.db.engine import Database, make_engine
from app.db.tables import AuditEvent, Item, Project
from app.errors import Conflict, Gone, InvalidInput, Unavailable
from app.ml.artifacts import ArtifactStore
from app.services import accounts, backup, invitations
from app.services.pool.search import matching
from tests.db.test_migrate import add_revision
from tests.factories import make_items, make_project, make_user
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
        rows = {name: map(json.loads, archive.read_rows(connection, name, kinds)) for name, kinds in tables.items()}
        found = {name: sorted(json.dumps(row, sort_keys=True) for row in of_table) for name, of_table in rows.items()}
    engine.dispose()
    return found


def test_a_backup_restores_on_either_database(filled, other, tmp_path):
    file = tmp_path / "backup.zip"
    backup.write(filled, file)
    with pytest.raises(Conflict):
        backup.write(filled, file)
    backup.restore(other, file)
    before, after = contents(filled), contents(other)
    assert len(before["items"]) > 5
    assert len(after.pop("audit_events")) == len(before.pop("audit_events")) + 1, "the restore itself"
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


def events(settings: Settings) -> list[tuple[str, str, dict]]:
    db = Database(settings.resolved_database_url)
    with db.read() as session:
        found = [(row.action, row.subject, row.detail) for row in session.scalars(select(AuditEvent))]
    db.dispose()
    return found


def test_backing_up_and_restoring_are_in_the_audit_log(filled, other, tmp_path):
    manifest = backup.back_up(filled, tmp_path / "backup.zip")
    told = {"revision": migrate.head(), "parts": len(manifest["parts"])}
    assert events(filled) == [("backup.written", "backup.zip", told)]
    assert (tmp_path / "backup.zip").stat().st_mode & 0o077 == 0, "nobody else's"
    backup.restore(other, tmp_path / "backup.zip")
    told = {"made_at": manifest["made_at"], "revision": migrate.head(), "replaced": False}
    told |= {"tokens_ended": 0, "links_ended": 0}
    assert events(other) == [("backup.restored", "backup.zip", told)]


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["0001", "0003_dry_runs", "0006"])
def test_a_backup_of_an_older_version_is_migrated(filled, backend, revision, tmp_path, request):
    """Onto the other kind of database; what it then holds is what migrating in place makes."""
    kept = tmp_path / "kept.zip"
    migrate.downgrade(filled.resolved_database_url, revision)
    assert backup.write(filled, kept)["revision"] == revision
    migrate.upgrade(filled.resolved_database_url)
    other = Settings(data_dir=tmp_path / "to")
    if backend == "sqlite":
        server = request.getfixturevalue("postgres_server")
        other = Settings(data_dir=tmp_path / "to", database_url=server.url(server.create()))
    backup.restore(other, kept)
    before, after = contents(filled), contents(other)
    assert len(before["consensus_labels"]) > 5
    assert after.pop("audit_events")
    assert before.pop("audit_events") == []
    assert [name for name in before if before[name] != after[name]] == []
    assert migrate.differences(other.resolved_database_url) == []
    assert is_found(other, "wörterb*")
    backup.restore(other, kept, replace=True)
    assert contents(other)["items"] == before["items"]


def is_found(settings: Settings, words: str) -> bool:
    db = Database(settings.resolved_database_url)
    with db.read() as session:
        ids, _ = matching(session, words)
        found = len(session.scalars(ids).all()) == 1
    db.dispose()
    return found


def test_before_a_migration_the_database_is_kept_and_can_be_put_back(filled, backend, tmp_path, monkeypatch):
    before, head, original = contents(filled), migrate.head(), migrate.resource
    add_revision(tmp_path / "more", monkeypatch)
    kept = backup.upgrade(filled)
    assert events(filled) == [("database.migrated", f"{head} to next", {"backup": kept.name})]
    assert backup.upgrade(filled) is None, "nothing is pending any more"
    monkeypatch.setattr(migrate, "resource", original)  # the version of before
    if backend == "sqlite":
        assert contents(Settings(database_url=f"sqlite:///{kept}")) == before
        return
    assert kept.parent == filled.data_dir / "backups"
    with pytest.raises(Conflict, match="newer version"):
        migrate.check(filled.resolved_database_url)
    restored = Settings(data_dir=tmp_path / "to")
    backup.restore(restored, kept)
    after = contents(restored)
    assert after.pop("audit_events") != before.pop("audit_events")
    assert after == before
    assert ArtifactStore(restored.resolved_artifacts_url).list() == []


def test_without_room_for_a_backup_nothing_is_migrated_unless_none_is_wanted(filled, backend, tmp_path, monkeypatch):
    head = migrate.head()
    add_revision(tmp_path / "more", monkeypatch)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    place = (migrate, "copy_beside") if backend == "sqlite" else (backup, "write")
    monkeypatch.setattr(*place, full)
    with pytest.raises(Unavailable, match=r"nothing was changed: .*No space left"):
        backup.upgrade(filled)
    assert migrate.current(filled.resolved_database_url) == head
    assert backup.upgrade(filled.model_copy(update={"backup_before_migration": False})) is None
    assert migrate.current(filled.resolved_database_url) == "next"
    assert events(filled) == [("database.migrated", f"{head} to next", {"backup": None})]


@pytest.mark.slow
def test_checkpoints_of_workflows_go_with_a_restore_and_stay_with_one_that_fails(filled, tmp_path, monkeypatch):
    file = tmp_path / "backup.zip"
    backup.write(filled, file)
    here = Settings(data_dir=tmp_path / "here")
    checkpoints = here.data_dir / "linecall-workflows.sqlite"
    backup.restore(here, file)
    for path in (checkpoints, checkpoints.with_name(checkpoints.name + "-wal")):
        path.write_bytes(b"checkpoints")
    with monkeypatch.context() as patched:
        patched.setattr(migrate.Connection, "commit", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            backup.restore(here, file, replace=True)
    left = sorted(path.name for path in here.data_dir.glob("*-workflows*"))
    assert left == [checkpoints.name, checkpoints.name + "-wal"]
    backup.restore(here, file, replace=True)
    assert list(here.data_dir.glob("*-workflows*")) == []


def test_tokens_and_links_of_before_end_with_a_restore(filled, other, tmp_path):
    """They may have been revoked or used since."""
    db = Database(filled.resolved_database_url)
    with db.write() as session:
        user = make_user(session)
        project = make_project(session, admin=user)
        token, row = accounts.create_api_token(session, user.id, "script")
        accounts.create_api_token(session, user.id, "script's", by=row)
        link = invitations.create_sign_in_link(session, user.id)
        invited, _ = invitations.invite(session, project.id, "admin", days=14, by_user_id=user.id)
        cookie = accounts.start_session(session, user.id, days=1)
    db.dispose()
    backup.write(filled, tmp_path / "backup.zip")
    backup.restore(other, tmp_path / "backup.zip")
    db = Database(other.resolved_database_url)
    with db.write() as session:
        assert accounts.find_user(session, user.email).id == user.id
        assert accounts.resolve_api_token(session, token) is None
        assert accounts.api_tokens(session, user.id) == []
        assert accounts.resolve_session(session, cookie) is None
        for use, secret in ((invitations.use_sign_in_link, link), (invitations.look_up, invited)):
            with pytest.raises(Gone):
                use(session, secret)
    db.dispose()
    (_, _, told), *_ = [event for event in events(other) if event[0] == "backup.restored"]
    assert (told["tokens_ended"], told["links_ended"]) == (2, 2)


def test_a_damaged_artifact_is_mended_and_others_are_kept(filled, tmp_path):
    backup.write(filled, tmp_path / "backup.zip")
    here = Settings(data_dir=tmp_path / "here")
    store = ArtifactStore(here.resolved_artifacts_url)
    store.put_bytes("models/project-1/a.bin", b"torn")
    store.put_bytes("models/project-1/own.bin", b"own")
    backup.restore(here, tmp_path / "backup.zip")
    assert store.get_bytes("models/project-1/a.bin") == bytes(range(256)) * 9000
    assert store.get_bytes("models/project-1/own.bin") == b"own"


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
