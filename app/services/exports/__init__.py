"""Items with everything that is known of them, as JSON Lines, CSV or Parquet."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from app.db.tables import Project
from app.errors import InvalidInput
from app.services.exports.files import FORMATS, ExportFormat, find_format
from app.services.exports.rows import COLUMNS, SCOPES, ExportRow, Scope, export_rows

__all__ = ["COLUMNS", "FORMATS", "SCOPES", "ExportFormat", "ExportRow", "Scope", "export", "export_rows", "find_format"]


def export(
    session: Session, project: Project, format: str, scope: str = "all", *, names: bool = False
) -> Iterator[bytes]:
    """The file's bytes, in blocks. Raises InvalidInput at once for a format or scope that there is not."""
    return find_format(format).write(export_rows(session, project, _known_scope(scope), names=names))


def _known_scope(scope: str) -> Scope:
    for known in SCOPES:
        if scope == known:
            return known
    raise InvalidInput("The scope is 'all' or 'labelled'.", field="scope")
