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
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

from app.errors import LinecallError

SOURCE = "en"
LANGUAGES = {"en": "English", "de": "Deutsch"}  # by code, named in themselves

_language: ContextVar[str] = ContextVar("language", default=SOURCE)


def language() -> str:
    """The code of the language that is spoken now: a request's, or of what is written ``speaking`` one."""
    return _language.get()


def speak(code: str) -> None:
    """From here to the end of this context, a request's say."""
    _language.set(code)


@contextmanager
def speaking(code: str) -> Iterator[None]:
    token = _language.set(code if code in LANGUAGES else SOURCE)
    try:
        yield
    finally:
        _language.reset(token)


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
