"""An expert labels by API alone."""

from typing import get_args

import pytest
from sqlalchemy import func, select

from app.db.tables import Annotation, Assignment, Project, Round
from app.web.api import schemas
from app.web.label import EMPTY_WORDS


def answer(task, label, key, **more):
    return {"assignment_id": task["assignment_id"], "label": label, "key": key, **more}


def answers(world) -> list[tuple]:
    with world.db.read() as session:
        rows = session.scalars(select(Annotation).order_by(Annotation.id))
        return [(row.expert_id, row.kind, row.label, row.flagged, row.note, row.seconds) for row in rows]


def state(world) -> str:
    with world.db.read() as session:
        return session.scalar(select(Round.state))


def test_a_round_is_labelled_through_by_two_experts(world):
    world.open_round(3)
    for who in ("expert", "second"):
        api = world.api(who)
        desk, seen = api.post(world.path("/next")).json(), []
        for turn in range(3):
            assert desk["empty"] is None
            seen.append(desk["task"]["text"])
            assert desk["progress"] == {"round_number": 1, "done": turn, "left": 3 - turn}
            body = answer(desk["task"], ("benign", 1)[turn % 2], f"{who}-{turn}-key", seconds=1.5)
            given = api.post(world.path("/annotations"), json=body)
            assert given.status_code == 200
            assert given.json()["saved"]["label"] == ("benign", "clickbait")[turn % 2]
            desk = given.json()["next"]
        assert seen == [f"text number {i}" for i in range(3)]
        assert desk["task"] is None
        assert desk["empty"]["reason"] == ("waiting_for_colleagues" if who == "expert" else "round_answered")
        assert desk["empty"]["message"]
    assert state(world) == "concluding"
    assert [label for _, _, label, *_ in answers(world)] == [0, 1, 0, 0, 1, 0]


def test_the_same_key_stores_one_answer_and_another_label_under_it_is_refused(world):
    world.open_round(2)
    api = world.api("expert")
    task = api.post(world.path("/next")).json()["task"]
    body = answer(task, "clickbait", "same-key-twice", flagged=True, note=" odd ")
    first, again = (api.post(world.path("/annotations"), json=body).json() for _ in range(2))
    assert (first["saved"]["replayed"], again["saved"]["replayed"]) == (False, True)
    assert first["saved"]["annotation_id"] == again["saved"]["annotation_id"]
    assert first["next"] == again["next"]
    other = api.post(world.path("/annotations"), json=body | {"label": "benign"})
    assert other.status_code == 409
    assert other.json()["detail"] == {"field": "key"}
    assert answers(world) == [(world.users["expert"], "blind", 1, True, "odd", None)]


def test_asking_twice_gives_the_same_item_under_the_projects_lease(world):
    with world.db.write() as session:
        session.get_one(Project, world.project_id).settings = {"lease_minutes": 7}
    world.open_round(2)
    api = world.api("expert")
    assert api.post(world.path("/next")).json() == api.post(world.path("/next")).json()
    with world.db.read() as session:
        held = session.scalars(select(Assignment).where(Assignment.state == "claimed")).one()
    assert (held.lease_expires_at - held.claimed_at).total_seconds() == 7 * 60


def test_a_skipped_item_does_not_come_again_and_is_no_answer(world):
    world.open_round(2)
    api = world.api("expert")
    task = api.post(world.path("/next")).json()["task"]
    following = api.post(world.path("/skip"), json={"assignment_id": task["assignment_id"], "reason": "no idea"}).json()
    assert following["task"]["text"] != task["text"]
    api.post(world.path("/skip"), json={"assignment_id": following["task"]["assignment_id"]})
    assert api.post(world.path("/next")).json()["empty"]["reason"] == "waiting_for_colleagues"
    assert answers(world) == []


