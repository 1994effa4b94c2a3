"""The practice's texts by API: added, taken from the guideline, retired."""

from sqlalchemy import select

from app.db.tables import GuidelineVersion, PracticeItem, Project
from app.services import accounts

NEW = {"text": "You will not believe this", "label": "clickbait", "explanation": "It hides what it sells."}


def test_a_text_is_added_once_listed_and_taken_out(world):
    admin, path = world.api("admin"), world.path("/practice/items")
    made = admin.post(path, json=NEW)
    assert made.status_code == 201, made.text
    assert made.json() == NEW | {"id": made.json()["id"]}
    assert admin.post(path, json=NEW).status_code == 409
    assert admin.get(path).json()["items"] == [made.json()]
    assert admin.post(f"{path}/{made.json()['id']}/retire").status_code == 204
    assert admin.get(path).json()["items"] == []
    assert admin.post(f"{path}/{made.json()['id']}/retire").status_code == 404
    with world.db.read() as session:
        assert session.scalars(select(PracticeItem)).one().retired_at is not None


def test_what_is_wrong_is_refused(world):
    for change in ({"label": "spam"}, {"label": 7}, {"text": ""}, {"more": 1}):
        assert world.api("admin").post(world.path("/practice/items"), json=NEW | change).status_code == 422


def test_the_guidelines_examples_are_taken_once(world):
    with world.db.write() as session:
        session.scalars(select(GuidelineVersion)).one().examples = {"benign": ["a fair offer"], "clickbait": ["wow"]}
    admin = world.api("admin")
    assert admin.post(world.path("/practice/examples")).json() == {"added": 2}
    assert admin.post(world.path("/practice/examples")).json() == {"added": 0}
    listed = admin.get(world.path("/practice/items")).json()
    assert {(item["text"], item["label"]) for item in listed["items"]} == {
        ("a fair offer", "benign"),
        ("wow", "clickbait"),
    }


def test_the_share_that_must_be_right_is_said(world):
    with world.db.write() as session:
        project = session.get_one(Project, world.project_id)
        project.settings = project.settings | {"practice_pass_share": 0.8}
    assert world.api("admin").get(world.path("/practice/items")).json()["pass_share"] == 0.8


def test_a_label_of_a_text_to_practise_is_not_taken_away(world):
    admin = world.api("admin")
    assert admin.post(world.path("/settings"), json={"labels": ["fine", "spam", "clickbait"]}).status_code == 200
    assert admin.post(world.path("/practice/items"), json=NEW).status_code == 201
    refused = admin.post(world.path("/settings"), json={"labels": ["fine", "spam"]})
    assert (refused.status_code, refused.json()["detail"]) == (409, {"field": "labels"})
    assert [item["label"] for item in admin.get(world.path("/practice/items")).json()["items"]] == ["clickbait"]


def test_a_label_that_went_before_that_was_refused_is_null_and_the_list_stays_readable(world):
    admin = world.api("admin")
    assert admin.post(world.path("/practice/items"), json=NEW).status_code == 201
    with world.db.write() as session:
        session.scalars(select(PracticeItem)).one().label = 2
    assert [item["label"] for item in admin.get(world.path("/practice/items")).json()["items"]] == [None]


def test_a_lead_may_and_a_viewer_reads(world):
    with world.db.write() as session:
        accounts.change_role(session, world.project_id, world.users["second"], "lead", by_user_id=world.users["admin"])
    assert world.api("second").post(world.path("/practice/items"), json=NEW).status_code == 201
    with world.db.write() as session:
        accounts.change_role(
            session, world.project_id, world.users["second"], "viewer", by_user_id=world.users["admin"]
        )
    viewer = world.api("second")
    assert len(viewer.get(world.path("/practice/items")).json()["items"]) == 1
    assert viewer.post(world.path("/practice/examples")).status_code == 403


def test_an_expert_does_not_see_the_right_answers_before_answering(world):
    world.api("admin").post(world.path("/practice/items"), json=NEW)
    for who, status in (("expert", 403), ("outsider", 404), (None, 401)):
        api = world.api(who)
        assert api.get(world.path("/practice/items")).status_code == status
        assert api.post(world.path("/practice/items"), json=NEW).status_code == status
        assert api.post(world.path("/practice/items/1/retire")).status_code == status
