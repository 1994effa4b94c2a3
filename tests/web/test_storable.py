"""A text that no database can hold is refused by whatever takes it, never answered as an error of the server's: the
labelling page would send that again for ever, ahead of all later answers."""

import json

import pytest
from sqlalchemy import func, select

from app.db.tables import Annotation, Project, Suggestion
from tests.factories import make_items
from tests.services.review_factories import add_round
from tests.web.test_label import held, note_down

UNSTORABLE = {"NUL": "a\0b", "half a surrogate pair": "a\ud83db"}


@pytest.fixture(params=["sqlite", "postgres"])
def backend(request) -> str:
    return request.param


@pytest.fixture
def review(scene):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, ["first", "second"])
        return add_round(session, project, [item.id for item in items], overlap=1).id


def rows(scene) -> tuple[int, int]:
    with scene.db.read() as session:
        tables = (Annotation, Suggestion)
        return tuple(session.scalar(select(func.count()).select_from(table)) for table in tables)


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
@pytest.mark.parametrize("field", ["note", "reason", "key"])
@pytest.mark.parametrize("kind", ["answer", "skip", "undo"])
def test_what_the_page_notes_down_is_refused_for_good_and_the_next_answer_is_taken(scene, review, kind, field, text):
    browser = scene.browser("expert")
    first, second = held(browser, scene)
    entry = {"kind": kind, "key": "k" * 16, "assignment": first, "label": 1} | {field: text.ljust(8, "x")}
    headers = {"Accept": "application/json", "Content-Type": "application/json", "X-CSRF-Token": browser.csrf()}
    refused = browser.client.post(scene.path("/label/noted"), content=json.dumps(entry), headers=headers)
    assert (refused.status_code, "error" in refused.json()) == (422, True)
    assert note_down(browser, scene, assignment=second, label=1).json()["done"]["kind"] == "saved"
    assert rows(scene) == (1, 0)


@pytest.mark.parametrize(
    ("address", "form", "field"),
    [
        ("/label", {"label": 1, "key": "k" * 16}, "note"),
        ("/label", {"label": 1}, "key"),
        ("/label/skip", {}, "reason"),
        ("/label/undo", {}, "undo_key"),
        ("/suggestions", {"key": "k" * 16}, "text"),
        ("/suggestions", {"text": "Does it count?"}, "key"),
        ("/suggestions", {"text": "This one.", "kind": "example", "label": 1}, "key"),
        ("/answers/{first}", {"label": 1, "key": "k" * 16}, "note"),
        ("/contrast/1/revise", {"change": "{first}:1", "key": "k" * 16}, "reason"),
    ],
)
def test_every_form_of_an_expert_refuses_it(scene, review, address, form, field):
    browser = scene.browser("expert")
    first, _second = held(browser, scene)
    form = {"assignment": first} | {name: str(value).format(first=first) for name, value in form.items()}
    address = scene.path(address.format(first=first))
    refused = browser.post(address, form | {field: "abcdefgh\0"}, headers={"Accept": "application/json"})
    assert refused.status_code == 422
    assert rows(scene) == (0, 0)


def test_who_fills_in_a_form_is_told_why(scene, review):
    browser = scene.browser("expert")
    first, _second = held(browser, scene)
    refused = browser.post(scene.path("/label/skip"), {"assignment": first, "reason": "a\0b"})
    assert (refused.status_code, "NUL character" in refused.text) == (422, True)
    sent = {"name": "a.csv\0"}
    assert (
        scene.browser().client.post("/sign-in", data={"email": "a\0@b.org", "password": "x"} | sent).status_code == 422
    )


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_preference_is_refused_too(scene, text):
    browser = scene.browser("expert")
    headers = {"Accept": "application/json", "Content-Type": "application/json", "X-CSRF-Token": browser.csrf()}
    body = json.dumps({"keys": {"undo": text[1]}})
    assert browser.client.post("/preferences", content=body, headers=headers).status_code == 422
