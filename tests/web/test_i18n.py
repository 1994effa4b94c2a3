"""The interface in the reader's language."""

import importlib.util
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from app import i18n as catalogues
from app.errors import InvalidInput
from app.services import accounts
from app.web import i18n, render
from tests.web import expert_day
from tests.web.expert_day import Day, Hidden
from tests.web.test_roles import TABLE

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


# --- every page that an expert can open is in their language -------------------------------------------------------

GERMAN = {"Accept-Language": "de", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"}
WORDS = re.compile(r"[A-Za-zÄÖÜäöüß]{2,}")
NAMES = frozenset(
    {"Linecall", "Firefox", "Linux", "English", "Deutsch", "testclient"}
)  # what is called so in every language
READ_OUT = {"aria-label", "title", "placeholder", "alt", "content", "data-confirm", "data-none", "data-copied"}
NO_TEXT = {"script", "style", "code", "kbd"}


class Marked:
    """The German catalogue, with every sentence between brackets, except for what is filled in."""

    def __init__(self, catalogue) -> None:
        self._catalogue = catalogue

    def gettext(self, message: str) -> str:
        found = self._catalogue.gettext(message)
        return bracketed(found) if self._catalogue._catalog.get(message) else found

    def ngettext(self, one: str, many: str, n: int) -> str:
        return bracketed(self._catalogue.ngettext(one, many, n))


def bracketed(sentence: str) -> str:
    return "".join(
        part if _PLACES.fullmatch(part) else f"⟦{part}⟧" for part in re.split(f"({_PLACES.pattern})", sentence) if part
    )


class Visible(HTMLParser):
    """All that a page shows or a screen reader reads out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag not in ("input", "meta", "link", "br", "hr"):
            skipped = tag == "time" and "data-local" in values  # app.js writes it; the day's name is checked below
            self._inside.append("script" if skipped else tag)
        named = values.get("name") in ("viewport", "color-scheme", "htmx-config")
        if tag != "time" and not named and "http-equiv" not in values:
            self.found += [value for name, value in attributes if name in READ_OUT and value]

    def handle_endtag(self, tag):
        if self._inside:
            self._inside.pop()

    def handle_data(self, data):
        if not NO_TEXT & set(self._inside):
            self.found.append(data)


def said(response) -> list[str]:
    """Every sentence that a response shows, the ones for the page's script included."""
    if "json" in response.headers.get("content-type", ""):
        body = response.json()
        return sentences_of(body) + ([body["error"]] if isinstance(body, dict) and "error" in body else [])
    page = Visible()
    page.feed(response.text)
    for data in re.findall(r'<script type="application/json" id="desk-state">(.*?)</script>', response.text):
        state = json.loads(data)
        page.found += [*state["words"].values(), *sentences_of(state["desk"])]
    return page.found


def sentences_of(desk) -> list[str]:
    parts = [desk.get("empty") or {}, desk.get("done") or {}] if isinstance(desk, dict) else []
    return [part[name] for part in parts for name in ("title", "text", "more") if part.get(name)]


def english(response, names: frozenset[str] = NAMES) -> list[str]:
    """What is left when German sentences, names and addresses are taken away. What is stored is in Greek."""
    left = []
    for text in said(response):
        rest = re.sub(r"⟦.*?⟧", " ", text, flags=re.DOTALL)
        rest = rest.replace("A new example of", "")  # stored, as the summary of a version that Linecall made itself
        rest = re.sub(r"\S+@\S+|https?://\S+|\{\w+\}|lc_\S+", " ", rest)
        if set(WORDS.findall(rest)) - names:
            left.append(text.strip())
    return left


@pytest.fixture
def german(monkeypatch):
    marked = Marked(catalogues._catalogue("de"))
    monkeypatch.setattr(
        catalogues, "_catalogue", lambda code: marked if code == "de" else catalogues.gettext_module.NullTranslations()
    )


@pytest.mark.slow
@pytest.mark.usefixtures("german")
def test_no_page_that_an_expert_can_open_says_anything_in_english(scene, monkeypatch):
    wrong: dict[str, list[str]] = {}

    def keep(step, response):
        if response.status_code != 204 and (found := english(response)):
            wrong.setdefault(" | ".join(dict.fromkeys(found)), []).append(step)

    expert_day.furnish(scene)
    visited = expert_day.coming_in(scene, keep, GERMAN)
    day = Day(scene, scene.browser("expert"), keep, GERMAN)
    expert_day.before_any_round(day)
    expert_day.the_practice(day)
    expert_day.without_practice(scene)
    items = expert_day.add_review(scene, Hidden())
    expert_day.before_the_first_answer(day)
    expert_day.the_answers(day)
    expert_day.a_new_guideline(day, Hidden())
    expert_day.the_last_answers(day)
    expert_day.the_round_goes_on(day)
    expert_day.a_vote(day, items)
    expert_day.the_account(day)
    with monkeypatch.context() as broken:
        broken.setattr(accounts, "projects_of", lambda *_: 1 / 0)
        day.browser.client._transport.raise_server_exceptions = False
        keep("a page that fails", day.browser.get("/"))
    assert wrong == {}
    assert pages_of(*expert_day.EXPERT_LEVELS) - visited - day.visited == set()


def pages_of(*levels: str) -> set[str]:
    lines = [line.split() for level in levels for line in TABLE[level].strip().splitlines()]
    return {path for method, path in lines if method == "GET" and not path.startswith("/api/")}


def test_an_admins_pages_are_in_one_language(scene):
    browser = scene.browser("admin")
    for path in (scene.path(), scene.path("/rulings"), scene.path("/label")):
        page = browser.get(path, headers=GERMAN).text
        assert '<html lang="en">' in page
        assert "Überblick" not in page
    assert '<html lang="de">' in browser.get("/account", headers=GERMAN).text


def test_the_api_speaks_english_and_keeps_what_is_filled_in(scene):
    refused = scene.browser().get("/api/v1/projects", headers=GERMAN)
    assert refused.json()["error"] == "Sign in to go on."
    error = InvalidInput("Use at least %(n)s characters.", values={"n": 10}, field="password")
    assert (str(error), error.detail) == ("Use at least 10 characters.", {"field": "password"})
    with i18n.speaking("de"):
        assert i18n.sentence(error) == "Nehmen Sie mindestens 10 Zeichen."


@pytest.mark.parametrize(
    ("seconds", "english", "german"),
    [
        (10, "just now", "gerade eben"),
        (-10, "in a moment", "gleich"),
        (60, "1 minute ago", "vor 1 Minute"),
        (7200, "2 hours ago", "vor 2 Stunden"),
        (-86_400, "in 1 day", "in 1 Tag"),
        (1200 * 86_400, "1,200 days ago", "vor 1.200 Tagen"),
    ],
)
def test_times_are_told_by_language(seconds, english, german):
    now = datetime(2026, 3, 5, 14, 30, tzinfo=UTC)
    for code, text in (("en", english), ("de", german)):
        with i18n.speaking(code):
            assert f">{text}</time>" in render.ago(now - timedelta(seconds=seconds), now)


def test_dates_and_numbers_are_written_by_language():
    when = datetime(2026, 3, 5, 14, 30, tzinfo=UTC)
    assert (">5 Mar 2026<" in render.date(when), render.number(1234.5, 1)) == (True, "1,234.5")
    with i18n.speaking("de"):
        assert ">5. März 2026<" in render.date(when)
        assert ">5. März 2026, 14:30 UTC<" in render.date_time(when)
        assert (render.number(1234.5, 1), render.percent(0.125, 1)) == ("1.234,5", "12,5\u202f%")
