"""Finds templates, static files and migrations: beside ``app`` in a checkout, inside it in an installed wheel."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """Folder ``templates``, ``static`` or ``migrations``.

    Raises FileNotFoundError when the installation lacks it.
    """
    for folder in (_PACKAGE / "_resources" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise FileNotFoundError(f"Linecall's folder '{name}' is missing from this installation")
