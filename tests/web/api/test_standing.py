"""Where a project stands by API: the guided start, what comes next and what it takes, who works on it."""

from datetime import timedelta

from app.db.base import utcnow
from app.services import workers
from tests.web.api.test_rounds import make_startable


def test_the_start_says_what_is_missing_until_a_round_can_be_started(world):
    admin = world.api("admin")
    empty = admin.get(world.path("/start")).json()
    assert [step["key"] for step in empty["steps"]] == [
        *("task", "guideline", "pool", "baseline", "prelabel", "experts", "round"),
    ]
    states = {step["key"]: step["state"] for step in empty["steps"]}
    assert (states["pool"], states["experts"], states["round"]) == ("missing", "done", "missing")
    assert any("pool" in sentence for sentence in empty["obstacles"])
    assert empty["worker_alive"] is False
    make_startable(world)
    with world.db.write() as session:
        workers.heartbeat(session, "one", "host", 1)
    ready = admin.get(world.path("/start")).json()
    assert {step["key"]: step["state"] for step in ready["steps"]}["round"] == "ready"
    assert (ready["obstacles"], ready["worker_alive"]) == ([], True)
    assert ready["review"]["answers"] == 2 * 100


def test_the_standing_names_what_comes_next_its_budget_and_the_open_round(world):
    admin = world.api("admin")
    first = admin.get(world.path("/standing")).json()
    assert (first["next_step"], first["open_round"]) == ("Fill the pool", None)
    assert first["because"] == "An admin starts each round."
    make_startable(world)
    budget = {"next_round": "itself", "most_rounds": 3, "most_cost": 20}
    assert admin.post(world.path("/settings"), json={"settings": budget}).status_code == 200
    assert admin.get(world.path("/standing")).json()["next_step"] == "Start the first round"
    admin.post(world.path("/rounds"))
    opened = admin.get(world.path("/standing")).json()
    assert (opened["open_round"], opened["next_step"]) == (1, "Round 1 is being prepared")
    assert opened["budget"] == {"rounds": 3, "answers": None, "cost": 20}
    assert opened["spent"] == {"rounds": 0, "answers": 0, "cost": 0}
    assert opened["starts_by_itself"] is False
    assert "when this one is done" in opened["because"]
    assert opened["obstacles"] == ["A round is open already. Finish or cancel it first."]


def test_the_site_admin_sees_which_workers_live(world):
    with world.db.write() as session:
        workers.heartbeat(session, "one", "here", 1)
        workers.heartbeat(session, "two", "there", 2, now=utcnow() - timedelta(days=1))
    service = world.api("site").get("/api/v1/service").json()
    assert service["database"] == "sqlite"
    assert {line["id"]: (line["host"], line["alive"]) for line in service["workers"]} == {
        "one": ("here", True),
        "two": ("there", False),
    }


def test_nobody_else_sees_the_machines_or_where_it_stands(world):
    for who, machines, status in (("expert", 403, 403), ("outsider", 403, 404), (None, 401, 401), ("admin", 403, 200)):
        assert world.api(who).get("/api/v1/service").status_code == machines
        for rest in ("/start", "/standing"):
            assert world.api(who).get(world.path(rest)).status_code == status
