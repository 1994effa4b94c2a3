"""Dry runs: the sample, who is asked once, and what the whole pool would take."""

import pytest

from app.db.tables import DryRun
from app.errors import Conflict
from app.services import dry_runs, projects
from tests.factories import make_items, make_project

REMOTE = {
    "provider": "remote_llm",
    "model": "m",
    "base_url": "http://llm.example/v1",
    "input_price": 1.0,
    "output_price": 2.0,
    "max_cost": 0.5,
}


@pytest.fixture
def project(db):
    with db.write() as session:
        project = make_project(session, settings=projects.ProjectSettings(prelabel=REMOTE).model_dump())
        make_items(session, project, 100)
        return project


def test_the_sample_is_the_same_for_the_same_seed(db, project):
    with db.write() as session:
        first = dry_runs.request(session, project, seed=1)
        first.state = "done"
        session.flush()
        second, third = (dry_runs.request(session, project, seed=1), None)
        second.state = "done"
        session.flush()
        third = dry_runs.request(session, project, seed=2)
        assert len(first.items) == 20
        assert first.items == second.items != third.items


def test_asking_twice_while_one_waits_asks_once(db, project):
    with db.write() as session:
        first = dry_runs.request(session, project)
        assert dry_runs.request(session, project).id == first.id
        changed = projects.settings_of(project).model_copy(update={"prelabel": {"provider": "few_shot"}})
        projects.update_project(session, project, settings=changed)
        assert dry_runs.request(session, project).id != first.id


def test_an_empty_pool_has_nothing_to_try(db):
    with db.write() as session, pytest.raises(Conflict, match="nothing to try"):
        dry_runs.request(session, make_project(session))


def test_the_cost_of_the_pool_is_the_samples_times_five_and_held_against_the_cap(db, project):
    with db.write() as session:
        run = dry_runs.request(session, project)
        before = dry_runs.outlook(session, project, run)
        assert not before.measured
        assert before.calls == 100
        usage = {"calls": 22, "input_tokens": 4000, "output_tokens": 40, "cost": 0.2, "asked": 20}
        dry_runs.finish(session, run.id, [item | {"scores": [0.9, 0.1]} for item in run.items], usage, 3.0)
        after = dry_runs.outlook(session, project, run)
    assert (after.measured, after.calls, after.input_tokens, after.output_tokens) == (True, 110, 20_000, 200)
    assert after.cost == pytest.approx(1.0)
    assert after.seconds == pytest.approx(15.0)
    assert after.cap_bites


def test_a_run_that_has_ended_is_not_begun_again(db, project):
    with db.write() as session:
        run = dry_runs.request(session, project)
        assert dry_runs.fail(session, run.id, "The cap was reached.", usage={"asked": 3})
        assert dry_runs.begin(session, run.id) is None
        assert not dry_runs.fail(session, run.id, "again")
        dry_runs.finish(session, run.id, [], {}, 1.0)
    with db.read() as session:
        kept = session.get_one(DryRun, run.id)
        assert (kept.state, kept.error, kept.usage) == ("failed", "The cap was reached.", {"asked": 3})


def test_an_unusable_answer_has_no_label(db, project):
    with db.write() as session:
        run = dry_runs.request(session, project)
        ids = [item["item_id"] for item in run.items]
        run.items = [
            {"item_id": ids[0], "scores": [0.2, 0.8], "raw": None},
            {"item_id": ids[1], "scores": None, "raw": "perhaps"},
            {"item_id": ids[2]},
        ]
        said = [(a.label, a.score, a.answered) for a in dry_runs.answers(session, project, run)]
    assert said == [("clickbait", 0.8, True), (None, None, True), (None, None, False)]
