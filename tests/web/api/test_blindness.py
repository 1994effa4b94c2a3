"""What an expert's token can get says nothing of the model, of pairs or of colleagues."""

import json
import re

import pytest
from sqlalchemy import select

from app.db.engine import Database
from app.db.tables import Annotation, Base, BoundaryPair, RoundItem
from app.web.main import create_app
from tests.web.api.conftest import World, build
from tests.web.api.test_access import call, routes

KEYS = {
    *("slug", "name", "role", "labels", "item_count", "guideline", "version", "text", "examples", "settings"),
    *("task", "empty", "progress", "assignment_id", "reason", "message", "round_number", "done", "left"),
    *("saved", "next", "annotation_id", "label", "replayed", "undone", "error", "detail", "field", "problems"),
    *("where", "skip", "summary", "created_at"),
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
        same_time = re.sub(r'"created_at":"[^"]*"', '"created_at":"then"', response.text)
        seen.append(f"{response.status_code} {same_time}")
        return response.json()

    for method, path in routes():
        keep(call(expert, method, path))
        keep(call(expert, method, path, json={}))
    desk = keep(expert.post(world.path("/next")))
    keep(expert.post(world.path("/skip"), json={"assignment_id": desk["task"]["assignment_id"]}))
    turn = 0
    while (desk := keep(expert.post(world.path("/next"))))["task"]:
        turn += 1
        body = {"assignment_id": desk["task"]["assignment_id"], "label": turn % 2, "key": f"expert-{turn}"}
        for label in (turn % 2, 1 - turn % 2, 5):
            keep(expert.post(world.path("/annotations"), json=body | {"label": label}))
        if turn == 2:
            keep(expert.post(world.path("/undo"), json={"key": "take-back"}))
    keep(expert.post(world.path("/annotations"), json={"assignment_id": 1, "label": 0, "key": "somebody's"}))
    for method, path in routes():
        keep(call(expert, method, path))
    return seen


def test_an_experts_view_does_not_depend_on_the_model_or_on_colleagues_answers(two_worlds):
    first, second = (everything_an_expert_gets(world) for world in two_worlds)
    assert len(first) > 60
    assert first == second


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
    for column in (Annotation.label, Annotation.note, RoundItem.model_label, RoundItem.reason, BoundaryPair.similarity):
        hidden = []
        for world in two_worlds:
            with world.db.read() as session:
                hidden.append(session.scalars(select(column).order_by(column.class_.id)).all())
        assert hidden[0] != hidden[1]
