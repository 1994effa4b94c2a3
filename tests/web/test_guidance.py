"""Asking about the guideline, as expert, lead and outsider; and what experts are told of a new version."""

import re

import pytest
from sqlalchemy import select

from app.db.tables import Annotation, AuditEvent, Project, Suggestion
from app.services import projects
from tests.factories import make_items
from tests.services.review_factories import add_round
from tests.web.test_label import held, note_down

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def review(scene):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, [f"{HOSTILE} {n}" for n in range(3)])
        add_round(session, project, [item.id for item in items], overlap=1)


def ask(browser, scene, key="a-key-of-mine", **form):
    values = {"kind": "question", "text": f"Does it count? {HOSTILE}", "key": key} | form
    return browser.post(scene.path("/suggestions"), values, headers={"HX-Request": "true"})


def test_an_expert_asks_from_the_text_in_hand_and_reads_the_answer(scene, review):
    expert, admin = scene.browser("expert"), scene.browser("admin")
    (one, *_rest) = held(expert, scene)
    sent = ask(expert, scene, assignment=one)
    assert (sent.status_code, "<html" in sent.text, "Sent." in sent.text) == (200, False, True)
    ask(expert, scene, assignment=one)  # the same key again
    page = admin.get(scene.path("/suggestions")).text
    assert (HOSTILE in page, page.count("suggestion-")) == (False, 1)
    (row_id,) = ids(scene)
    assert "Write an answer" in admin.post(scene.path(f"/suggestions/{row_id}"), {"action": "answer"}).text
    admin.post(scene.path(f"/suggestions/{row_id}"), {"action": "answer", "answer": "It does."})
    assert "It does." in expert.get(scene.path("/suggestions")).text
    assert admin.post(scene.path(f"/suggestions/{row_id}"), {"action": "decline", "answer": "no"}).status_code == 409


def ids(scene):
    with scene.db.read() as session:
        return session.scalars(select(Suggestion.id)).all()


def test_without_script_the_form_leads_to_the_list(scene, review):
    expert = scene.browser("expert")
    (one, *_rest) = held(expert, scene)
    page = expert.get(scene.path("/label")).text
    assert scene.path("/suggestions") in page
    form = re.search(r'<form id="suggest".*?</form>', page, re.DOTALL)[0]
    assert f'name="assignment" value="{one}"' in form, "it speaks of the text in hand"
    reply = expert.post(
        scene.path("/suggestions"), {"kind": "question", "text": "x", "key": "k" * 12, "assignment": ""}
    )
    assert reply.headers["location"] == scene.path("/suggestions")


def test_what_is_wrong_is_said_in_the_form(scene, review):
    reply = ask(scene.browser("expert"), scene, text=" ")
    assert (reply.status_code, "Write a sentence" in reply.text) == (422, True)


def test_an_example_is_taken_up_with_one_click(scene, review):
    expert, admin = scene.browser("expert"), scene.browser("admin")
    (one, *_rest) = held(expert, scene)
    ask(expert, scene, kind="example", label=1, assignment=one)
    early = admin.post(scene.path(f"/suggestions/{ids(scene)[0]}"), {"action": "take_up"})
    assert (early.status_code, "have still to answer" in early.text) == (409, True)
    note_down(expert, scene, assignment=one, label=1)
    reply = admin.post(scene.path(f"/suggestions/{ids(scene)[0]}"), {"action": "take_up"})
    assert reply.status_code == 303
    assert "&lt;script&gt;" in expert.get(scene.path("/guideline/versions")).text
    assert HOSTILE not in expert.get(scene.path("/guideline/versions")).text


def test_a_new_version_is_announced_once_and_old_answers_are_asked_for_again(scene, review):
    expert, admin = scene.browser("expert"), scene.browser("admin")
    (one, *_rest) = held(expert, scene)
    note_down(expert, scene, assignment=one, label=1)
    form = {"text": "# New", "summary": "Prices count now.", "examples": ["a", "b"]}
    assert admin.post(scene.path("/guideline"), form).status_code == 303
    assert "Prices count now." in expert.get(scene.path("/label")).text
    expert.post(scene.path("/guideline/seen"))
    assert "Prices count now." not in expert.get(scene.path("/label")).text
    assert "Ask again for 1 answer" in admin.get(scene.path("/guideline/versions")).text
    grown = admin.post(scene.path("/guideline/again"), {"labels": 1, "expected": 0})
    assert grown.status_code == 409, "more than was confirmed is not asked"
    admin.post(scene.path("/guideline/again"), {"labels": 1, "expected": 1})
    page = expert.get(scene.path("/label")).text
    assert "One text comes back to you" in page
    with scene.db.read() as session:
        assert session.scalars(select(Annotation.requeued_by_id).order_by(Annotation.id)).all() == [
            None,
            scene.users["admin"],
        ]


