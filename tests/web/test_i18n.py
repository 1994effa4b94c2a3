"""The interface in the reader's language."""

import importlib.util
import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from app.web import i18n

ROOT = Path(__file__).resolve().parents[2]
CODES = sorted(set(i18n.LANGUAGES) - {i18n.SOURCE})
_PLACES = re.compile(r"%\(\w+\)s|\{\w+\}")


def translations():
    spec = importlib.util.spec_from_file_location("translations", ROOT / "scripts" / "translations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("code", CODES)
def test_every_sentence_is_translated(code):
    assert translations().untranslated(code) == [], "run `make translations` and fill in what is empty"


@pytest.mark.parametrize("code", CODES)
def test_translations_keep_the_places_to_fill_in(code):
    with (ROOT / "app" / "locales" / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    for message in catalogue:
        sources = message.id if isinstance(message.id, tuple) else (message.id,)
        strings = message.string if isinstance(message.string, tuple) else (message.string,)
        if sources[0] and all(strings):
            assert {frozenset(_PLACES.findall(s)) for s in sources} >= {
                frozenset(_PLACES.findall(s)) for s in strings
            }, sources


def test_the_browsers_wish_is_followed_and_ones_own_setting_goes_first(scene):
    browser = scene.browser("expert")
    german = {"Accept-Language": "fr;q=0.9, de-AT;q=0.8, en;q=0.5"}
    page = browser.get(scene.path("/label"), headers=german)
    assert '<html lang="de">' in page.text
    assert "Noch nichts zu beurteilen" in page.text
    assert "Nothing to label yet" in browser.get(scene.path("/label"), headers={"Accept-Language": "q=x, ;;"}).text
    browser.post("/account/preferences", {"language": "en", "break_minutes": 45})
    assert '<html lang="en">' in browser.get(scene.path("/label"), headers=german).text
    assert browser.post("/account/preferences", {"language": "xx"}).status_code == 422
