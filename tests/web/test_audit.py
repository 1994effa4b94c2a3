"""The audit page as admin, and that nobody else reads it."""

import csv
import io

import pytest

from app.services import audit


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


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, who, status):
    for path in ("/audit", "/audit.csv"):
        assert scene.browser(who).get(scene.path(path)).status_code == status
