"""A project's embeddings as immutable float16 shards in the artifact store, one row per item by ordinal.

A shard's name states its first row, the row after its last and a digest of its content. Appended items get shards of
their own; a repeated or overtaken step may write rows that are there already, which does no harm.

A project's number and a row's can come again with another text: a database that was put back to an earlier state, or
that another installation's backup replaced, meets the shards of what was there before. So beside each shard lies a
stamp, whose name states the texts that it was made of, and a shard of other texts is as good as none.
"""

import hashlib
import io
import re
import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from app.errors import InvalidInput, NotFound
from app.ml.artifacts import ArtifactStore

SHARD_SIZE = 8192
_NAME = re.compile(r"(\d+)-(\d+)-[0-9a-f]{12}\.npy")
_STAMP = ".texts"
_OF_OTHERS = "0" * 16  # in the stamp of a shard that was looked at and is of none of the texts that there are
_LOOKED_AT = 8  # rows of a shard without a stamp
_APART = 0.1  # unit vectors: a cosine of .995, which rounding and another machine stay well above


class Bounds(NamedTuple):
    """Rows ``start`` to ``stop - 1``."""

    start: int
    stop: int


class Texts(Protocol):
    """The texts of a pool as it is now, by row."""

    def digest(self, start: int, stop: int) -> str | None:
        """16 hex digits for rows ``start`` to ``stop - 1``; None where the pool has not all of them."""

    def embedded(self, rows: Sequence[int]) -> npt.NDArray[np.floating[Any]]:
        """Their vectors, computed anew."""


class _Shard(NamedTuple):
    start: int
    stop: int
    key: str


