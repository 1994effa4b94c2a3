"""A backup of a whole installation in one file that either kind of database can be restored from.

A zip with ``tables/NAME.jsonl``, ``artifacts/KEY`` and, last, ``manifest.json``: the schema's revision, the columns,
and the SHA-256 of every other part. A restore reads and checks all of it before it changes anything, and then changes
the database in one transaction. The one that is made before a migration has no artifacts: no migration changes those.
"""

import json
import logging
import os
import secrets
import sqlite3
import zipfile
import zlib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from app.config import Settings
from app.db import archive, migrate
from app.db.engine import Database, make_engine, normalise_url
from app.errors import Conflict, InvalidInput, Unavailable
from app.ml.artifacts import ArtifactStore
from app.services import accounts, audit, links

log = logging.getLogger(__name__)
_FORMAT = 1
_CHUNK = 1 << 20
_TORN = "The backup is torn or is none: {}. Nothing was changed."


def back_up(settings: Settings, target: Path) -> dict[str, Any]:
    """``write`` everything; the audit log has it from then on, as it has every export."""
    manifest = write(settings, target)
    db = Database(settings.resolved_database_url, pool_size=1)
    with db.write() as session:
        told = {"revision": manifest["revision"], "parts": len(manifest["parts"])}
        audit.record(session, "backup.written", subject=target.name, **told)
    db.dispose()
    return manifest


def upgrade(settings: Settings) -> Path | None:
    """Bring the database to head, with the state before it kept first unless the settings say otherwise: where that
    is, or None where there was nothing to keep.

    Raises Unavailable, with nothing changed, where it can't be kept.
    """

    def keep(connection: Connection, revision: str) -> Path | None:
        return _keep(settings, connection, revision) if settings.backup_before_migration else None

    return migrate.upgrade(settings.resolved_database_url, back_up=keep, then=_record_migration)


def _keep(settings: Settings, connection: Connection, revision: str) -> Path | None:
    """SQLite's file is copied. On Postgres another connection reads what was committed; whoever still writes with the
    version before does so into the database, but not into the backup."""
    try:
        if connection.dialect.name == "sqlite":
            return migrate.copy_beside(connection, revision)
        target = settings.data_dir / "backups" / f"before-{revision}-{migrate.stamp()}.zip"
        log.warning("Before the migration the database is backed up to %s", target.absolute())
        target.parent.mkdir(parents=True, exist_ok=True)
        write(settings, target, artifacts=False)
    except (OSError, sqlite3.Error) as error:
        raise Unavailable(
            f"The database could not be backed up before the migration, so nothing was changed: {error}. "
            "LINECALL_BACKUP_BEFORE_MIGRATION=false migrates without a backup."
        ) from error
    return target.absolute()


def _record_migration(connection: Connection, before: str, kept: Path | None) -> None:
    subject = f"{before} to {migrate.head()}"
    _record(connection, "database.migrated", subject=subject, backup=kept.name if kept else None)


def _record(connection: Connection, action: str, *, subject: str, **detail: Any) -> None:
    """In the transaction of the connection, which its owner ends."""
    with Session(connection, join_transaction_mode="rollback_only") as session:
        audit.record(session, action, subject=subject, **detail)
        session.commit()


