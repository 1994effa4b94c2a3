"""The export by API is the service's file, whole, and only for admins (tests/web/api/test_access.py)."""

import csv
import io
import json
import zipfile

import pyarrow.parquet as pq
import pytest

from app.db.tables import Project
from app.services import exports
from tests.factories import make_items


@pytest.fixture
def labelled(world):
    world.open_round(3)
    with world.db.write() as session:
        make_items(session, session.get_one(Project, world.project_id), 2000)
    task = world.api("expert").post(world.path("/next")).json()["task"]
    body = {"assignment_id": task["assignment_id"], "label": "clickbait", "key": "an-answer"}
    assert world.api("expert").post(world.path("/annotations"), json=body).status_code == 200
    return world


def read(content: bytes, format: str) -> list[dict]:
    if format == "jsonl":
        return [json.loads(line) for line in content.splitlines()]
    if format == "csv":
        return list(csv.DictReader(io.StringIO(content.decode())))
    return pq.read_table(io.BytesIO(content)).to_pylist()


@pytest.mark.parametrize("format", ["jsonl", "csv", "parquet"])
@pytest.mark.parametrize(("scope", "count"), [("all", 2003), ("labelled", 1)])
def test_every_format_brings_the_same_items(labelled, format, scope, count):
    response = labelled.api("admin").get(labelled.path("/export"), params={"format": format, "scope": scope})
    assert response.status_code == 200
    assert response.headers["content-disposition"] == f'attachment; filename="ads.{format}"'
    rows = read(response.content, format)
    assert [int(row["ordinal"]) for row in rows] == list(range(count))
    assert list(rows[0]) == list(exports.COLUMNS)
    annotations = rows[0]["annotations"]
    assert "clickbait" in (annotations if isinstance(annotations, str) else json.dumps(annotations))


def test_experts_are_named_on_request_only(labelled):
    api = labelled.api("admin")
    assert "Expert" not in api.get(labelled.path("/export?scope=labelled")).text
    assert '"Expert"' in api.get(labelled.path("/export?scope=labelled&names=true")).text


def test_the_folder_for_datasets_comes_as_a_zip(labelled):
    response = labelled.api("admin").get(labelled.path("/export?format=datasets"))
    assert response.headers["content-disposition"] == 'attachment; filename="ads.zip"'
    archive = zipfile.ZipFile(io.BytesIO(response.content))
    assert archive.testzip() is None
    names = [name for name in archive.namelist() if name.endswith(".parquet")]
    read_rows = [pq.read_table(io.BytesIO(archive.read(name))).num_rows for name in names]
    assert dict(zip(names, read_rows, strict=True)) == {
        "ads-dataset/data/undecided-00000.parquet": 1,
        "ads-dataset/data/unlabelled-00000.parquet": 2002,
    }
    assert "# Ads" in archive.read("ads-dataset/README.md").decode().title()


@pytest.mark.parametrize(("format", "encoding"), [("parquet", "identity"), ("datasets", "identity"), ("csv", "gzip")])
def test_only_what_shrinks_is_compressed_on_the_way(labelled, format, encoding):
    response = labelled.api("admin").get(labelled.path(f"/export?format={format}"), headers={"Accept-Encoding": "gzip"})
    assert response.headers["content-encoding"] == encoding


@pytest.mark.parametrize("query", ["format=xml", "scope=none", "names=2"])
def test_an_export_that_there_is_not_is_refused(labelled, query):
    assert labelled.api("admin").get(labelled.path(f"/export?{query}")).status_code == 422