@pytest.mark.parametrize(("who", "status"), [("outsider", 404), (None, 303)])
def test_others_get_nothing(scene, review, who, status):
    for path in ("/suggestions", "/guideline/versions"):
        assert scene.browser(who).get(scene.path(path)).status_code == status


def draft(text="# New", **more):
    return {"text": text, "summary": "Prices count now.", "examples": ["a", "b"]} | more


def test_a_lead_sees_what_a_version_would_change_before_it_is_there(scene, review):
    admin = scene.browser("admin")
    whole = admin.post(scene.path("/guideline/preview"), draft(f"# New {HOSTILE}"))
    part = admin.post(scene.path("/guideline/preview"), draft(f"# New {HOSTILE}"), headers={"HX-Request": "true"})
    for reply in (whole, part):
        assert reply.status_code == 200
        assert "What it changes" in reply.text
        assert (HOSTILE in reply.text, "&lt;script&gt;" in reply.text) == (False, True)
    assert ("<html" in whole.text, "<html" in part.text) == (True, False)
    assert "Prices count now." in whole.text, "what was typed stays"
    with scene.db.read() as session:
        assert projects.current_guideline(session, scene.project_id).version == 1


def test_publishing_over_somebody_elses_version_shows_what_it_would_change(scene, review):
    admin = scene.browser("admin")
    assert admin.post(scene.path("/guideline"), draft(based_on=1)).status_code == 303
    reply = admin.post(scene.path("/guideline"), draft("# Mine", based_on=1))
    assert reply.status_code == 409
    for words in ("Version 2 was published while you wrote", "# Mine", "<ins>", 'name="based_on" value="2"'):
        assert words in reply.text
    assert "Say in one sentence" in admin.post(scene.path("/guideline"), draft(summary=" ")).text


def test_answers_are_asked_for_again_with_the_version_that_affects_them(scene, review):
    expert, admin = scene.browser("expert"), scene.browser("admin")
    note_down(expert, scene, assignment=held(expert, scene)[0], label=1)
    page = admin.get(scene.path("/guideline")).text
    assert "(1 answer)" in page
    reply = admin.post(scene.path("/guideline"), draft(again=1))
    assert reply.headers["location"] == scene.path("/guideline/versions")
    assert "Answers asked for again: 1." in admin.get(scene.path("/guideline/versions")).text
    with scene.db.read() as session:
        (slot,) = session.scalars(select(Annotation).where(Annotation.requeued_by_id.is_not(None)))
        assert slot.kind == "undone"
        events = session.scalars(select(AuditEvent.action)).all()
    assert {"guideline.published", "answers.queued_again"} <= set(events)


def test_an_answer_of_ones_own_can_be_asked_about_later(scene, review):
    expert = scene.browser("expert")
    (one, *_rest) = held(expert, scene)
    note_down(expert, scene, assignment=one, label=1)
    page = expert.get(scene.path("/answers")).text
    form = re.search(r'<form class="suggest".*?</form>', page, re.DOTALL)[0]
    assert ("hx-post" in form, f'name="assignment" value="{one}"' in form) == (False, True)
    key = re.search(r'name="key" value="(\w+)"', form)[1]
    sent = expert.post(
        scene.path("/suggestions"), {"key": key, "assignment": one, "kind": "example", "label": 0, "text": "x"}
    )
    assert sent.status_code == 303
    with scene.db.read() as session:
        assert session.scalars(select(Suggestion.label)).all() == [0]


def test_single_texts_are_chosen_counted_and_confirmed_without_script(scene, review):
    expert, admin = scene.browser("expert"), scene.browser("admin")
    (one, *_rest) = held(expert, scene)
    assert "Nothing to ask again" in admin.get(scene.path("/guideline/again")).text
    note_down(expert, scene, assignment=one, label=1)
    admin.post(scene.path("/guideline"), draft())
    page = admin.get(scene.path("/guideline/again")).text
    assert (HOSTILE in page, "Expert" in page) == (False, False), "texts, and not whose answers they are"
    item = re.search(r'name="items" value="(\d+)"', page)[1]
    preview = admin.post(scene.path("/guideline/again"), {"items": item})
    assert "1 answer would be asked for again" in preview.text
    with scene.db.read() as session:
        assert session.scalars(select(Annotation).where(Annotation.kind == "undone")).all() == []
    done = admin.post(scene.path("/guideline/again"), {"items": item, "expected": 1})
    assert done.headers["location"] == scene.path("/guideline/versions")
    assert admin.post(scene.path("/guideline/again"), {}).status_code == 422
    with scene.db.read() as session:
        assert len(session.scalars(select(Annotation).where(Annotation.kind == "undone")).all()) == 1
