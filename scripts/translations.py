"""Brings app/locales/*.po up to date with the sentences in app/web and templates; what is new comes untranslated.

    python scripts/translations.py [--check]

``--check`` changes nothing and fails where a sentence has no translation.
"""

import sys
import tomllib
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALES = ROOT / "app" / "locales"


def sentences() -> Catalog:
    catalogue = Catalog(project="Linecall", charset="utf-8")
    mappings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["babel"]["mappings"]
    methods = [(mapping["pattern"], mapping["method"]) for mapping in mappings]
    options = {m["pattern"]: {k: v for k, v in m.items() if k not in ("pattern", "method")} for m in mappings}
    keywords = DEFAULT_KEYWORDS | {"N_": None}
    for folder in ("app/web", "templates"):
        patterns = [(pattern.removeprefix(folder + "/"), method) for pattern, method in methods]
        chosen = {pattern.removeprefix(folder + "/"): value for pattern, value in options.items()}
        here = [(pattern, method) for pattern, method in patterns if "/" not in pattern.removeprefix("**")]
        for _file, _line, message, _comments, context in extract_from_dir(
            str(ROOT / folder), here, chosen, keywords=keywords
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
    catalogue.update(sentences(), no_fuzzy_matching=True)
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
