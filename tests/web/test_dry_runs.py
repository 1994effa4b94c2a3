"""The dry run's page: asking for one, waiting for it, and what it shows."""

import pytest
from sqlalchemy import select

from app.db.tables import DryRun, Project
from app.services import dry_runs
from tests.factories import make_items


def fill(scene, texts=30):
    with scene.db.write() as session:
        make_items(session, session.get_one(Project, scene.project_id), texts)


def test_a_dry_run_is_asked_for_waited_for_and_shown(scene):
    fill(scene, ["<script>alert(1)</script>", "two"])
    admin = scene.browser("admin")
    where = admin.post(scene.path("/dry-runs")).headers["location"]
    waiting = admin.get(where, headers={"HX-Request": "true"}).text
    assert 'hx-trigger="every 1s"' in waiting
    assert "No worker is running" in waiting
    with scene.db.write() as session:
        run = session.scalars(select(DryRun)).one()
        items = [item | {"scores": [0.25, 0.75], "raw": None} for item in run.items]
        dry_runs.finish(session, run.id, items, {"asked": 2}, 4.0)
    page = admin.get(where).text
    assert "hx-trigger" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "0.75" in page
    assert "as measured on the sample" in page
    assert "<!doctype html>" in page


def test_where_nothing_had_to_be_asked_the_time_is_not_promised(scene):
    fill(scene)
    admin = scene.browser("admin")
    where = admin.post(scene.path("/dry-runs")).headers["location"]
    assert "a dry run tells" in admin.get(where).text
    with scene.db.write() as session:
        run = session.scalars(select(DryRun)).one()
        items = [item | {"scores": [0.25, 0.75], "raw": None} for item in run.items]
        dry_runs.finish(session, run.id, items, {"asked": 0}, 0.1)
    page = admin.get(where).text
    assert "not measured: every answer was known" in page
    assert "a dry run tells" not in page


def test_the_reason_of_a_failure_is_said(scene):
    fill(scene)
    admin = scene.browser("admin")
    where = admin.post(scene.path("/dry-runs")).headers["location"]
    with scene.db.write() as session:
        dry_runs.fail(session, session.scalars(select(DryRun.id)).one(), "The model could not be reached.")
    assert "The model could not be reached." in admin.get(where).text


def test_an_empty_pool_is_refused_in_words(scene):
    answer = scene.browser("admin").post(scene.path("/dry-runs"))
    assert answer.status_code == 409
    assert "nothing to try" in answer.text


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404)])
def test_experts_and_outsiders_see_no_dry_run(scene, who, status):
    fill(scene)
    where = scene.browser("admin").post(scene.path("/dry-runs")).headers["location"]
    browser = scene.browser(who)
    assert browser.get(where).status_code == status
    assert browser.get(scene.path("/dry-runs")).status_code == status
    assert browser.post(scene.path("/dry-runs")).status_code == status
