"""What an expert's token can get says nothing of the model, of pairs or of colleagues."""

import json
import re

import pytest
from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import Annotation, Base, BoundaryPair, PracticeItem, RoundItem
from app.services import preferences
from app.web.main import create_app
from tests.web.api.conftest import World, build
from tests.web.api.test_access import call, routes

KEYS = {
    *("slug", "name", "role", "labels", "item_count", "guideline", "version", "text", "examples", "settings"),
    *("task", "empty", "progress", "assignment_id", "reason", "message", "round_number", "done", "left"),
    *("saved", "next", "annotation_id", "label", "replayed", "undone", "error", "detail", "field", "problems"),
    *("where", "skip", "summary", "created_at", "problems", "scope"),
    *("contrast", "waiting", "pair", "pair_id", "sides", "released", "note", "flagged"),
    *("answered_at", "changeable", "seen_in_pair", "seconds_per_answer", "practice", "news", "returned"),
    *("attempt", "items", "item_id", "feedback", "right_label", "explanation", "correct", "complete", "pass_share"),
    *("passed_at", "slug", "id", "email", "is_site_admin", "has_password", "preferences", "language", "keys"),
    *preferences.DEFAULT_KEYS,
    *("break_minutes", "swipe", "notify", "email_when_work", "hint", "scopes", "made_by_id", "last_used_at"),
    *("expires_at", "browser", "current", "ended"),
}


@pytest.fixture
def two_worlds(settings, tmp_path):
    """The same project twice; the model, its reasons and pairs, and the colleague's answers differ."""
    worlds = []
    for number in (0, 1):
        database = Database(f"sqlite:///{tmp_path}/world-{number}.sqlite")
        Base.metadata.create_all(database.engine)
        world = build(create_app(settings, database), database)
        world.open_round(5, label=number, reason=("boundary", "control")[number])
        colleague_answers(world, number)
        worlds.append(world)
    yield worlds
    for world in worlds:
        world.db.dispose()


def colleague_answers(world: World, number: int) -> None:
    desk = world.api("second").post(world.path("/next")).json()
    for turn in range(3):
        body = {
            "assignment_id": desk["task"]["assignment_id"],
            "label": (number + turn) % 2,
            "key": f"colleague-{turn}",
            "note": f"colleague's note {number}",
            "flagged": bool(number),
            "seconds": 1.5 + number,
        }
        desk = world.api("second").post(world.path("/annotations"), json=body).json()["next"]


def everything_an_expert_gets(world: World) -> list[str]:
    """Every route, then a whole round with a skip, an undo, a repeated key and mistakes."""
    expert, seen = world.api("expert"), []

    def keep(response):
        same = re.sub(r'"([a-z_]+_at|hint)":"[^"]*"', r'"\1":"then"', response.text)
        seen.append(f"{response.status_code} {same or '{}'}")
        return response.json() if response.text else {}

    sweep = [route for route in routes() if not route[1].endswith("/tokens/{token_id}/revoke")]  # it would end the day
    for method, path in sweep:
        keep(call(expert, method, path))
        keep(call(expert, method, path, json={}))
    turn = 0
    while (desk := keep(expert.post(world.path("/next"))))["task"]:
        turn += 1
        if turn == 5:
            keep(expert.post(world.path("/skip"), json={"assignment_id": desk["task"]["assignment_id"]}))
            continue
        body = {"assignment_id": desk["task"]["assignment_id"], "label": turn % 2, "key": f"expert-{turn}"}
        for label in (turn % 2, 1 - turn % 2, 5):
            keep(expert.post(world.path("/annotations"), json=body | {"label": label}))
        if turn == 2:
            keep(expert.post(world.path("/undo"), json={"key": "take-back"}))
    keep(expert.post(world.path("/annotations"), json={"assignment_id": 1, "label": 0, "key": "somebody's"}))
    the_pair(world, keep)
    the_practice(world, keep)
    for method, path in sweep:
        keep(call(expert, method, path))
    return seen


def the_pair(world: World, keep) -> None:
    """Answers are read and changed before and after their pair is seen, and it is settled."""
    expert = world.api("expert")
    given = keep(expert.get(world.path("/answers")))
    assert len(given) == 4
    keep(expert.get(world.path("/contrast")))
    for pair in (1, 2):
        keep(expert.post(world.path(f"/contrast/{pair}/confirm")))
    shown = keep(expert.post(world.path("/contrast")))["pair"]
    assert len(shown["sides"]) == 2
    for turn, slot in enumerate([side["assignment_id"] for side in shown["sides"]]):
        keep(expert.post(world.path(f"/answers/{slot}"), json={"label": turn, "key": f"without-{slot}"}))
        body = {"assignment_id": slot, "label": turn, "reason": "Beside the other.", "key": f"revised-{slot}"}
        keep(expert.post(world.path(f"/contrast/{shown['pair_id']}/revise"), json=body))
        keep(expert.get(world.path(f"/answers/{slot}")))
    keep(expert.post(world.path(f"/contrast/{shown['pair_id']}/confirm")))
    keep(expert.post(world.path("/contrast")))


def the_practice(world: World, keep) -> None:
    with world.db.write() as session:
        row = PracticeItem(project_id=world.project_id, position=0, text="an exercise", label=1, explanation="why")
        session.add(row)
        session.flush()
        item = row.id
    before = keep(world.api("expert").get(world.path("/practice/attempt")))
    assert before["items"][0]["feedback"] is None
    keep(world.api("expert").post(world.path("/practice/answers"), json={"item_id": item, "label": 0}))
    keep(world.api("expert").get(world.path("/practice/attempt")))


@pytest.mark.slow
def test_an_experts_view_does_not_depend_on_the_model_or_on_colleagues_answers(two_worlds):
    first, second = (everything_an_expert_gets(world) for world in two_worlds)
    assert len(first) > 60
    assert [pair for pair in zip(first, second, strict=True) if pair[0] != pair[1]] == []


@pytest.mark.slow
def test_nothing_an_expert_gets_has_a_field_that_could_tell(two_worlds):
    for answer in everything_an_expert_gets(two_worlds[1]):
        body = json.loads(answer.split(" ", 1)[1])
        assert fields(body) <= KEYS


def fields(value) -> set[str]:
    if isinstance(value, dict):
        return set(value) | set().union(*map(fields, value.values()))
    return set().union(*map(fields, value)) if isinstance(value, list) else set()


def test_the_two_worlds_do_differ(two_worlds):
    """Otherwise the tests above would show nothing."""
    for column in (
        Annotation.label,
        Annotation.note,
        RoundItem.model_label,
        RoundItem.reason,
        BoundaryPair.left_item_id,
    ):
        hidden = []
        for world in two_worlds:
            with world.db.read() as session:
                hidden.append(session.scalars(select(column).order_by(column.class_.id)).all())
        assert hidden[0] != hidden[1]
