"""Making a project, its overview, settings and guideline: as site admin, admin, expert and outsider."""

import re

import pytest
from sqlalchemy import select

from app.db.tables import GuidelineVersion, Project, User
from app.services import projects
from app.web import project_forms
from tests.factories import make_items

PAGES = ("/settings", "/guideline", "/pool", "/rounds", "/alignment")


@pytest.mark.parametrize(("who", "status"), [("admin", 200), ("expert", 403), ("outsider", 404), (None, 303)])
@pytest.mark.parametrize("page", PAGES)
def test_only_an_admin_opens_the_admins_pages(scene, who, status, page):
    assert scene.browser(who).get(scene.path(page)).status_code == status


def make_site_admin(scene) -> None:
    with scene.db.write() as session:
        session.get_one(User, scene.users["outsider"]).is_site_admin = True


NEW = {
    "name": "Spam or not",
    "guideline": "Spam *sells*.",
    "label": ["ham", "spam", ""],
    "examples": ["hello\nsee you at six", "buy now", ""],
}


def test_only_a_site_admin_makes_a_project(scene):
    assert scene.browser("admin").get("/projects/new").status_code == 403
    assert scene.browser("admin").post("/projects", NEW).status_code == 403


def test_a_new_project_has_its_labels_guideline_examples_and_its_maker_as_admin(scene):
    make_site_admin(scene)
    browser = scene.browser("outsider")
    assert browser.post("/projects", NEW).headers["location"] == "/p/spam-or-not/start"
    assert browser.get("/p/spam-or-not/people").status_code == 200
    with scene.db.read() as session:
        project = projects.get_project(session, "spam-or-not")
        guideline = projects.current_guideline(session, project.id)
    assert project.labels == ["ham", "spam"]
    assert guideline.examples == {"ham": ["hello", "see you at six"], "spam": ["buy now"]}


def test_a_new_project_that_lacks_a_label_is_asked_for_again_with_what_was_typed(scene):
    make_site_admin(scene)
    page = scene.browser("outsider").post("/projects", NEW | {"label": ["ham", "", ""]})
    assert page.status_code == 422
    assert "at least two labels" in page.text
    assert 'value="Spam or not"' in page.text
    assert "see you at six" in page.text


def test_the_overview_says_what_to_do_next(scene):
    admin = scene.browser("admin")
    assert "Fill the pool" in admin.get(scene.path()).text
    with scene.db.write() as session:
        make_items(session, session.get_one(Project, scene.project_id), 20)
    assert "Invite experts" in admin.get(scene.path()).text


def test_an_expert_sees_the_guideline_and_none_of_the_figures(scene):
    page = scene.browser("expert").get(scene.path())
    assert page.status_code == 200
    assert "Label what the text is." in page.text
    assert "Model–human alignment" not in page.text


def settings_form(scene, **changes) -> dict[str, str]:
    with scene.db.read() as session:
        project = session.get_one(Project, scene.project_id)
        values = project_forms.shown(projects.settings_of(project))
    return {"name": project.name, "labels": "\n".join(project.labels)} | values | changes


def present(scene) -> projects.ProjectSettings:
    with scene.db.read() as session:
        return projects.settings_of(session.get_one(Project, scene.project_id))


def test_settings_sent_back_as_they_are_change_nothing(scene):
    before = present(scene)
    assert scene.browser("admin").post(scene.path("/settings"), settings_form(scene)).status_code == 303
    assert present(scene) == before


def test_settings_are_saved_with_percents_as_shares(scene):
    form = settings_form(scene, overlap="3", control_share="12,5", lease_minutes="45", engine="encoder")
    assert scene.browser("admin").post(scene.path("/settings"), form).status_code == 303
    now = present(scene)
    assert (now.overlap, now.control_share, now.lease_minutes, now.engine) == (3, 0.125, 45, "encoder")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("overlap", "0"),
        ("round_size", "many"),
        ("control_share", "95"),
        ("evaluation_share", ""),
        ("strategy", "magic"),
        ("engine_config", "[1]"),
        ("encoder", ""),
        ("lease_minutes", "-1"),
        ("prelabel.provider", "oracle"),
    ],
)
def test_a_wrong_setting_is_said_beside_its_field_and_nothing_is_saved(scene, field, value):
    before = present(scene)
    page = scene.browser("admin").post(scene.path("/settings"), settings_form(scene, **{field: value}))
    assert page.status_code == 422
    assert re.search(rf'id="f-{re.escape(field)}"[^>]* aria-invalid="true"', page.text)
    assert present(scene) == before


def test_a_cap_on_cost_needs_prices(scene):
    remote = {
        "prelabel.provider": "remote_llm",
        "prelabel.model": "m",
        "prelabel.base_url": "http://llm.example.org/v1",
        "prelabel.max_cost": "5",
    }
    browser = scene.browser("admin")
    page = browser.post(scene.path("/settings"), settings_form(scene, **remote))
    assert page.status_code == 422
    assert 'id="e-prelabel.input_price"' in page.text
    prices = {"prelabel.input_price": "0.5", "prelabel.output_price": "1"}
    assert browser.post(scene.path("/settings"), settings_form(scene, **remote, **prices)).status_code == 303
    assert present(scene).prelabel == {
        "provider": "remote_llm",
        "model": "m",
        "base_url": "http://llm.example.org/v1",
        "max_cost": 5.0,
        "input_price": 0.5,
        "output_price": 1.0,
    }


def test_an_expert_cannot_change_settings_or_guideline(scene):
    before = present(scene)
    form = settings_form(scene, overlap="4")
    assert scene.browser("expert").post(scene.path("/settings"), form).status_code == 403
    assert scene.browser("outsider").post(scene.path("/guideline"), {"text": "x"}).status_code == 404
    assert present(scene) == before


def test_publishing_a_guideline_adds_a_version(scene):
    form = {"text": "# New\n\n<script>alert(1)</script>", "examples": ["plain ad", "<b>click</b>\nsecond"]}
    form |= {"summary": "All of it."}
    browser = scene.browser("admin")
    assert browser.post(scene.path("/guideline"), form).status_code == 303
    page = browser.get(scene.path("/guideline")).text
    assert "<script>alert(1)" not in page
    assert "<b>click" not in page
    with scene.db.read() as session:
        versions = session.scalars(
            select(GuidelineVersion).where(GuidelineVersion.project_id == scene.project_id)
        ).all()
    assert [v.version for v in versions] == [1, 2]
    assert versions[1].examples == {"benign": ["plain ad"], "clickbait": ["<b>click</b>", "second"]}
