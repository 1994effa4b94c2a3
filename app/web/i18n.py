"""Which language a request is answered in. The catalogues are app.i18n's, whose names pages find here too."""

from functools import lru_cache

from fastapi import Request

from app.i18n import LANGUAGES, N_, SOURCE, _, _catalogue, gettext, language, ngettext, sentence, speak, speaking

__all__ = [
    "LANGUAGES",
    "N_",
    "SOURCE",
    "_",
    "_catalogue",
    "choose",
    "gettext",
    "language",
    "ngettext",
    "sentence",
    "speaking",
    "use_language_of",
]


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
    speak(choose(request))


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
