"""A project as one file: written, read back, applied once, twice, and only tried; on both databases."""

import pytest
from sqlalchemy import func, select

from app.db.tables import AuditEvent, GuidelineVersion, ModelVersion, Project
from app.errors import Conflict, Forbidden, InvalidInput
from app.services import accounts, practice, project_file, projects
from tests.factories import make_project, make_user

FILE = """
slug: ads
name: Small ads
labels: [honest, clickbait]
guideline: |
  ## Clickbait
  It hides what it sells: "you won't believe".
examples:
  honest: ['Oak table, 80 euros']
  clickbait: [You won't believe it]
settings:
  overlap: 3
  round_size: 40
prelabel:
  provider: remote_llm
  model: m
  base_url: http://llm.example/v1
  max_calls: 500
practice:
  - text: One weird trick
    label: clickbait
    explanation: It names nothing.
members:
  - {email: ada@example.org, name: Ada, role: admin}
  - {email: ben@example.org, role: expert}
"""


def apply(db, text, **how):
    with db.write() as session:
        return project_file.apply(session, project_file.parse(text), may_add_people=True, **how)


def exported(db, slug="ads"):
    with db.read() as session:
        return project_file.as_yaml(project_file.export(session, projects.get_project(session, slug)))


def test_a_file_makes_the_project_that_it_says(db):
    slug, changes = apply(db, FILE)
    assert slug == "ads"
    assert changes[0] == ("project", None, "ads")
    with db.read() as session:
        project = projects.get_project(session, "ads")
        settings = projects.settings_of(project)
        guideline = projects.current_guideline(session, project.id)
        assert (project.labels, settings.overlap, settings.round_size) == (["honest", "clickbait"], 3, 40)
        assert settings.prelabel["max_calls"] == 500
        assert guideline.examples["honest"] == ["Oak table, 80 euros"]
        assert [(item.text, item.label) for item in practice.items(session, project.id)] == [("One weird trick", 1)]
        people = {(user.email, user.name, member.role) for user, member in accounts.members(session, project.id)}
        assert people == {("ada@example.org", "Ada", "admin"), ("ben@example.org", "ben", "expert")}


def test_applying_again_or_what_was_exported_changes_nothing(db):
    apply(db, FILE)
    written = exported(db)
    with db.read() as session:
        events = session.scalar(select(func.count()).select_from(AuditEvent))
    assert apply(db, FILE) == ("ads", [])
    assert apply(db, written) == ("ads", [])
    assert exported(db) == written
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditEvent)) == events


def test_an_export_makes_the_same_project_elsewhere(db):
    apply(db, FILE)
    written = exported(db).replace("slug: ads", "slug: copy")
    apply(db, written)
    assert exported(db, "copy") == written


def test_a_dry_run_says_what_would_change_and_changes_nothing(db):
    _, would = apply(db, FILE, dry_run=True)
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Project)) == 0
        assert accounts.find_user(session, "ada@example.org") is None
    _, did = apply(db, FILE)
    assert would == did
    changed = FILE.replace("overlap: 3", "overlap: 2").replace("It hides", "It conceals")
    _, would = apply(db, changed, dry_run=True)
    assert [(change.field, change.before, change.after) for change in would if change.field != "guideline"] == [
        ("settings.overlap", 3, 2)
    ]
    assert "guideline" in [change.field for change in would]
    assert apply(db, FILE) == ("ads", [])


def test_what_is_left_out_stays(db):
    apply(db, FILE)
    _, changes = apply(db, "slug: ads\nsettings: {control_share: 0.2}\nexamples: {honest: [A chair]}\n")
    assert [change.field for change in changes] == ["settings.control_share", "examples.honest"]
    with db.read() as session:
        project = projects.get_project(session, "ads")
        guideline = projects.current_guideline(session, project.id)
        assert (project.name, projects.settings_of(project).overlap) == ("Small ads", 3)
        assert guideline.examples == {"honest": ["A chair"], "clickbait": ["You won't believe it"]}
        assert guideline.version == 3  # the empty one that a new project has, the file's, and this
        assert session.scalar(select(func.count()).select_from(GuidelineVersion)) == 3


