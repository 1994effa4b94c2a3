"""The guided start: what each step says is done and missing, and saving it from there."""

import pytest

from app.services import projects
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
