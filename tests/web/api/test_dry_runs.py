"""Dry runs by API: asked for, waited for, read, with what the whole pool would take."""

import pytest

from app.db.tables import Project
from app.services import dry_runs
from tests.factories import make_items


@pytest.fixture
def filled(world):
    with world.db.write() as session:
        make_items(session, session.get_one(Project, world.project_id), 100)
    return world


def carry_out(world, run_id: int) -> None:
    """What a worker does; the first answer is of no use."""
    with world.db.write() as session:
        run = dry_runs.begin(session, run_id)
        items = [item | {"scores": [0.25, 0.75], "raw": None} for item in run.items]
        items[0] |= {"scores": None, "raw": "I can't say"}
        dry_runs.finish(session, run_id, items, {"asked": 20}, 4.0)


def test_a_run_is_asked_for_once_and_answered(filled):
    admin = filled.api("admin")
    asked = admin.post(filled.path("/dry-runs"))
    assert asked.status_code == 202, asked.text
    run = asked.json()
    assert (run["state"], run["config_is_current"], run["estimate"]["measured"]) == ("queued", True, False)
    assert [(answer["answered"], answer["label"]) for answer in run["answers"]] == [(False, None)] * 20
    assert admin.post(filled.path("/dry-runs")).json()["id"] == run["id"], "one that waits comes back"
    carry_out(filled, run["id"])
    done = admin.get(filled.path(f"/dry-runs/{run['id']}")).json()
    assert (done["state"], done["asked"]) == ("done", 20)
    assert done["estimate"] | {"seconds": 20.0, "items": 100, "measured": True} == done["estimate"]
    first, second, *_ = done["answers"]
    assert (first["answered"], first["label"], first["raw"], first["scores"]) == (True, None, "I can't say", {})
    assert (second["label"], second["score"]) == ("clickbait", 0.75)
    assert second["scores"] == {"benign": 0.25, "clickbait": 0.75}


def test_the_list_has_an_estimate_before_the_first_run_and_tells_when_settings_have_changed(filled):
    admin = filled.api("admin")
    before = admin.get(filled.path("/dry-runs")).json()
    assert before["runs"] == []
    assert (before["estimate"]["items"], before["estimate"]["measured"]) == (100, False)
    carry_out(filled, admin.post(filled.path("/dry-runs")).json()["id"])
    remote = {
        "provider": "remote_llm",
        "base_url": "http://127.0.0.1:9",
        "model": "tiny",
        "max_calls": 50,
    }
    changed = admin.post(filled.path("/settings"), json={"settings": {"prelabel": remote}})
    assert changed.status_code == 200, changed.text
    (line,) = admin.get(filled.path("/dry-runs")).json()["runs"]
    assert line["config_is_current"] is False
    capped = admin.post(filled.path("/dry-runs")).json()["estimate"]
    assert (capped["max_calls"], capped["cap_bites"]) == (50, capped["calls"] > 50)
    assert capped["calls"] > 0


def test_an_empty_pool_is_refused_in_words(world):
    refused = world.api("admin").post(world.path("/dry-runs"))
    assert refused.status_code == 409
    assert "nothing to try" in refused.json()["error"]


def test_nobody_else_sees_what_the_model_says(filled):
    run = filled.api("admin").post(filled.path("/dry-runs")).json()["id"]
    for who, status in (("expert", 403), ("outsider", 404), (None, 401)):
        api = filled.api(who)
        assert api.get(filled.path("/dry-runs")).status_code == status
        assert api.get(filled.path(f"/dry-runs/{run}")).status_code == status
        assert api.post(filled.path("/dry-runs")).status_code == status
