"""The guided start: what each step says is done and missing, and saving it from there."""

import pytest
from sqlalchemy import select

from app.db.tables import DryRun, Project
from app.services import dry_runs, projects
from tests.factories import make_items


@pytest.mark.parametrize(("who", "status"), [("admin", 200), ("expert", 403), ("outsider", 404), (None, 303)])
def test_only_an_admin_is_guided(scene, who, status):
    browser = scene.browser(who)
    assert browser.get(scene.path("/start")).status_code == status
    if who in ("expert", "outsider"):
        assert browser.post(scene.path("/start/guideline"), {"text": "mine"}).status_code == status
        assert browser.post(scene.path("/start/settings"), {"overlap": "1"}).status_code == status


def test_an_empty_guideline_is_offered_as_a_template_that_names_every_label(scene):
    with scene.db.write() as session:
        project = projects.get_project(session, scene.slug)
        projects.publish_guideline(session, project, text="", examples={})
    page = scene.browser("admin").get(scene.path("/start")).text
    for heading in ("## What this is about", "## clickbait", "## benign", "## Edge cases"):
        assert heading in page
    assert "There is no guideline yet." in page


def test_publishing_from_the_start_leads_back_to_its_step(scene):
    admin = scene.browser("admin")
    form = {
        "text": "Clickbait hides what it sells.",
        "examples": ["A plain offer", "You won't\nOne trick"],
    }
    answer = admin.post(scene.path("/start/guideline"), form)
    assert answer.headers["location"] == scene.path("/start#guideline")
    with scene.db.read() as session:
        project = projects.get_project(session, scene.slug)
        assert projects.current_guideline(session, project.id).examples == {
            "benign": ["A plain offer"],
            "clickbait": ["You won't", "One trick"],
        }


def test_while_a_step_runs_the_page_asks_again_for_what_it_may_change(scene):
    with scene.db.write() as session:
        make_items(session, session.get_one(Project, scene.project_id), 30)
    admin = scene.browser("admin")
    assert 'hx-trigger="every' not in admin.get(scene.path("/start")).text
    admin.post(scene.path("/dry-runs"))
    assert 'hx-trigger="every 2s"' in admin.get(scene.path("/start")).text
    asking = {"headers": {"HX-Request": "true"}}
    running = admin.get(scene.path("/start"), **asking).text
    assert 'hx-trigger="every 2s"' in running
    assert '<div class="guide-head guide-running" id="head-prelabel" hx-swap-oob="true">' in running
    assert "<textarea" not in running, "what somebody types stays"
    assert 'id="start-begin"' not in running
    with scene.db.write() as session:
        dry_runs.fail(session, session.scalars(select(DryRun.id)).one(), "The model could not be reached.")
    over = admin.get(scene.path("/start"), **asking).text
    assert 'hx-trigger="every' not in over
    assert 'id="start-begin" hx-swap-oob="true"' in over, "the button for the round comes by itself"
    assert 'id="start-try" hx-swap-oob="true"' in over


def test_saving_some_settings_keeps_the_others(scene):
    admin = scene.browser("admin")
    assert admin.post(scene.path("/start/settings"), {"overlap": "3", "round_size": "40"}).status_code == 303
    remote = {"prelabel.provider": "remote_llm", "prelabel.model": "m", "prelabel.base_url": "http://llm.example/v1"}
    assert admin.post(scene.path("/start/settings"), remote).headers["location"] == scene.path("/start#prelabel")
    with scene.db.read() as session:
        settings = projects.settings_of(projects.get_project(session, scene.slug))
    assert (settings.overlap, settings.round_size, settings.control_share) == (3, 40, 0.15)
    assert settings.prelabel["base_url"] == "http://llm.example/v1"


def test_a_wrong_setting_is_said_beside_its_field(scene):
    page = scene.browser("admin").post(scene.path("/start/settings"), {"overlap": "12"})
    assert page.status_code == 422
    assert 'id="e-overlap"' in page.text
    assert "<details open>" in page.text


def test_the_round_can_be_started_once_nothing_is_missing(scene):
    admin = scene.browser("admin")
    before = admin.get(scene.path("/start")).text
    assert "A round needs at least 10 texts" in before
    assert 'id="start-round"' not in before
    with scene.db.write() as session:
        make_items(session, projects.get_project(session, scene.slug), 12)
    admin.post(scene.path("/start/guideline"), {"text": "Say what it is.", "examples": ["a", "b"]})
    admin.post(scene.path("/start/settings"), {"overlap": "1"})
    assert 'id="start-round"' in admin.get(scene.path("/start")).text
