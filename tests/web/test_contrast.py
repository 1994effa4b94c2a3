"""The contrast card as page, fragment, expert, admin and outsider; and the marks in it."""

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.db.tables import BoundaryPair, Project, Round
from app.web.differing import marked
from tests.factories import make_items
from tests.services.review_factories import add_round
from tests.web.test_label import held, note_down

TEXTS = ["Free <b>boots</b> today", "Free shoes today"]


@pytest.fixture
def review(scene):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, TEXTS)
        round_ = add_round(session, project, [item.id for item in items], overlap=2)
        pair = BoundaryPair(
            round_id=round_.id,
            rank=0,
            left_item_id=items[0].id,
            right_item_id=items[1].id,
            left_label=0,
            right_label=1,
            similarity=0.8125,
            left_cluster=41,
            right_cluster=42,
        )
        session.add(pair)
        session.flush()
        return pair.id


def test_the_answer_that_completes_a_pair_says_so_and_the_card_shows_only_ones_own_answers(scene, review):
    browser = scene.browser("expert")
    one, two = held(browser, scene)
    assert not note_down(browser, scene, assignment=one, label=1).json()["done"]["contrast"]
    assert browser.get(scene.path("/contrast")).status_code == 303
    assert note_down(browser, scene, assignment=two, label=0).json()["done"]["contrast"]
    card = browser.get(scene.path("/contrast"), headers={"HX-Request": "true"}).text
    assert "<html" not in card
    assert "&lt;" in card
    assert "<b>" not in card
    offered = re.findall(r'<button type="submit" name="change" value="\d+:(\d)"', card)
    assert offered == ["0", "1"], "each side offers the other label"
    for secret in ("0.8125", "41", "42", "similarity", "model", "boundary"):
        assert secret not in re.sub(r'(value|action|hx-post)="[^"]*"', "", card)
    assert "<mark>shoes</mark>" in browser.get(scene.path("/contrast")).text
    assert note_down(browser, scene, "undo").json()["done"]["kind"] == "notice"
    after = browser.post(scene.path(f"/contrast/{review}/confirm"), {}, headers={"HX-Request": "true"})
    assert (after.status_code, after.text) == (200, "")


def test_a_revision_without_a_reason_comes_back_with_the_field(scene, review):
    browser = scene.browser("expert")
    one, two = held(browser, scene)
    note_down(browser, scene, assignment=one, label=1)
    note_down(browser, scene, assignment=two, label=0)
    browser.get(scene.path("/contrast"))
    form = {"change": f"{one}:0", "key": "k" * 16, "reason": ""}
    url = scene.path(f"/contrast/{review}/revise")
    reply = browser.post(url, form, headers={"HX-Request": "true"})
    assert (reply.status_code, "Say why" in reply.text) == (422, True)
    assert browser.post(url, form | {"reason": "on reflection"}, headers={"HX-Request": "true"}).text == ""


@pytest.mark.parametrize(("who", "status"), [("admin", 403), ("outsider", 404), (None, 303)])
def test_others_do_not_see_the_card(scene, review, who, status):
    assert scene.browser(who).get(scene.path("/contrast")).status_code == status


@given(st.text(max_size=60), st.text(max_size=60))
def test_marks_change_nothing_but_marks(left, right):
    for text, shown in zip((left, right), marked(left, right), strict=True):
        assert html.unescape(str(shown).replace("<mark>", "").replace("</mark>", "")) == text


def test_at_the_end_the_card_comes_once_nothing_is_left_to_answer(scene, review):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        project.settings = project.settings | {"reveal": "end"}
        round_ = session.scalars(select(Round)).one()
        round_.settings = round_.settings | {"reveal": "end"}
    browser = scene.browser("expert")
    one, two = held(browser, scene)
    assert not note_down(browser, scene, assignment=one, label=1).json()["contrast"]
    last = note_down(browser, scene, assignment=two, label=0).json()
    assert (last["done"]["contrast"], last["contrast"], last["tasks"]) == (False, True, [])
    assert scene.path("/contrast") in browser.get(scene.path("/label")).text
    assert browser.get(scene.path("/contrast")).status_code == 200
    browser.post(scene.path(f"/contrast/{review}/confirm"), {})
    assert not browser.get(scene.path("/label/next")).json()["contrast"]
