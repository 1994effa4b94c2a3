"""Items with everything that is known of them, as JSON Lines, CSV or Parquet, or as a folder for `datasets`."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.db.tables import Project
from app.errors import InvalidInput
from app.ml.portable import PortableFile
from app.services import audit
from app.services.exports.dataset import DATASET_COLUMNS, dataset_files
from app.services.exports.files import FORMATS, ExportFormat, find_format
from app.services.exports.rows import COLUMNS, SCOPES, ExportRow, Scope, export_rows

__all__ = [
    "COLUMNS",
    "DATASET",
    "DATASET_COLUMNS",
    "FORMATS",
    "SCOPES",
    "ExportFormat",
    "ExportRow",
    "Scope",
    "check",
    "export",
    "export_dataset",
    "export_rows",
    "find_format",
    "record",
]
DATASET = "datasets"  # the one format that is a folder


def check(format: str, scope: str) -> None:
    """Raises InvalidInput for a format or scope that there is not."""
    _known_scope(scope)
    if format != DATASET:
        find_format(format)


def export(
    session: Session, project: Project, format: str, scope: str = "all", *, names: bool = False
) -> Iterator[bytes]:
    """The file's bytes, in blocks. Raises InvalidInput at once for a format or scope that there is not."""
    return find_format(format).write(export_rows(session, project, _known_scope(scope), names=names))


def export_dataset(
    session: Session, project: Project, card: str, scope: str = "all", *, names: bool = False
) -> Iterator[PortableFile]:
    """The folder's files, each to be read before the next is asked for; ``card`` is the dataset's card in Markdown.
    Raises InvalidInput at once for a scope that there is not."""
    rows = export_rows(session, project, _known_scope(scope), names=names)
    return dataset_files(rows, project.labels, card)


def record(
    session: Session, project: Project, format: str, scope: str, *, names: bool, user_id: int | None = None
) -> None:
    """That somebody takes the data away; without a ``user_id``, by the command line."""
    audit.record(
        session, "export.created", user_id=user_id, project_id=project.id, subject=format, scope=scope, names=names
    )


def _known_scope(scope: str) -> Scope:
    for known in SCOPES:
        if scope == known:
            return known
    raise InvalidInput("The scope is 'all' or 'labelled'.", field="scope")
