"""A model version as files: a folder on disk, or the same folder as a zip that is made while it is sent."""

from pathlib import Path

from sqlalchemy.orm import Session

from app.db.tables import Project
from app.ml.artifacts import ArtifactStore
from app.ml.portable import PortableFile, portable_files
from app.services.alignment import alignment
from app.services.model_card import model_card
from app.services.models import Registered
from app.services.zips import zip_blocks

__all__ = ["folder_name", "model_files", "zip_blocks"]


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
