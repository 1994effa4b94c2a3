"""Models and embeddings as immutable objects under one URL: a folder, or any store that fsspec reaches."""

import hashlib
import io
import os
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from app.errors import InvalidInput, NotFound, Unavailable

# An upload to these appears whole or not at all, so that a temporary name and a move would only copy the bytes twice.
_OBJECT_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "adl"})


class ArtifactStore:
    """Objects by key. A key is a relative path with '/' between its parts; no part starts with a dot.

    A reader sees an object whole or not at all. Whoever writes a key twice writes the same content: that is what lets
    a step be repeated and ``local_path`` download once.
    """

    def __init__(self, url: str) -> None:
        """Raises InvalidInput for a URL of unknown kind, Unavailable when the package for it is not installed."""
        self.url = url
        self._backend = _backend(url)

    def put_bytes(self, key: str, data: bytes) -> None:
        self._backend.write(check_key(key), io.BytesIO(data))

    def put_file(self, key: str, path: Path) -> None:
        with path.open("rb") as source:
            self._backend.write(check_key(key), source)

    def get_bytes(self, key: str) -> bytes:
        with self.open_read(key) as stream:
            return stream.read()

    def open_read(self, key: str) -> BinaryIO:
        """A binary stream, which the caller closes. Raises NotFound."""
        try:
            return self._backend.open(check_key(key))
        except FileNotFoundError as error:
            raise NotFound(f"The artifact '{key}' is missing from the store.", key=key) from error

    def exists(self, key: str) -> bool:
        return self._backend.exists(check_key(key))

    def remove(self, key: str) -> None:
        """For good; nothing happens to one that is not there."""
        self._backend.remove(check_key(key))

    def list(self, prefix: str = "") -> list[str]:
        """Sorted keys of every object below the folder ``prefix`` (all objects when it is empty)."""
        found = self._backend.list(check_key(prefix) if prefix else "")
        return sorted(key for key in found if not any(part.startswith(".") for part in key.split("/")))

    def local_path(self, key: str, cache_dir: Path) -> Path:
        """A readable file with the object's content: the object itself, or a copy downloaded once. Raises NotFound."""
        if isinstance(self._backend, _Folder):
            path = self._backend.path(check_key(key))
            if not path.is_file():
                raise NotFound(f"The artifact '{key}' is missing from the store.", key=key)
            return path
        target = self._download_folder(cache_dir) / check_key(key)
        if not target.is_file():
            with self.open_read(key) as source:
                write_atomically(target, source)
        return target

    def local_folder(self, prefix: str, cache_dir: Path) -> Path:
        """A folder with every object below ``prefix``, as ``local_path`` gives them. Raises NotFound."""
        keys = self.list(prefix)
        if not keys:
            raise NotFound(f"The artifact folder '{prefix}' is missing from the store.", key=prefix)
        for key in keys:
            self.local_path(key, cache_dir)
        if isinstance(self._backend, _Folder):
            return self._backend.path(prefix)
        return self._download_folder(cache_dir) / prefix

    def _download_folder(self, cache_dir: Path) -> Path:
        return cache_dir.absolute() / "artifacts" / hashlib.sha256(self.url.encode()).hexdigest()[:16]


def check_key(key: str) -> str:
    """The key itself. Raises InvalidInput for one that is not a plain relative path."""
    parts = key.split("/")
    if not key or "\\" in key or "\0" in key or ":" in key or any(not part or part.startswith(".") for part in parts):
        raise InvalidInput(f"'{key}' is not a valid artifact key.", field="key")
    return key


def write_atomically(target: Path, source: BinaryIO) -> None:
    """Write a local file so that it survives a power cut whole or was never there; parents are made as needed."""
    _make_folder(target.parent)
    temporary = _temporary_name(target)
    try:
        with temporary.open("xb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(target.parent)


class _Backend(Protocol):
    def write(self, key: str, source: BinaryIO) -> None: ...
    def open(self, key: str) -> BinaryIO: ...
    def exists(self, key: str) -> bool: ...
    def remove(self, key: str) -> None: ...
    def list(self, prefix: str) -> list[str]: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def path(self, key: str) -> Path:
        return self.root / key

    def write(self, key: str, source: BinaryIO) -> None:
        write_atomically(self.path(key), source)

    def open(self, key: str) -> BinaryIO:
        return self.path(key).open("rb")

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def remove(self, key: str) -> None:
        self.path(key).unlink(missing_ok=True)

    def list(self, prefix: str) -> list[str]:
        return [path.relative_to(self.root).as_posix() for path in (self.root / prefix).rglob("*") if path.is_file()]


class _Remote:
    def __init__(self, url: str) -> None:
        from fsspec.core import url_to_fs

        self.fs, root = url_to_fs(url)
        self.root = str(root).rstrip("/")
        protocols = {self.fs.protocol} if isinstance(self.fs.protocol, str) else set(self.fs.protocol)
        self.uploads_are_atomic = bool(protocols & _OBJECT_STORES)

    def path(self, key: str) -> str:
        return f"{self.root}/{key}"

    def write(self, key: str, source: BinaryIO) -> None:
        target = self.path(key)
        if self.uploads_are_atomic:
            self._upload(target, source)
            return
        folder, _, name = target.rpartition("/")
        temporary = f"{folder}/.{name}.{secrets.token_hex(8)}.part"
        self.fs.makedirs(folder, exist_ok=True)
        self._upload(temporary, source)
        self.fs.mv(temporary, target)

    def open(self, key: str) -> BinaryIO:
        return cast(BinaryIO, self.fs.open(self.path(key), "rb"))

    def exists(self, key: str) -> bool:
        return bool(self.fs.isfile(self.path(key)))

    def remove(self, key: str) -> None:
        if self.exists(key):
            self.fs.rm_file(self.path(key))

    def list(self, prefix: str) -> list[str]:
        start = self.path(prefix).rstrip("/")
        self.fs.invalidate_cache()  # other workers write to the same store
        return [str(path)[len(self.root) + 1 :] for path in self.fs.find(start) if str(path).startswith(f"{start}/")]

    def _upload(self, target: str, source: BinaryIO) -> None:
        with self.fs.open(target, "wb") as stream:
            shutil.copyfileobj(source, stream, 1 << 20)


def _backend(url: str) -> _Backend:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return _Folder(Path(url).expanduser())
    if scheme == "file":
        return _Folder(Path(rest))
    try:
        return _Remote(url)
    except ImportError as error:
        raise Unavailable(f"The artifact store '{scheme}://' needs a package that is not installed: {error}") from error
    except ValueError as error:
        raise InvalidInput(f"Linecall can't use the artifact store '{scheme}://': {error}", field="url") from error


def _temporary_name(target: Path) -> Path:
    return target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")


def _make_folder(folder: Path) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        _sync_folder(made.parent)


def _sync_folder(folder: Path) -> None:
    """A new name is on disk only when its folder is; Windows can't open a folder and needs no such thing."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
