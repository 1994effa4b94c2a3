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


def with_ids(scene):
    with scene.db.write() as session:
        items = make_items(session, session.get_one(Project, scene.project_id), ["one", "two"])
        for number, item in enumerate(items):
            item.external_id = f"p-{number}"


def test_the_column_that_finds_the_items_is_tried_on_the_pool(scene):
    with_ids(scene)
    admin = scene.browser("admin")
    page = admin.get(upload(admin, scene, "post,verdict\np-0,benign\np-1,clickbait\np-9,benign\n").headers["location"])
    assert '<option value="id" selected>' in page.text
    assert "Of the first 3 rows, 2 find their items by the id in “post”." in page.text


def test_a_file_of_another_pool_is_said_before_anything_is_matched(scene):
    fill(scene)
    admin = scene.browser("admin")
    page = admin.get(upload(admin, scene, "post,verdict\np-0,benign\n").headers["location"])
    assert "None of the first 1 row finds an item of the pool" in page.text


def test_labels_that_found_no_item_are_no_baseline(scene, settings):
    fill(scene)
    admin = scene.browser("admin")
    for text in (FILE, "text,verdict\nelsewhere,0\n"):
        where = upload(admin, scene, text).headers["location"]
        admin.post(where, {"match": "text", "key": "text", "label": "verdict", "values": "0 = benign\n1 = clickbait"})
        run(scene, settings)
    assert "No label of crowd.csv found its item" in admin.get(scene.path("/start")).text
    with scene.db.read() as session:
        assert baselines.current_baseline(session, scene.project_id).items_labelled == 2
