"""The labelling page, as an expert, an admin and an outsider."""

import re

import pytest
from sqlalchemy import func, select, update

from app.db.tables import Annotation, Assignment, Item, Project, Round
from tests.factories import make_items
from tests.services.review_factories import add_round

HTMX = {"HX-Request": "true"}
HOSTILE = '<script>alert("pool")</script> & <b>bold</b>'


@pytest.fixture
def review(scene):
    """Three items, two answers each; the first text is hostile."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, [HOSTILE, "second text", "third text"])
        return add_round(session, project, [item.id for item in items], overlap=2).id


def hidden(page, name: str) -> str:
    return re.search(rf'name="{name}" value="([^"]*)"', page.text)[1]


def answer(browser, scene, page, label="1", **more):
    form = {"assignment": hidden(page, "assignment"), "key": hidden(page, "key"), "label": label} | more
    return browser.post(scene.path("/label"), form, headers=HTMX)


def answers(scene) -> int:
    with scene.db.read() as session:
        return session.scalar(select(func.count()).select_from(Annotation))


@pytest.mark.parametrize(("who", "status"), [("expert", 200), ("admin", 403), ("outsider", 404), (None, 303)])
def test_only_experts_of_the_project_label(scene, review, who, status):
    browser = scene.browser(who)
    assert browser.get(scene.path("/label")).status_code == status
    if who in ("admin", "outsider"):
        assert browser.post(scene.path("/label"), {"assignment": 1, "key": "k" * 16, "label": 1}).status_code == status
    assert answers(scene) == 0


def test_pool_text_is_escaped(scene, review):
    page = scene.browser("expert").get(scene.path("/label"))
    assert "&lt;script&gt;alert(&#34;pool&#34;)&lt;/script&gt;" in page.text
    assert HOSTILE not in page.text


def test_an_answer_brings_a_receipt_and_the_next_item_as_a_fragment(scene, review):
    browser = scene.browser("expert")
    reply = answer(browser, scene, browser.get(scene.path("/label")), note="odd", flagged="true", seconds="2.5")
    assert reply.status_code == 200
    assert "<html" not in reply.text
    assert "Saved: " in reply.text
    assert "second text" in reply.text
    with scene.db.read() as session:
        row = session.scalars(select(Annotation)).one()
    assert (row.label, row.note, row.flagged, row.seconds) == (1, "odd", True, 2.5)


def test_without_javascript_an_answer_leads_back_to_the_page(scene, review):
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    form = {"assignment": hidden(page, "assignment"), "key": hidden(page, "key"), "label": "0", "seconds": ""}
    reply = browser.post(scene.path("/label"), form)
    assert reply.status_code == 303
    assert "second text" in browser.get(reply.headers["location"]).text


def test_sending_an_answer_again_stores_it_once_and_shows_the_same_next_item(scene, review):
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    first, again = answer(browser, scene, page), answer(browser, scene, page)
    assert answers(scene) == 1
    assert hidden(first, "assignment") == hidden(again, "assignment")


def test_an_answer_that_came_too_late_shows_why_and_the_next_item(scene, review):
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    answer(browser, scene, page)
    reply = answer(browser, scene, page, key="another-key-altogether")
    assert reply.status_code == 200
    assert "You have answered or skipped this item already." in reply.text
    assert "second text" in reply.text
    assert answers(scene) == 1


def test_undo_gives_the_item_back_also_after_signing_in_again(scene, review):
    browser = scene.browser("expert")
    answer(browser, scene, browser.get(scene.path("/label")))
    later = scene.browser("expert")
    page = later.get(scene.path("/label"))
    reply = later.post(scene.path("/label/undo"), {"undo_key": hidden(page, "undo_key")}, headers=HTMX)
    assert "&lt;script&gt;" in reply.text
    assert "taken back" in reply.text


def test_a_skip_is_not_an_answer_and_brings_the_next_item(scene, review):
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    reply = browser.post(scene.path("/label/skip"), {"assignment": hidden(page, "assignment")}, headers=HTMX)
    assert "second text" in reply.text
    assert answers(scene) == 0
    with scene.db.read() as session:
        assert session.scalar(select(func.count()).where(Assignment.state == "skipped")) == 1


def test_the_last_answer_closes_the_review_and_says_what_comes_next(scene, review):
    with scene.db.write() as session:
        session.execute(update(Assignment).where(Assignment.slot == 1).values(state="closed"))
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    for _ in range(3):
        page = answer(browser, scene, page)
    assert "<h2" not in page.text
    assert "The round is answered" in browser.get(scene.path("/label")).text
    with scene.db.read() as session:
        assert session.get_one(Round, review).state == "concluding"


def test_an_empty_queue_says_why(scene):
    assert "Nothing to label yet" in scene.browser("expert").get(scene.path("/label")).text


def test_nothing_that_could_sway_an_expert_is_in_any_response(scene, review):
    """Every response that an expert can get before and after answering, read for the model's label and score, the
    reason why the item was chosen, and its partner."""
    with scene.db.write() as session:
        session.execute(update(Item).values(meta={"secret": "meta-secret"}))
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    seen = [page.text]
    for _ in range(3):
        page = answer(browser, scene, page)
        seen.append(page.text)
    seen += [browser.get("/").text, browser.get(scene.path()).text, browser.get("/account").text]
    for text in seen:
        for word in ("boundary", "control", "model", "0.9", "meta-secret", "propensity", "similarity", "pair"):
            assert word not in re.sub(r"The model is learning", "", text), word


def test_a_wrong_label_is_refused_and_nothing_is_stored(scene, review):
    browser = scene.browser("expert")
    assert answer(browser, scene, browser.get(scene.path("/label")), label="7").status_code == 422
    assert answers(scene) == 0
