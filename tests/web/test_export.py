"""The export page as admin: what it offers is what the download takes, and each download is noted."""

import csv
import io
import re

import pytest

from app.db.tables import Project
from app.services import audit, exports
from app.web.export import COLUMN_GROUPS, FORMAT_WORDS, SCOPE_WORDS
from tests.factories import make_items


def test_every_offered_format_and_scope_downloads(scene):
    admin = scene.browser("admin")
    text = admin.get(scene.path("/export")).text
    assert re.findall(r'<form method="get" action="([^"]+)"', text) == [scene.path("/export/file")]
    for format_, _ in FORMAT_WORDS:
        assert f'value="{format_}"' in text
        for scope, _ in SCOPE_WORDS:
            response = admin.get(scene.path(f"/export/file?format={format_}&scope={scope}&names=false"))
            assert response.status_code == 200
            assert "attachment" in response.headers["content-disposition"]


def test_the_page_names_every_column():
    assert tuple(name for _, names in COLUMN_GROUPS for name in names) == exports.COLUMNS
    assert {format_ for format_, _ in FORMAT_WORDS} == {*exports.FORMATS, exports.DATASET}


def test_the_file_is_the_services_and_the_pool_leads_to_it(scene):
    with scene.db.write() as session:
        make_items(session, session.get_one(Project, scene.project_id), 3)
    admin = scene.browser("admin")
    rows = list(csv.DictReader(io.StringIO(admin.get(scene.path("/export/file")).text, newline="")))
    assert [row["ordinal"] for row in rows] == ["0", "1", "2"]
    assert scene.path("/export") in admin.get(scene.path("/pool")).text


def test_an_export_is_noted_with_who_took_what(scene):
    scene.browser("admin").get(scene.path("/export/file?format=parquet&scope=labelled&names=true"))
    with scene.db.read() as session:
        (entry, *_) = audit.entries(session, scene.project_id, search="export.created")
    assert entry.event.user_id == scene.users["admin"]
    assert (entry.event.subject, entry.event.detail) == ("parquet", {"scope": "labelled", "names": True})


@pytest.mark.parametrize("query", ["format=xml", "scope=none", "names=2"])
def test_what_there_is_not_is_refused_and_not_noted(scene, query):
    assert scene.browser("admin").get(scene.path(f"/export/file?{query}")).status_code == 422
    with scene.db.read() as session:
        assert audit.entries(session, scene.project_id, search="export.created") == []


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, who, status):
    for path in ("/export", "/export/file"):
        assert scene.browser(who).get(scene.path(path)).status_code == status
