"""The audit page as admin, and that nobody else reads it."""

import csv
import io

import pytest

from app.services import accounts, audit
from tests.web.conftest import PASSWORD


def test_an_admin_reads_searches_and_takes_it_away(scene):
    with scene.db.write() as session:
        audit.record(session, "thing.done", project_id=scene.project_id, subject="=1+1 <b>", count=3)
    admin = scene.browser("admin")
    admin.post(scene.path("/people/invitations"), {"role": "viewer"})
    page = admin.get(scene.path("/audit")).text
    assert "invitation.created" in page
    assert "&lt;b&gt;" in page
    assert "thing.done" not in admin.get(scene.path("/audit?q=invitation")).text
    rows = list(csv.DictReader(io.StringIO(admin.get(scene.path("/audit.csv")).text)))
    assert {row["subject"] for row in rows if row["action"] == "thing.done"} == {"'=1+1 <b>"}


def test_a_site_admin_reads_what_belongs_to_no_project_and_nobody_else_does(scene):
    with scene.db.write() as session:
        accounts.create_user(
            session, email="site@example.org", name="Site", password=PASSWORD, is_site_admin=True
        )  # fmt: skip
        audit.record(session, "round.done", project_id=scene.project_id)
    site = scene.browser("site")
    assert '"/audit"' in site.get("/").text
    page = site.get("/audit").text
    assert "site@example.org" in page
    assert f"<td>{scene.slug}</td>" in page
    assert "round.done" not in site.get("/audit?q=user.created").text
    rows = list(csv.DictReader(io.StringIO(site.get("/audit.csv?q=round").text)))
    assert [(row["action"], row["project"]) for row in rows] == [("round.done", scene.slug)]
    assert [entry["project"] for entry in site.get("/api/v1/audit?search=round").json()["entries"]] == [scene.slug]
    assert '"/audit"' not in scene.browser("admin").get("/").text
    for who, status in (("admin", 403), ("expert", 403), ("outsider", 403), (None, 303)):
        assert scene.browser(who).get("/audit").status_code == status
        assert scene.browser(who).get("/audit.csv").status_code == status


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, who, status):
    for path in ("/audit", "/audit.csv"):
        assert scene.browser(who).get(scene.path(path)).status_code == status


def test_it_names_whom_and_what_a_change_was_about(scene):
    admin, members = scene.browser("admin"), scene.path("/people")
    expert = scene.users["expert"]
    admin.post(f"{members}/invitations", {"role": "viewer", "name": "Grace"})
    admin.post(f"{members}/{expert}/role", {"role": "viewer"})
    admin.post(f"{members}/{expert}/remove")
    with scene.db.write() as session:
        audit.record(session, "project.changed", project_id=scene.project_id, open=[True, False], labels=[["a"], []])
    rows = {row["action"]: row for row in csv.DictReader(io.StringIO(admin.get(scene.path("/audit.csv")).text))}
    assert rows["invitation.created"]["subject"] == "Grace"
    assert rows["member.role_changed"]["subject"] == rows["member.removed"]["subject"] == "expert@example.org"
    assert "open: yes → no, labels: a → none" in admin.get(scene.path("/audit")).text
