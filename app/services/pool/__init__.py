"""The pool: bringing files in, and looking through what is there."""

from app.services.pool.importing import (
    create_import,
    import_status,
    list_imports,
    newest_summary,
    pending_imports,
    register_import,
    run_import,
)
from app.services.pool.items import list_items
from app.services.pool.readers import FileProblem
from app.services.pool.rows import ColumnMapping, Limits, content_hash, normalise
from app.services.pool.uploads import Preview, Upload, find_upload, preview, preview_upload, store_upload

__all__ = [
    "ColumnMapping",
    "FileProblem",
    "Limits",
    "Preview",
    "Upload",
    "content_hash",
    "create_import",
    "find_upload",
    "import_status",
    "list_imports",
    "list_items",
    "newest_summary",
    "normalise",
    "pending_imports",
    "preview",
    "preview_upload",
    "register_import",
    "run_import",
    "store_upload",
]