def test_practice_follows_the_list_and_nobody_is_removed(db):
    apply(db, FILE)
    _, changes = apply(db, "slug: ads\npractice: [{text: A chair, label: honest}]\nmembers: []\n")
    assert [(c.before, c.after) for c in changes] == [("One weird trick", None), (None, "A chair")]
    with db.read() as session:
        project = projects.get_project(session, "ads")
        assert [item.text for item in practice.items(session, project.id)] == ["A chair"]
        assert len(accounts.members(session, project.id)) == 2


@pytest.mark.parametrize(
    ("text", "field", "said"),
    [
        ("name: [", "", "not YAML: line 1"),
        ("just words", "", "mapping"),
        ("slug: ads\ncolour: red", "colour", "Extra inputs"),
        ("name: A\nlabels: [no, yes]", "labels.0", "put it in quotes"),
        ("name: A\nlabels: [a, b]\nsettings: {overlap: 12}", "settings.overlap", "overlap"),
        ("name: A\nlabels: [a, b]\nsettings: {magic: 1}", "settings.magic", "magic"),
        ("name: A\nlabels: [a, b]\nsettings: {prelabel: {}}", "settings.prelabel", "part of its own"),
        ("name: A\nlabels: [a, b]\nprelabel: {provider: oracle}", "prelabel.provider", "oracle"),
        ("name: A\nlabels: [a, b]\nexamples: {c: [x]}", "examples", "no label 'c'"),
        ("name: A\nlabels: [a, b]\npractice: [{text: x, label: c}]", "practice.0.label", "no label 'c'"),
        ("name: A\nlabels: [a, b]\nmembers: [{email: nobody, role: expert}]", "members.0.email", "address"),
        ("name: A\nlabels: [a, b]\nmembers: [{email: a@b.org, role: king}]", "members.0.role", "expert"),
        ("name: A", "labels", "needs labels"),
        ("labels: [a, b]", "slug", "which project"),
    ],
)
def test_an_error_names_its_field_and_nothing_is_made(db, text, field, said):
    with pytest.raises(InvalidInput, match=said) as refused:
        apply(db, text)
    assert str(refused.value.detail.get("field", "")) == field
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Project)) == 0


def test_labels_stay_once_something_is_labelled_and_then_the_rest_of_the_file_does_not_count_either(db):
    apply(db, FILE)
    with db.write() as session:
        project = projects.get_project(session, "ads")
        session.add(ModelVersion(project_id=project.id, version=0, kind="prelabel", engine="few_shot", config={}))
    with pytest.raises(Conflict, match="labels"):
        apply(db, FILE.replace("[honest, clickbait]", "[fair, clickbait]").replace("honest:", "fair:"))
    assert apply(db, FILE) == ("ads", [])


def test_without_leave_to_add_people_only_members_change_their_role(db):
    with db.write() as session:
        admin, expert = make_user(session, email="ada@example.org"), make_user(session, email="ben@example.org")
        project = make_project(session, admin=admin, experts=[expert])
        text = "members: [{email: ben@example.org, role: lead}, {email: new@example.org, role: expert}]"
        with pytest.raises(Forbidden, match="Invite them"):
            project_file.apply(session, project_file.parse(text), project, user_id=admin.id)
        roles = {user.email: member.role for user, member in accounts.members(session, project.id)}
        assert roles["ben@example.org"] == "expert"
        only = project_file.parse("members: [{email: ben@example.org, role: lead}]")
        _, changes = project_file.apply(session, only, project, user_id=admin.id)
    assert changes == [("members.ben@example.org", "expert", "lead")]


def test_the_last_admin_stays_and_can_hand_over_in_one_file(db):
    apply(db, FILE)
    with pytest.raises(Conflict):
        apply(db, "slug: ads\nmembers: [{email: ada@example.org, role: expert}]")
    both = "[{email: ada@example.org, role: expert}, {email: ben@example.org, role: admin}]"
    _, changes = apply(db, f"slug: ads\nmembers: {both}")
    assert len(changes) == 2


def test_a_deleted_projects_name_is_not_taken(db):
    from app.db.base import utcnow

    apply(db, FILE)
    with db.write() as session:
        projects.get_project(session, "ads").deleted_at = utcnow()
    with pytest.raises(Conflict, match="is deleted"):
        apply(db, FILE)
