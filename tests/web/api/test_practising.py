"""An expert practises by API."""

import pytest
from sqlalchemy import select

from app.db.tables import PracticeItem, Project


@pytest.fixture
def practised(world):
    """Two texts, of which all must be right before anybody labels."""
    world.open_round(2)
    with world.db.write() as session:
        for n in (0, 1):
            row = PracticeItem(project_id=world.project_id, position=n, text=f"exercise {n}", label=n)
            row.explanation = f"because {n}"
            session.add(row)
        session.get_one(Project, world.project_id).settings = {"practice_pass_share": 1.0}
    return world


def items(world) -> list[int]:
    with world.db.read() as session:
        return list(session.scalars(select(PracticeItem.id).order_by(PracticeItem.position)))


def answer(world, item: int, label, attempt: int = 1):
    body = {"item_id": item, "label": label, "attempt": attempt}
    return world.api("expert").post(world.path("/practice/answers"), json=body)


def test_the_right_answer_comes_after_ones_own(practised):
    api = practised.api("expert")
    before = api.get(practised.path("/practice/attempt")).json()
    assert [(one["text"], one["feedback"]) for one in before["items"]] == [("exercise 0", None), ("exercise 1", None)]
    assert (before["attempt"], before["complete"], before["pass_share"]) == (1, False, 1.0)
    given = answer(practised, items(practised)[0], "clickbait").json()
    feedback = {"label": "clickbait", "right_label": "benign", "explanation": "because 0"}
    assert given["feedback"] == feedback
    assert [one["feedback"] for one in given["attempt"]["items"]] == [feedback, None]
    assert answer(practised, items(practised)[0], "benign").json()["feedback"] == feedback  # the first one counts


def test_labelling_begins_once_enough_is_right(practised):
    api, (first, second) = practised.api("expert"), items(practised)
    assert api.get(practised.path("/desk")).json()["practice"] == "required"
    assert api.post(practised.path("/next")).status_code == 403
    for item in (first, second):
        done = answer(practised, item, 1).json()["attempt"]
    assert (done["complete"], done["correct"], done["passed_at"]) == (True, 1, None)
    assert answer(practised, first, 0, attempt=3).status_code == 409
    again = api.get(practised.path("/practice/attempt"), params={"again": True}).json()
    assert (again["attempt"], again["complete"]) == (2, False)
    for item, label in ((first, "benign"), (second, "clickbait")):
        done = answer(practised, item, label, attempt=2).json()["attempt"]
    assert done["passed_at"]
    assert api.post(practised.path("/next")).json()["task"]


def test_a_newcomer_is_offered_it_where_it_is_not_asked_for(practised):
    with practised.db.write() as session:
        session.get_one(Project, practised.project_id).settings = {}
    api = practised.api("expert")
    assert api.get(practised.path("/desk")).json()["practice"] == "offered"
    for item in items(practised):
        answer(practised, item, 0)
    assert api.get(practised.path("/desk")).json()["practice"] == "none"


def test_a_text_that_is_not_there_cannot_be_answered(practised):
    assert answer(practised, 999, 0).status_code == 404
    wrong = answer(practised, items(practised)[0], "Benign")
    assert (wrong.status_code, wrong.json()["detail"]) == (422, {"field": "label"})


def test_without_practice_the_attempt_is_empty(world):
    attempt = world.api("expert").get(world.path("/practice/attempt")).json()
    assert (attempt["items"], attempt["complete"], attempt["pass_share"]) == ([], False, 0.0)
