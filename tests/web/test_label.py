"""The labelling page, as an expert, an admin and an outsider."""

import html
import json
import re
import secrets

import pytest
from sqlalchemy import func, select, update

from app.db.tables import Annotation, Assignment, BoundaryPair, Item, PairView, Project, Round, RoundItem
from app.services import accounts
from tests.factories import make_items, make_member, make_user
from tests.services.review_factories import add_round

HOSTILE = '<script>alert("pool")</script> & <b>bold</b>'


@pytest.fixture
def review(scene):
    """Three items, two answers each; the first text is hostile."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, [HOSTILE, "second text", "third text"])
        return add_round(session, project, [item.id for item in items], overlap=2).id


def state(page) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="desk-state">(.*?)</script>', page.text)[1])


def note_down(browser, scene, kind="answer", **entry):
    entry = {"kind": kind, "key": secrets.token_hex(16)} | entry
    return browser.post_json(scene.path("/label/noted"), entry)


def held(browser, scene) -> list[int]:
    return [task["assignment"] for task in state(browser.get(scene.path("/label")))["desk"]["tasks"]]


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


def test_the_page_holds_items_ahead_in_the_rounds_order(scene, review):
    tasks = state(scene.browser("expert").get(scene.path("/label")))["desk"]["tasks"]
    assert [task["text"] for task in tasks] == [HOSTILE, "second text"], "near the end of a round only one ahead"


def test_an_answer_brings_a_receipt_and_what_comes_next(scene, review):
    browser = scene.browser("expert")
    have = held(browser, scene)
    entry = {"assignment": have[0], "label": 1, "note": "odd", "flagged": True, "seconds": 2.5, "have": have}
    desk = note_down(browser, scene, **entry).json()
    assert desk["done"]["kind"] == "saved"
    assert desk["progress"]["done"] == 1
    assert [task.get("text") for task in desk["tasks"]] == [None, "third text"], "what the page has is not sent again"
    with scene.db.read() as session:
        row = session.scalars(select(Annotation)).one()
    assert (row.label, row.note, row.flagged, row.seconds) == (1, "odd", True, 2.5)


def test_without_javascript_an_answer_leads_back_to_the_page(scene, review):
    browser = scene.browser("expert")
    page = browser.get(scene.path("/label"))
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', page.text)[1] for name in ("assignment", "key")}
    reply = browser.post(scene.path("/label"), fields | {"label": "0"})
    assert reply.status_code == 303
    after = browser.get(reply.headers["location"]).text
    assert "Saved: " in after
    assert "second text" in after
    undo = re.search(r'name="undo_key" value="([^"]*)"', after)[1]
    reply = browser.post(scene.path("/label/undo"), {"undo_key": undo})
    assert "taken back" in browser.get(reply.headers["location"]).text
    reply = browser.post(scene.path("/label/skip"), {"assignment": fields["assignment"], "reason": "unsure"})
    assert "Skipped" in browser.get(reply.headers["location"]).text


def test_sending_an_answer_again_stores_it_once(scene, review):
    browser = scene.browser("expert")
    entry = {"assignment": held(browser, scene)[0], "label": 1, "key": "k" * 32}
    first, again = note_down(browser, scene, **entry).json(), note_down(browser, scene, **entry).json()
    assert answers(scene) == 1
    assert first["done"] == again["done"]
    assert first["tasks"] == again["tasks"]


def test_an_answer_that_came_too_late_says_so_and_stores_nothing(scene, review):
    browser = scene.browser("expert")
    have = held(browser, scene)
    note_down(browser, scene, assignment=have[0], label=1)
    done = note_down(browser, scene, assignment=have[0], label=0).json()["done"]
    assert (done["kind"], "That answer stands" in done["text"]) == ("notice", True)
    assert answers(scene) == 1


def test_undo_gives_the_item_back_also_after_signing_in_again_and_then_the_one_before(scene, review):
    browser = scene.browser("expert")
    first, second = held(browser, scene)
    note_down(browser, scene, assignment=first, label=1)
    note_down(browser, scene, assignment=second, label=0)
    later = scene.browser("expert")
    assert note_down(later, scene, "undo").json()["done"]["assignment_id"] == second
    desk = note_down(later, scene, "undo").json()
    assert desk["done"]["assignment_id"] == first
    assert {first, second} <= {task["assignment"] for task in desk["tasks"]}


def test_a_skip_with_its_reason_is_not_an_answer(scene, review):
    browser = scene.browser("expert")
    entry = {"assignment": held(browser, scene)[0], "reason": "Outside my field", "key": "s" * 16}
    desk = note_down(browser, scene, "skip", **entry).json()
    assert "second text" in [task["text"] for task in desk["tasks"]]
    with scene.db.read() as session:
        assert session.scalars(select(Annotation.kind)).all() == ["undone"]
        skipped = session.scalars(select(Assignment).where(Assignment.state == "skipped")).one()
    assert skipped.skip_reason == "Outside my field"
    note_down(browser, scene, "undo", assignment=skipped.id)
    assert note_down(browser, scene, "skip", **entry).json()["done"]["kind"] == "skipped"
    assert note_down(browser, scene, assignment=skipped.id, label=1).json()["done"]["kind"] == "saved", "sent late"


def test_the_last_answer_closes_the_review_and_says_what_comes_next(scene, review):
    with scene.db.write() as session:
        session.execute(update(Assignment).where(Assignment.slot == 1).values(state="closed"))
    browser = scene.browser("expert")
    for _ in range(3):
        tasks = held(browser, scene)
        desk = note_down(browser, scene, assignment=tasks[0], label=1).json()
    assert desk["empty"]["title"] == "The round is answered"
    assert "The round is answered" in browser.get(scene.path("/label")).text
    with scene.db.read() as session:
        assert session.get_one(Round, review).state == "concluding"


def test_an_empty_queue_says_why(scene):
    assert "Nothing to label yet" in scene.browser("expert").get(scene.path("/label")).text


def test_a_page_that_closes_after_a_fresh_one_was_loaded_takes_nothing_from_it(scene, review):
    browser = scene.browser("expert")
    before, after = (state(browser.get(scene.path("/label")))["desk"]["until"] for _ in range(2))
    assert browser.post(scene.path("/label/release"), {"until": before}).status_code == 204
    with scene.db.read() as session:
        assert session.scalar(select(func.count()).where(Assignment.state == "claimed")) == 2
    assert browser.post(scene.path("/label/release"), {"until": after}).status_code == 204
    with scene.db.read() as session:
        assert session.scalar(select(func.count()).where(Assignment.state == "claimed")) == 0


def test_closing_the_page_gives_back_what_it_held(scene, review):
    browser = scene.browser("expert")
    assert held(browser, scene)
    assert browser.post(scene.path("/label/release"), {}).status_code == 204
    with scene.db.read() as session:
        assert session.scalar(select(func.count()).where(Assignment.state == "claimed")) == 0


def test_an_answer_is_changed_blind_before_its_contrast_was_seen_and_revised_after(scene, review):
    browser = scene.browser("expert")
    first = held(browser, scene)[0]
    note_down(browser, scene, assignment=first, label=1)
    page = browser.get(scene.path("/answers"))
    assert html.escape(HOSTILE, quote=False).split("(")[0] in page.text
    url = scene.path(f"/answers/{first}")
    assert browser.post(url, {"label": 0, "key": "c" * 16}).status_code == 303
    with scene.db.read() as session:
        kinds = session.execute(select(Annotation.kind, Annotation.label).order_by(Annotation.id)).all()
        items = session.scalars(select(Item.id).order_by(Item.id)).all()
        expert = session.scalars(select(Annotation.expert_id)).first()
    assert [tuple(row) for row in kinds] == [("blind", 1), ("undone", None), ("blind", 0)]
    with scene.db.write() as session:
        pair = BoundaryPair(
            round_id=review,
            rank=0,
            left_item_id=items[0],
            right_item_id=items[1],
            left_label=0,
            right_label=1,
            similarity=0.9,
            left_cluster=0,
            right_cluster=0,
        )
        session.add(pair)
        session.flush()
        session.add(PairView(pair_id=pair.id, expert_id=expert))
    browser.post(url, {"label": 1, "key": "d" * 16})
    assert answers(scene) == 3, "a revision needs a reason"
    browser.post(url, {"label": 1, "key": "e" * 16, "note": "the second is worse"})
    with scene.db.read() as session:
        last = session.scalars(select(Annotation).order_by(Annotation.id.desc())).first()
    assert (last.kind, last.label, last.note) == ("revised", 1, "the second is worse")
    assert note_down(browser, scene, "undo").json()["done"]["kind"] == "notice", "what was seen can't be answered blind"


def test_a_changed_answer_keeps_its_note_and_flag_unless_they_are_changed_too(scene, review):
    browser = scene.browser("expert")
    first = held(browser, scene)[0]
    note_down(browser, scene, assignment=first, label=1, note="odd price", flagged=True)
    page = browser.get(scene.path("/answers")).text
    assert re.search(r'<textarea name="note"[^>]*>odd price</textarea>', page)
    assert re.search(r'name="flagged" value="true" checked', page)
    browser.post(scene.path(f"/answers/{first}"), {"label": 0, "key": "c" * 16, "note": "odd price", "flagged": "true"})
    with scene.db.read() as session:
        row = session.scalars(select(Annotation).order_by(Annotation.id.desc())).first()
    assert (row.label, row.note, row.flagged) == (0, "odd price", True)


@pytest.mark.parametrize("who", ["other", "admin", "outsider"])
def test_nobody_sees_or_changes_another_persons_answers(scene, review, who):
    expert = scene.browser("expert")
    first = held(expert, scene)[0]
    note_down(expert, scene, assignment=first, label=1)
    if who == "other":
        with scene.db.write() as session:
            project = session.get_one(Project, scene.project_id)
            person = make_user(session)
            make_member(session, project, person)
            token = accounts.start_session(session, person.id, days=1)
        browser = scene.browser(None)
        browser.client.cookies.set("linecall", token)
        assert "answer-" not in browser.get(scene.path("/answers")).text
    else:
        browser = scene.browser(who)
        assert browser.get(scene.path("/answers")).status_code in (403, 404)
    browser.post(scene.path(f"/answers/{first}"), {"label": 0, "key": "x" * 16})
    assert answers(scene) == 1


def test_signed_out_the_pages_script_is_told_so_and_not_sent_a_page(scene, review):
    reply = note_down(scene.browser(None), scene, assignment=1, label=1)
    assert reply.status_code in (401, 403)
    assert "error" in reply.json()


def test_nothing_that_could_sway_an_expert_is_in_any_response(scene, review):
    """Every response that an expert can get before and after answering, read for the model's label and score, the
    reason why the item was chosen, and its partner."""
    with scene.db.write() as session:
        session.execute(update(Item).values(meta={"secret": "meta-secret"}))
        session.execute(update(RoundItem).values(model_score=0.813779))  # no pace or time looks like it
    browser = scene.browser("expert")
    seen = [browser.get(scene.path("/label")).text]
    for _ in range(3):
        tasks = held(browser, scene)
        seen.append(note_down(browser, scene, assignment=tasks[0], label=1).text)
    seen += [browser.get(path).text for path in ("/", scene.path(), "/account", scene.path("/answers"))]
    for text in seen:
        for word in ("boundary", "control", "model", "0.8137", "meta-secret", "propensity", "similarity", "pair"):
            assert word not in re.sub(r"The model is learning|Access-Control", "", text), word


def test_a_wrong_label_is_refused_and_nothing_is_stored(scene, review):
    browser = scene.browser("expert")
    assert note_down(browser, scene, assignment=held(browser, scene)[0], label=7).status_code == 422
    assert answers(scene) == 0


def test_keys_are_kept_with_the_account_and_two_meanings_are_refused(scene, review):
    browser = scene.browser("expert")
    assert browser.post_json("/preferences", {"keys": {"undo": "z"}}).json()["keys"]["undo"] == "z"
    refused = browser.post_json("/preferences", {"keys": {"undo": "s"}})
    assert (refused.status_code, "two meanings" in refused.json()["error"]) == (422, True)
    assert state(scene.browser("expert").get(scene.path("/label")))["prefs"]["keys"]["undo"] == "z"
