"""A backup of a whole installation in one file that either kind of database can be restored from.

A zip with ``tables/NAME.jsonl``, ``artifacts/KEY`` and, last, ``manifest.json``: the schema's revision, the columns,
and the SHA-256 of every other part. A restore reads and checks all of it before it changes anything, and then changes
the database in one transaction.
"""

import json
import os
import secrets
import zipfile
import zlib
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url

from app.config import Settings
from app.db import archive, migrate
from app.db.engine import make_engine, normalise_url
from app.errors import Conflict, InvalidInput
from app.ml.artifacts import ArtifactStore

_FORMAT = 1
_CHUNK = 1 << 20
_TORN = "The backup is torn or is none: {}. Nothing was changed."


def write(settings: Settings, target: Path) -> dict[str, Any]:
    """The manifest. The file is there whole or not at all. Raises Conflict for a file that is there already."""
    if target.exists():
        raise Conflict(f"{target} is there already.")
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with draft.open("xb") as file:
            manifest = _write(settings, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)
    return manifest


def _write(settings: Settings, file: BinaryIO) -> dict[str, Any]:
    url, store = settings.resolved_database_url, ArtifactStore(settings.resolved_artifacts_url)
    manifest: dict[str, Any] = {"format": _FORMAT, "made_at": datetime.now(UTC).isoformat(), "parts": {}}
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
        for key in store.list():  # after the rows: files are never changed, so all that the rows name is there
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
    version: then it is migrated. Raises InvalidInput for a torn file, Conflict for a database that is not empty.

    No other process may use the installation meanwhile.
    """
    try:
        with zipfile.ZipFile(source) as backup:
            manifest = _checked(backup)
            _put_back(settings, backup, manifest, replace)
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


def _put_back(settings: Settings, backup: zipfile.ZipFile, manifest: dict[str, Any], replace: bool) -> None:
    store, added = ArtifactStore(settings.resolved_artifacts_url), list[str]()

    def fill(connection: Connection) -> None:
        keys = archive.drop_foreign_keys(connection)
        for name, kinds in manifest["tables"].items():
            with backup.open(f"tables/{name}.jsonl") as lines:
                archive.write_rows(connection, name, kinds, lines)
        for statement in keys:
            connection.execute(text(statement))
        for name in manifest["parts"]:
            key = name.removeprefix("artifacts/")
            if key != name and not store.exists(key):
                added.append(key)
                store.put_bytes(key, backup.read(name))
        _forget_workflows(settings, connection)

    try:
        migrate.rebuild(settings.resolved_database_url, manifest["revision"], fill, replace=replace)
    except BaseException:
        for key in added:
            store.remove(key)
        raise


def _forget_workflows(settings: Settings, connection: Connection) -> None:
    """What is remembered of workflows tells of the rows that were there before. A round that was under way begins its
    stage anew."""
    url = normalise_url(settings.resolved_workflow_url)
    statement = "DROP SCHEMA IF EXISTS dbos CASCADE"
    if url.startswith("sqlite:///"):
        for ending in ("", "-wal", "-shm"):
            Path(url.removeprefix("sqlite:///") + ending).unlink(missing_ok=True)
    elif make_url(url) == make_url(normalise_url(settings.resolved_database_url)):
        connection.execute(text(statement))
    else:
        engine = make_engine(url, pool_size=1)
        with engine.begin() as other:
            other.execute(text(statement))
        engine.dispose()