def shard_bounds(n: int, size: int = SHARD_SIZE, start: int = 0) -> list[Bounds]:
    """Rows ``start`` to ``n - 1`` cut at the multiples of ``size``, so that every worker plans the same cuts."""
    if size < 1:
        raise InvalidInput("A shard holds at least one row.", field="size")
    cuts = [start, *range((start // size + 1) * size, n, size), n]
    return [Bounds(first, last) for first, last in pairwise(cuts) if first < last]


def write_shard(
    store: ArtifactStore,
    project_key: str,
    encoder_key: str,
    start: int,
    array: npt.NDArray[np.floating[Any]],
    texts: str,
) -> str:
    """Keep rows ``start`` … of shape (rows, dim) as float16, made of the texts of this digest; returns the artifact
    key.

    Raises InvalidInput for an array that is empty, not a matrix or not finite.
    """
    if array.ndim != 2 or array.size == 0 or start < 0:
        raise InvalidInput("Embeddings are a matrix with at least one row.", field="array")
    with np.errstate(over="ignore"):  # what overflows is refused below
        rows = np.ascontiguousarray(array, dtype="<f2")
    if not np.isfinite(rows).all():
        raise InvalidInput("The embeddings hold a value that is not a finite number.", field="array")
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    data = buffer.getvalue()
    name = f"{start:010d}-{start + len(rows):010d}-{hashlib.sha256(data).hexdigest()[:12]}.npy"
    key = f"{_folder(project_key, encoder_key)}/{name}"
    _stamp(store, key, texts)  # first: a stamp alone says nothing, a shard alone would have to be looked at
    store.put_bytes(key, data)
    return key


def missing_shards(
    store: ArtifactStore, project_key: str, encoder_key: str, n: int, texts: Texts, size: int = SHARD_SIZE
) -> list[Bounds]:
    """What is still to be embedded of the first ``n`` items, in shards of at most ``size`` rows."""
    return _gaps(_shards(store, project_key, encoder_key, texts), n, size)


def _gaps(shards: list[_Shard], n: int, size: int) -> list[Bounds]:
    missing: list[Bounds] = []
    covered = 0
    for shard in [*shards, _Shard(n, n, "")]:
        if covered < min(shard.start, n):
            missing.extend(shard_bounds(min(shard.start, n), size, covered))
        covered = max(covered, shard.stop)
    return missing


def load(
    store: ArtifactStore, project_key: str, encoder_key: str, n: int, texts: Texts, cache_dir: Path
) -> npt.NDArray[np.float16]:
    """The first ``n`` rows as a read-only float16 memory map of shape (n, dim), assembled once in ``cache_dir``.

    The file's name holds a digest of the shards' names and so of their content: a store that was emptied and filled
    again is never answered from an old file. Raises NotFound if rows are missing.
    """
    found = _shards(store, project_key, encoder_key, texts)
    if missing := _gaps(found, n, max(n, 1)):
        rows = ", ".join(f"{first}–{last - 1}" for first, last in missing[:3])
        raise NotFound(f"The embeddings of items {rows} have not been computed.", missing=[list(b) for b in missing])
    if n == 0:
        raise NotFound("The pool has no items, so it has no embeddings.")
    shards = [shard for shard in found if shard.start < n]
    digest = hashlib.sha256("\n".join([store.url, *(shard.key for shard in shards)]).encode()).hexdigest()[:16]
    folder = cache_dir.absolute() / "embeddings" / _folder(project_key, encoder_key)
    target = folder / f"{n}-{digest}.npy"
    if not target.is_file():
        _assemble(store, shards, n, target)
        _drop_smaller(folder, n)
    return np.load(target, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _folder(project_key: str, encoder_key: str) -> str:
    return f"embeddings/{project_key}/{encoder_key}"


def _shards(store: ArtifactStore, project_key: str, encoder_key: str, texts: Texts) -> list[_Shard]:
    """Those of these texts, by first row, then last, then digest: where two cover a row, every reader takes the same
    one."""
    folder = _folder(project_key, encoder_key)
    keys, stamps = store.list(folder), defaultdict[str, set[str]](set)
    for key in keys:
        if key.endswith(_STAMP):
            name, _, digest = key.removesuffix(_STAMP).rpartition("-")
            stamps[name].add(digest)
    found = ((key, _NAME.fullmatch(key.removeprefix(f"{folder}/"))) for key in keys)
    shards = sorted(_Shard(int(match[1]), int(match[2]), key) for key, match in found if match)
    return [shard for shard in shards if _is_of(store, shard, stamps[shard.key.removesuffix(".npy")], texts)]


def _stamp(store: ArtifactStore, key: str, texts: str) -> None:
    store.put_bytes(f"{key.removesuffix('.npy')}-{texts}{_STAMP}", texts.encode())


def _is_of(store: ArtifactStore, shard: _Shard, stamps: Collection[str], texts: Texts) -> bool:
    wanted = texts.digest(shard.start, shard.stop)
    if stamps or wanted is None:
        return wanted in stamps
    # A version before stamps wrote it: some rows are embedded again, once, and the stamp tells what came of it.
    same = _looks_the_same(store, shard, texts)
    _stamp(store, shard.key, wanted if same else _OF_OTHERS)
    return same


def _looks_the_same(store: ArtifactStore, shard: _Shard, texts: Texts) -> bool:
    """Pools that once were one differ from some row on, so the last row counts most."""
    rows = np.unique(np.linspace(shard.start, shard.stop - 1, _LOOKED_AT).astype(int))
    kept = np.load(io.BytesIO(store.get_bytes(shard.key)), allow_pickle=False)
    if len(kept) != shard.stop - shard.start:
        return False
    old, new = kept[rows - shard.start].astype(np.float32), texts.embedded(rows.tolist())
    if old.shape != new.shape:
        return False
    return bool((np.linalg.norm(old - new, axis=1) <= _APART * np.linalg.norm(new, axis=1)).all())


def _assemble(store: ArtifactStore, shards: list[_Shard], n: int, target: Path) -> None:
    """Written under another name and renamed: a reader never maps a file that is still being filled."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        whole: np.memmap[Any, np.dtype[np.float16]] | None = None
        for shard, rows in _read(store, shards):
            if whole is None:
                whole = np.lib.format.open_memmap(temporary, "w+", np.dtype("<f2"), (n, rows.shape[1]))
            whole[shard.start : shard.stop] = rows[: n - shard.start]
        assert whole is not None  # noqa: S101 - the caller has found every row
        whole.flush()
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _read(store: ArtifactStore, shards: list[_Shard]) -> Iterator[tuple[_Shard, npt.NDArray[np.float16]]]:
    dimensions: int | None = None
    for shard in shards:
        rows = np.load(io.BytesIO(store.get_bytes(shard.key)), allow_pickle=False)
        dimensions = dimensions or rows.shape[1]
        if rows.shape != (shard.stop - shard.start, dimensions):
            raise InvalidInput(f"The embeddings in '{shard.key}' have the wrong shape.", field="embeddings")
        yield shard, rows


def _drop_smaller(folder: Path, n: int) -> None:
    """Older assemblies of a pool that has grown; a process that still maps one keeps it until it lets go."""
    for path in folder.glob("[0-9]*.npy"):
        if int(path.name.partition("-")[0]) < n:
            path.unlink(missing_ok=True)
