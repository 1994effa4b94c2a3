"""From a file to items, by an admin; errors by row; hostile texts and names."""

import re

import pytest
from sqlalchemy import select

from app.db.tables import Import, Project
from app.ml.artifacts import ArtifactStore
from app.services import pool
from tests.factories import make_items

FILE = "key,headline,source\na,First text,web\nb,<script>alert(1)</script>,web\nc,First text,mail\n"


def upload(browser, scene, text: str = FILE, name: str = "ads.csv"):
    files = {"file": (name, text.encode(), "text/csv")}
    return browser.post(scene.path("/pool/uploads"), files=files)


def run(scene, settings) -> None:
    store = ArtifactStore(settings.resolved_artifacts_url)
    with scene.db.read() as session:
        ids = session.scalars(select(Import.id)).all()
    for import_id in ids:
        pool.run_import(scene.db, store, import_id)


def test_a_file_is_previewed_mapped_and_imported(scene, settings):
    admin = scene.browser("admin")
    where = upload(admin, scene).headers["location"]
    page = admin.get(where).text
    assert '<option value="headline" selected>' in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    with scene.db.read() as session:
        assert session.get_one(Project, scene.project_id).item_count == 0
    queued = admin.post(where, {"text": "headline", "id": "key", "meta": ["source"]}).headers["location"]
    assert "No worker is running" in admin.get(queued).text
    assert 'hx-trigger="every 1s"' in admin.get(queued, headers={"HX-Request": "true"}).text
    run(scene, settings)
    done = admin.get(queued).text
    assert "hx-trigger" not in done
    items = admin.get(scene.path("/pool")).text
    assert "2 items" in items
    assert "First text" in items
    assert "<script>alert(1)" not in items


def test_bad_rows_are_listed_by_row_and_nothing_is_stored(scene, settings):
    admin = scene.browser("admin")
    where = upload(admin, scene, "text\ngood\n  \nalso good\n").headers["location"]
    queued = admin.post(where, {"text": "text"}).headers["location"]
    run(scene, settings)
    page = admin.get(queued).text
    assert "Nothing was stored." in page
    assert '<td class="number">3</td><td>text</td>' in page


def test_a_file_that_cannot_be_read_is_said_beside_the_field(scene):
    page = upload(scene.browser("admin"), scene, "", "empty.csv")
    assert page.status_code == 422
    assert 'id="e-file"' in page.text
    assert "The file is empty." in page.text


def test_a_column_is_needed(scene):
    admin = scene.browser("admin")
    where = upload(admin, scene).headers["location"]
    page = admin.post(where, {"text": ""})
    assert page.status_code == 422
    assert "Say which column holds the text." in page.text


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404)])
def test_nobody_else_uploads_or_sees_an_upload(scene, who, status):
    where = upload(scene.browser("admin"), scene).headers["location"]
    browser = scene.browser(who)
    assert upload(browser, scene).status_code == status
    assert browser.get(where).status_code == status
    assert browser.post(where, {"text": "headline"}).status_code == status
    with scene.db.read() as session:
        assert session.scalars(select(Import)).all() == []


def test_items_are_listed_by_keyset(scene):
    with scene.db.write() as session:
        make_items(session, session.get_one(Project, scene.project_id), 120)
    admin = scene.browser("admin")
    first = admin.get(scene.path("/pool/items")).text
    after = re.search(r'after=(\d+)">Next items', first)[1]
    second = admin.get(scene.path(f"/pool/items?after={after}")).text
    assert "text number 50" in second
    assert "text number 49<" not in second
    after = re.search(r'after=(\d+)">Next items', second)[1]
    last = admin.get(scene.path(f"/pool/items?after={after}")).text
    assert "text number 119" in last
    assert "Next items" not in last
