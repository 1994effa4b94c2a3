"""The interface in the reader's language: gettext catalogues, read with Babel from app/locales/<language>.po.

An error's sentence is written in English where it is raised, and translated where it is shown (``sentence``); the
catalogues take it from there. Pages for those who run a project are in English only.

A template says ``{{ _("Save") }}`` or ``{% trans n=… %}…{% pluralize %}…{% endtrans %}``; Python says ``_("Save")``,
and ``N_("Save")`` where a constant is only translated when it is shown. `make translations` brings the catalogues
up to date; a test fails while a sentence lacks its translation.
"""

import gettext as gettext_module
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from typing import Any

from fastapi import Request

from app.errors import LinecallError

SOURCE = "en"
LANGUAGES = {"en": "English", "de": "Deutsch"}  # by code, named in themselves

_language: ContextVar[str] = ContextVar("language", default=SOURCE)


def language() -> str:
    """The code of the language that this request is answered in."""
    return _language.get()


@contextmanager
def speaking(code: str) -> Iterator[None]:
    token = _language.set(code if code in LANGUAGES else SOURCE)
    try:
        yield
    finally:
        _language.reset(token)


def choose(request: Request) -> str:
    """The language that the user has set, else the first that the browser asks for and we have, else English.

    Whoever runs a project gets its pages in English, because most of them are in no other language: half a page in
    each helps nobody, and a screen reader would read one of them wrongly.
    """
    access = getattr(request.state, "access", None)
    if access is not None and access.role not in (None, "expert"):
        return SOURCE
    if access is not None and access.user.locale in LANGUAGES:
        return str(access.user.locale)
    return _asked_for(request.headers.get("Accept-Language", ""))


def use_language_of(request: Request) -> None:
    """For the rest of this request. Every request runs in a context of its own, so none sees another's."""
    _language.set(choose(request))


def gettext(message: str) -> str:
    return _catalogue(_language.get()).gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    return _catalogue(_language.get()).ngettext(singular, plural, n)


def _(message: str, **values: Any) -> str:
    """The sentence in the reader's language, with ``%(name)s`` filled in."""
    text = gettext(message)
    return text % values if values else text


def sentence(error: LinecallError) -> str:
    """What an error says, in the reader's language."""
    text = gettext(error.template)
    return text % error.values if error.values else text


def N_(message: str) -> str:  # noqa: N802 - gettext's own name for it
    """Marks a constant for the catalogue; it is translated where it is shown."""
    return message


@cache
def _catalogue(code: str) -> gettext_module.NullTranslations:
    if code == SOURCE:
        return gettext_module.NullTranslations()
    from babel.messages.mofile import write_mo
    from babel.messages.pofile import read_po

    with (files("app") / "locales" / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext_module.GNUTranslations(compiled)


@lru_cache(maxsize=1000)
def _asked_for(accept_language: str) -> str:
    wanted = []
    for part in accept_language.split(",")[:20]:
        name, _semicolon, weight = part.strip().partition(";")
        try:
            wanted.append((float(weight.strip().removeprefix("q=") or 1), name.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    ranked = sorted(wanted, key=lambda pair: -pair[0])
    return next((name for weight, name in ranked if weight > 0 and name in LANGUAGES), SOURCE)
