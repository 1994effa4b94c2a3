"""Brings app/locales/*.po up to date with the sentences of pages and errors; what is new comes untranslated.

    python scripts/translations.py [--check]

``--check`` changes nothing and fails where a sentence has no translation.
"""

import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_file
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALES = ROOT / "app" / "locales"
ERRORS = (
    *("InvalidInput", "NotSignedIn", "Forbidden", "NotFound", "Conflict", "Gone", "TooLarge", "Unavailable"),
    *("LinecallError", "TooManyAttempts"),
)
# Where errors are raised that can come before an expert. Those of the other modules stay in English, as their pages do.
WEB = (
    *("account", "adjudication", "contrast", "deps", "errors", "given", "guidance", "home", "label", "oidc"),
    *("practice", "preferences", "security", "session", "sso"),
)
SERVICES = (
    *("accounts", "annotations", "contrast", "guidance", "identities", "invitations", "passwords", "practice"),
    *("deletion", "preferences", "rounds", "rulings"),
)


def sentences() -> Catalog:
    """What the pages say, and what the errors say that whoever answers can meet."""
    catalogue = Catalog(project="Linecall", charset="utf-8")
    templates = [("jinja2", path, {}) for path in sorted((ROOT / "templates").glob("*.html"))]
    errors = dict.fromkeys(ERRORS)
    web = [("python", path, errors if path.stem in WEB else {}) for path in sorted((ROOT / "app/web").glob("*.py"))]
    services = [("python", ROOT / "app" / "services" / f"{name}.py", errors) for name in SERVICES]
    services.append(("python", ROOT / "app" / "services" / "messages.py", {}))
    for method, path, more in templates + web + services:
        keywords = DEFAULT_KEYWORDS | {"N_": None} | more
        options = {"trimmed": "true"} if method == "jinja2" else {}
        for _line, message, _comments, context in extract_from_file(
            method, str(path), keywords=keywords, options=options
        ):
            catalogue.add(message, context=context)
    return catalogue


def untranslated(code: str) -> list[str]:
    """Sentences of the pages that the catalogue ``code`` lacks."""
    with (LOCALES / f"{code}.po").open("rb") as file:
        known = read_po(file, locale=code)
    missing = []
    for message in sentences():
        found = known.get(message.id, message.context) if message.id else None
        strings = found.string if found is not None else ""
        whole = all(strings) if isinstance(strings, tuple | list) else bool(strings)
        if message.id and (not whole or (found is not None and found.fuzzy)):
            missing.append(str(message.id))
    return missing


def update(path: Path) -> None:
    catalogue = read_po(path.open("rb"), locale=path.stem) if path.exists() else Catalog(locale=path.stem)
    written = catalogue.creation_date  # kept, so that two people's changes don't meet in it
    catalogue.update(sentences(), no_fuzzy_matching=True)
    catalogue.creation_date = written
    catalogue.obsolete.clear()
    with path.open("wb") as file:
        write_po(file, catalogue, width=120, sort_output=True, no_location=True, ignore_obsolete=True)


def main() -> None:
    if "--check" in sys.argv[1:]:
        missing = {path.stem: untranslated(path.stem) for path in LOCALES.glob("*.po")}
        for code, messages in missing.items():
            for message in messages:
                print(f"{code}: {message}")
        sys.exit(any(missing.values()))
    for path in {LOCALES / "de.po", *LOCALES.glob("*.po")}:
        update(path)


if __name__ == "__main__":
    main()
