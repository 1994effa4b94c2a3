"""Files as a zip that is made while it is sent."""

import io
import zipfile
from collections.abc import Iterable, Iterator
from datetime import datetime

from app.ml.portable import PortableFile

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of the zip format


def zip_blocks(files: Iterable[PortableFile], folder: str, made: datetime) -> Iterator[bytes]:
    """The files under one folder. Weights and Parquet do not shrink, so nothing is compressed; the same files at the
    same ``made`` give the same bytes. Memory does not grow with the files."""
    sink = _Sink()
    when = max(made.timetuple()[:6], _EARLIEST)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_STORED) as archive:
        for file in files:
            entry = zipfile.ZipInfo(f"{folder}/{file.path}", when)
            entry.external_attr = 0o644 << 16
            with archive.open(entry, "w", force_zip64=True) as target:
                for block in file.blocks():
                    target.write(block)
                    yield sink.take()
            yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """What zipfile has written and nobody has taken yet; it can't go back, so sizes follow each file's content."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._blocks.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._blocks)
        self._blocks.clear()
        return taken