def write(settings: Settings, target: Path, *, artifacts: bool = True) -> dict[str, Any]:
    """The manifest. The file is there whole or not at all, and for its owner alone, since it holds all that anybody
    has said. Raises Conflict for a file that is there already."""
    if target.exists():
        raise Conflict(f"{target} is there already.")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(draft, "xb", opener=_for_owner) as file:
            manifest = _write(settings, file, artifacts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _for_owner(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _write(settings: Settings, file: BinaryIO, artifacts: bool) -> dict[str, Any]:
    url, store = settings.resolved_database_url, ArtifactStore(settings.resolved_artifacts_url)
    manifest: dict[str, Any] = {"format": _FORMAT, "made_at": datetime.now(UTC).isoformat(), "parts": {}}
    manifest["artifacts"] = artifacts
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as target:
        engine = make_engine(url, pool_size=1)
        isolation = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with engine.execution_options(**isolation).connect() as connection:
            manifest["revision"] = connection.scalar(text("SELECT version_num FROM alembic_version"))
            manifest["tables"] = archive.tables_of(connection)
            for name, kinds in manifest["tables"].items():
                lines = (line.encode() + b"\n" for line in archive.read_rows(connection, name, kinds))
                _add(target, manifest, f"tables/{name}.jsonl", lines)
        engine.dispose()
        # After the rows: files are never changed, so all that the rows name is there.
        for key in store.list() if artifacts else ():
            with store.open_read(key) as source:
                _add(target, manifest, f"artifacts/{key}", iter(lambda: source.read(_CHUNK), b""))
        target.writestr("manifest.json", json.dumps(manifest))
    return manifest


def _add(target: zipfile.ZipFile, manifest: dict[str, Any], name: str, chunks: Any) -> None:
    digest = sha256()
    with target.open(name, "w", force_zip64=True) as part:
        for chunk in chunks:
            digest.update(chunk)
            part.write(chunk)
    manifest["parts"][name] = digest.hexdigest()


def restore(settings: Settings, source: Path, *, replace: bool = False) -> dict[str, Any]:
    """Put a backup into an empty installation, or with ``replace`` in the place of what is there. It may be of an older
    version: then it is migrated. API tokens and open links end. Raises InvalidInput for a torn file, Conflict for a
    database that is not empty.

    No other process may use the installation meanwhile.
    """
    try:
        with zipfile.ZipFile(source) as backup:
            manifest = _checked(backup)
            _put_back(settings, backup, manifest, replace, source.name)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise InvalidInput(_TORN.format(error), field="file") from error
    return manifest


def _checked(backup: zipfile.ZipFile) -> dict[str, Any]:
    """The manifest, when every part is as it says."""
    try:
        manifest: dict[str, Any] = json.loads(backup.read("manifest.json"))
    except (KeyError, ValueError) as error:
        raise InvalidInput(_TORN.format("it has no manifest"), field="file") from error
    if manifest.get("format") != _FORMAT:
        raise InvalidInput("A newer version of Linecall made this backup.", field="file")
    names = set(backup.namelist()) - {"manifest.json"}
    if names != set(manifest["parts"]):
        raise InvalidInput(_TORN.format("parts are missing"), field="file")
    for name, wanted in manifest["parts"].items():
        digest = sha256()
        with backup.open(name) as part:
            while chunk := part.read(_CHUNK):
                digest.update(chunk)
        if digest.hexdigest() != wanted:
            raise InvalidInput(_TORN.format(f"{name} is not what was written"), field="file")
    return manifest


def _put_back(
    settings: Settings, backup: zipfile.ZipFile, manifest: dict[str, Any], replace: bool, name: str
) -> None:  # fmt: skip
    store, added = ArtifactStore(settings.resolved_artifacts_url), list[str]()

    def fill(connection: Connection) -> None:
        keys = archive.drop_foreign_keys(connection)
        for table, kinds in manifest["tables"].items():
            with backup.open(f"tables/{table}.jsonl") as lines:
                archive.write_rows(connection, table, kinds, lines)
        for statement in keys:
            connection.execute(text(statement))
        for part, digest in manifest["parts"].items():
            key = part.removeprefix("artifacts/")
            if key != part and not _holds(store, key, digest, added):
                store.put_bytes(key, backup.read(part))

    def then(connection: Connection) -> None:
        about = {"made_at": manifest["made_at"], "revision": manifest["revision"], "replaced": replace}
        about |= _end_secrets(connection)
        _record(connection, "backup.restored", subject=name, **about)
        _forget_workflows(settings, connection)

    try:
        migrate.rebuild(settings.resolved_database_url, manifest["revision"], fill, replace=replace, then=then)
    except BaseException:
        for key in added:
            store.remove(key)
        _take_back(settings)
        raise
    for path, _ in _set_aside(settings):
        path.unlink(missing_ok=True)


def _end_secrets(connection: Connection) -> dict[str, int]:
    """How many. A token or link that was live in the backup may have been revoked or used since, after a leak perhaps,
    and nothing in the backup tells; as sign-ins are left out, so these end."""
    with Session(connection, join_transaction_mode="rollback_only") as session:
        ended = {"tokens_ended": accounts.end_all_api_tokens(session), "links_ended": len(links.end_all(session))}
        session.commit()
    return ended


def _holds(store: ArtifactStore, key: str, digest: str, added: list[str]) -> bool:
    """Whether the store has these bytes; a key that it has not is noted in ``added``. Other bytes under a key are a
    damaged file, for a key never names two contents, and the backup mends it even if the restore then fails."""
    if not store.exists(key):
        added.append(key)
        return False
    found = sha256()
    with store.open_read(key) as source:
        while chunk := source.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest() == digest


def _forget_workflows(settings: Settings, connection: Connection) -> None:
    """What is remembered of workflows tells of the rows that were there before. A round that was under way begins its
    stage anew.

    This comes last before the commit, and not after it: a restored round whose workflow is remembered as finished
    would never go on, while one that is forgotten although the commit fails does some work twice. With SQLite not even
    that happens (the file is set aside until the commit), nor where the schema is in the database that is restored;
    only a Postgres of its own forgets at once.
    """
    url = normalise_url(settings.resolved_workflow_url)
    statement = "DROP SCHEMA IF EXISTS dbos CASCADE"
    if url.startswith("sqlite:///"):
        for aside, path in _set_aside(settings):
            aside.unlink(missing_ok=True)
            if path.exists():
                path.rename(aside)
    elif make_url(url) == make_url(normalise_url(settings.resolved_database_url)):
        connection.execute(text(statement))
    else:
        engine = make_engine(url, pool_size=1)
        with engine.begin() as other:
            other.execute(text(statement))
        engine.dispose()


def _set_aside(settings: Settings) -> list[tuple[Path, Path]]:
    """Where the files of an SQLite database of workflows lie until the commit, each beside where it belongs."""
    url = normalise_url(settings.resolved_workflow_url)
    if not url.startswith("sqlite:///"):
        return []
    paths = [Path(url.removeprefix("sqlite:///") + ending) for ending in ("", "-wal", "-shm")]
    return [(path.with_name(f"{path.name}.aside"), path) for path in paths]


def _take_back(settings: Settings) -> None:
    for aside, path in _set_aside(settings):
        if aside.exists() and not path.exists():
            aside.rename(path)
