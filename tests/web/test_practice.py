"""The practice as newcomer, lead and outsider."""

import re

import pytest

from app.db.tables import Project
from tests.factories import make_items
from tests.services.review_factories import add_round
from tests.web.test_label import note_down

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def review(scene):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, 3)
        add_round(session, project, [item.id for item in items], overlap=1)
    admin = scene.browser("admin")
    for label in (0, 1):
        form = {"text": f"{HOSTILE} {label}", "label": label, "explanation": f"Because of rule {label}."}
        assert admin.post(scene.path("/practice/items"), form).status_code == 303


def require(scene, share):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        project.settings = project.settings | {"practice_pass_share": share}


def practise(browser, scene, labels, query=""):
    for label in labels:
        page = browser.get(scene.path(f"/practice{query}")).text
        query = ""
        item, attempt = (re.search(rf'name="{name}" value="(\d+)"', page)[1] for name in ("item", "attempt"))
        reply = browser.post(scene.path("/practice"), {"item": item, "label": label, "attempt": attempt})
        page = browser.get(reply.headers["location"]).text
        assert "Because of rule" in page
        assert HOSTILE not in page
    return browser.get(scene.path("/practice")).text


def test_a_newcomer_is_led_to_it_and_may_leave_it_for_later(scene, review):
    expert = scene.browser("expert")
    assert expert.get(scene.path("/label")).headers["location"] == scene.path("/practice")
    assert expert.get(scene.path("/label?practice_later=true")).status_code == 200
    assert "2 of 2 right" in practise(expert, scene, [0, 1])
    assert expert.get(scene.path("/label")).status_code == 200


def test_where_a_score_is_required_nothing_can_be_labelled_before_it(scene, review):
    require(scene, 1.0)
    expert = scene.browser("expert")
    assert expert.get(scene.path("/label?practice_later=true")).headers["location"] == scene.path("/practice")
    assert note_down(expert, scene, assignment=1, label=1).status_code == 403
    assert expert.get(scene.path("/label/next")).status_code == 403
    page = practise(expert, scene, [0, 0])
    assert "1 of 2 right" in page
    assert "Because of rule 1." in page, "what was wrong is explained again"
    assert expert.get(scene.path("/label")).status_code == 303
    assert "2 of 2 right" in practise(expert, scene, [0, 1], "?again=true")
    assert expert.get(scene.path("/label")).status_code == 200


def test_a_lead_adds_takes_examples_and_takes_out(scene, review):
    admin = scene.browser("admin")
    wrong = admin.post(scene.path("/practice/items"), {"text": " ", "label": 0})
    assert (wrong.status_code, "Give the text" in wrong.text) == (422, True)
    assert admin.post(scene.path("/practice/examples")).status_code == 303
    page = admin.get(scene.path("/practice")).text
    assert HOSTILE not in page
    first = re.search(r"/practice/items/(\d+)/retire", page)[0]
    admin.post(scene.path(first))
    assert first not in admin.get(scene.path("/practice")).text


@pytest.mark.parametrize(("who", "status"), [("outsider", 404), (None, 303)])
def test_others_get_nothing(scene, review, who, status):
    assert scene.browser(who).get(scene.path("/practice")).status_code == status
