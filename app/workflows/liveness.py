"""Seeing at once that a worker on this machine has died, rather than after its silence has lasted long enough.

A worker holds a lock on a file for as long as it lives, and the kernel lets go of it however the process ends. Unlike
a process number, which is given out again and means another process in another container, the lock can't be mistaken
for a stranger's. The folder is named after this boot of the machine, so that a folder shared over a network says
nothing about workers elsewhere; for those the heartbeat counts.
"""

import importlib
from pathlib import Path
from typing import Any, BinaryIO

from app.config import Settings

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux only; elsewhere the heartbeat alone decides


class LifeLock:
    """Held from its making until ``release`` or the end of the process."""

    def __init__(self, settings: Settings, worker_id: str) -> None:
        self._path = _lock_path(settings, worker_id)
        self._file: BinaryIO | None = None
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb")
            _try_lock(self._file)

    def release(self) -> None:
        if self._path is not None and self._file is not None:
            self._path.unlink(missing_ok=True)
            self._file.close()
            self._file = None


def has_died(settings: Settings, worker_id: str) -> bool:
    """Whether it is certain that the worker has ended; False also where that can't be known from here."""
    path = _lock_path(settings, worker_id)
    if path is None:
        return False
    try:
        with path.open("rb+") as file:
            return _try_lock(file)
    except FileNotFoundError:
        return False


def forget(settings: Settings, worker_id: str) -> None:
    """Remove what a dead worker has left."""
    if (path := _lock_path(settings, worker_id)) is not None:
        path.unlink(missing_ok=True)


def _lock_path(settings: Settings, worker_id: str) -> Path | None:
    if not _BOOT_ID.exists():
        return None
    return settings.data_dir.absolute() / "workers" / _BOOT_ID.read_text().strip() / f"{worker_id}.lock"


def _try_lock(file: Any) -> bool:
    fcntl = importlib.import_module("fcntl")  # there is none on Windows, which has no boot id either
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
