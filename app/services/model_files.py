"""A model version as files: a folder on disk, or the same folder as a zip that is made while it is sent."""

import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from app.db.tables import Project
from app.ml.artifacts import ArtifactStore
from app.ml.portable import PortableFile, portable_files
from app.services.alignment import alignment
from app.services.model_card import model_card
from app.services.models import Registered

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # of the zip format


def model_files(
    session: Session, store: ArtifactStore, project: Project, model: Registered, base: Path | None = None
) -> list[PortableFile]:
    """``base``: the folder of what the model builds on, to be put in. Raises Conflict for a model that can't be
    exported, and NotFound for one whose files are gone."""
    assert model.artifact_key is not None  # noqa: S101 - models.trained_model gives no other
    files = portable_files(store, model.artifact_key, project.labels, model.encoder_facts, base)
    card = model_card(project, model, alignment(session, project.id), whole=base is not None).encode()
    return [PortableFile("README.md", lambda: iter([card])), *files]


def folder_name(project: Project, model: Registered) -> str:
    return f"{project.slug}-model-{model.version}"


def zip_blocks(files: Sequence[PortableFile], folder: str, made: datetime) -> Iterator[bytes]:
    """The files under one folder. Weights do not shrink, so nothing is compressed; the same files at the same
    ``made`` give the same bytes. Memory does not grow with the files."""
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
