"""Uploading labels that exist already, and what is said about them."""

import pytest
from sqlalchemy import select

from app.db.tables import Baseline, Project
from app.ml.artifacts import ArtifactStore
from app.services import baselines
from tests.factories import make_items

FILE = "text,verdict\none,0\ntwo,1\nthree,1\nfour,9\n"


def upload(browser, scene, text: str = FILE):
    return browser.post(scene.path("/baseline/uploads"), files={"file": ("crowd.csv", text.encode(), "text/csv")})


def fill(scene):
    with scene.db.write() as session:
        make_items(session, session.get_one(Project, scene.project_id), ["one", "two"])


def run(scene, settings):
    with scene.db.read() as session:
        ids = session.scalars(select(Baseline.id)).all()
    for baseline_id in ids:
        baselines.run(scene.db, ArtifactStore(settings.resolved_artifacts_url), baseline_id)


def test_a_crowds_file_is_previewed_matched_and_counted(scene, settings):
    fill(scene)
    admin = scene.browser("admin")
    where = upload(admin, scene).headers["location"]
    page = admin.get(where).text
    assert '<option value="verdict" selected>' in page
    assert "0 = benign" not in page  # 9 is among the values, so that they are not the labels' numbers
    form = {"match": "text", "key": "text", "label": "verdict", "values": "0 = benign\n1 = clickbait"}
    job = admin.post(where, form).headers["location"]
    assert 'hx-trigger="every 1s"' in admin.get(job, headers={"HX-Request": "true"}).text
    run(scene, settings)
    done = admin.get(job).text
    assert "hx-trigger" not in done
    assert "No item of the pool has this text." in done
    assert "&#39;9&#39; is none of" in done
    assert "crowd.csv" in admin.get(scene.path("/baseline")).text
    assert "2 items from crowd.csv" in admin.get(scene.path("/start")).text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"label": ""}, "Say which column holds the label."),
        ({"values": "1"}, "is not of the form value = label"),
        ({"values": "1 = spam"}, "which is no label of this project"),
    ],
)
def test_a_wrong_mapping_is_said_with_what_was_typed(scene, change, said):
    admin = scene.browser("admin")
    where = upload(admin, scene).headers["location"]
    page = admin.post(where, {"match": "text", "key": "text", "label": "verdict", "values": ""} | change)
    assert page.status_code == 422
    assert said in page.text


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404)])
def test_nobody_else_uploads_or_sees_a_baseline(scene, who, status):
    where = upload(scene.browser("admin"), scene).headers["location"]
    browser = scene.browser(who)
    assert upload(browser, scene).status_code == status
    assert browser.get(where).status_code == status
    assert browser.get(scene.path("/baseline")).status_code == status