def test_skipping_the_last_slot_closes_the_review(world):
    world.open_round(2, overlap=1)
    with world.db.write() as session:
        session.query(Assignment).where(Assignment.position == 1).update({"state": "closed"})
    first, second = world.api("expert"), world.api("second")
    for api in (first, second):
        task = api.post(world.path("/next")).json()["task"]
        last = api.post(world.path("/skip"), json={"assignment_id": task["assignment_id"]}).json()
    assert last["empty"]["reason"] == "round_answered"
    assert state(world) == "concluding"


def test_undo_hands_the_items_back_one_by_one(world):
    world.open_round(3)
    api, tasks = world.api("expert"), []
    for turn in range(2):
        tasks.append(api.post(world.path("/next")).json()["task"])
        api.post(world.path("/annotations"), json=answer(tasks[-1], 0, f"answer-{turn}"))
    for turn in (1, 0):
        undone = api.post(world.path("/undo"), json={"key": f"undo-key-{turn}"}).json()
        assert undone["undone"]
        assert undone["next"]["task"] == tasks[turn]
    assert not api.post(world.path("/undo"), json={"key": "undo-key-9"}).json()["undone"]
    assert [kind for _, kind, *_ in answers(world)] == ["blind", "blind", "undone", "undone"]


def test_undo_of_an_answer_before_the_last_one(world):
    world.open_round(3)
    api, tasks = world.api("expert"), []
    for turn in range(2):
        tasks.append(api.post(world.path("/next")).json()["task"])
        api.post(world.path("/annotations"), json=answer(tasks[-1], 0, f"answer-{turn}"))
    body = {"key": "undo-the-first", "assignment_id": tasks[0]["assignment_id"]}
    undone = api.post(world.path("/undo"), json=body).json()
    assert (undone["undone"], undone["next"]["task"]) == (True, tasks[0])
    other = {"key": "not-answered-yet", "assignment_id": 999}
    assert not api.post(world.path("/undo"), json=other).json()["undone"]


def test_what_was_seen_beside_its_contrast_is_not_taken_back(world):
    world.open_round(3)
    api = world.api("expert")
    for turn in range(2):
        task = api.post(world.path("/next")).json()["task"]
        api.post(world.path("/annotations"), json=answer(task, 0, f"answer-{turn}"))
    assert api.post(world.path("/contrast")).json()["pair"]
    refused = api.post(world.path("/undo"), json={"key": "undo-it-now"})
    assert (refused.status_code, refused.json()["detail"]) == (409, {"reason": "seen"})


def test_a_colleagues_item_cannot_be_answered(world):
    world.open_round(2, overlap=1)
    task = world.api("second").post(world.path("/next")).json()["task"]
    refused = world.api("expert").post(world.path("/annotations"), json=answer(task, 0, "not-mine-"))
    assert refused.status_code == 409
    assert refused.json()["detail"] == {"reason": "taken"}
    assert answers(world) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"label": "Benign"}, "label"),
        ({"label": 2}, "label"),
        ({"label": -1}, "label"),
        ({"label": True}, "label"),
        ({"label": 0.5}, "label"),
        ({"key": "short"}, "key"),
        ({"seconds": -1}, "seconds"),
        ({"note": "x" * 4001}, "note"),
        ({"assignment_id": 2**40}, "assignment_id"),
        ({"model_label": 1}, "model_label"),
    ],
)
def test_a_bad_answer_is_refused_with_its_field(world, change, field):
    world.open_round(2)
    task = world.api("expert").post(world.path("/next")).json()["task"]
    refused = world.api("expert").post(world.path("/annotations"), json=answer(task, 0, "good-key") | change)
    assert refused.status_code == 422
    assert field in str(refused.json()["detail"])
    with world.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Annotation)) == 0


def test_every_reason_for_an_empty_queue_is_documented():
    assert set(get_args(schemas.Empty.model_fields["reason"].annotation)) == set(EMPTY_WORDS)


def test_an_empty_queue_says_why_before_the_first_round(world):
    empty = world.api("expert").post(world.path("/next")).json()
    assert empty["task"] is None
    assert empty["empty"]["reason"] == "no_items"
    assert empty["progress"] == {"round_number": None, "done": 0, "left": 0}
