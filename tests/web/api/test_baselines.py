"""Files by API: looked into, brought into the pool, or matched as a baseline."""

import json

import pytest
from sqlalchemy import select

from app.db.tables import Baseline, Import, Project
from app.ml.artifacts import ArtifactStore
from app.services import baselines, pool
from tests.factories import make_items

CROWD = b"post,verdict\none,0\ntwo,1\nthree,1\nfour,9\n"
MAPPING = {"match": "text", "key": "post", "label": "verdict", "values": {"0": "benign", "1": "clickbait"}}
NOBODY_ELSE = [("expert", 403), ("outsider", 404), (None, 401)]


@pytest.fixture
def store(settings) -> ArtifactStore:
    return ArtifactStore(settings.resolved_artifacts_url)


@pytest.fixture
def filled(world):
    with world.db.write() as session:
        make_items(session, session.get_one(Project, world.project_id), ["one", "two"])
    return world


def upload(world, content: bytes = CROWD, who: str | None = "admin"):
    return world.api(who).post(world.path("/uploads"), files={"file": ("crowd.csv", content)})


def test_a_crowds_file_is_sent_matched_and_counted(filled, store):
    admin = filled.api("admin")
    assert admin.get(filled.path("/baselines")).json() == {"current": None, "baselines": []}
    data = {"mapping": json.dumps(MAPPING)}
    sent = admin.post(filled.path("/baselines"), files={"file": ("crowd.csv", CROWD)}, data=data)
    assert sent.status_code == 202, sent.text
    job = sent.json()
    assert (job["state"], job["filename"], job["mapping"]) == ("queued", "crowd.csv", MAPPING)
    baselines.run(filled.db, store, job["id"])
    done = admin.get(filled.path(f"/baselines/{job['id']}")).json()
    assert (done["state"], done["rows_matched"], done["rows_unmatched"], done["rows_rejected"]) == ("done", 2, 1, 1)
    assert done["counts"] == {"benign": 1, "clickbait": 1}
    assert {problem["row"] for problem in done["errors"]} == {4, 5}
    assert admin.get(filled.path("/baselines")).json() == {"current": job["id"], "baselines": [done]}


def test_a_file_is_looked_into_tried_on_the_pool_and_then_started(filled, store):
    admin = filled.api("admin")
    seen = upload(filled).json()
    assert (seen["format"], seen["columns"]) == ("csv", ["post", "verdict"])
    assert seen["rows"][0] == {"post": "one", "verdict": "0"}
    assert admin.get(filled.path(f"/uploads/{seen['token']}")).json() == seen
    path = filled.path(f"/uploads/{seen['token']}/baseline")
    guess = admin.get(path).json()
    assert guess == {"mapping": MAPPING | {"values": {}}, "rows": 4, "found": 2}
    job = admin.post(path, json=MAPPING)
    assert job.status_code == 202, job.text
    baselines.run(filled.db, store, job.json()["id"])
    assert admin.get(filled.path("/baselines")).json()["current"] == job.json()["id"]


def test_a_file_of_another_pool_is_noticed(filled):
    token = upload(filled, b"post,verdict\nelsewhere,benign\n").json()["token"]
    guess = filled.api("admin").get(filled.path(f"/uploads/{token}/baseline")).json()
    assert (guess["rows"], guess["found"]) == (1, 0)


def test_a_wrong_mapping_is_refused_and_queues_nothing(filled):
    token = upload(filled).json()["token"]
    for change, field in (({"values": {"1": "spam"}}, "values"), ({"label": "post"}, "label"), ({"match": "x"}, None)):
        refused = filled.api("admin").post(filled.path(f"/uploads/{token}/baseline"), json=MAPPING | change)
        assert refused.status_code == 422
        assert refused.json()["detail"].get("field") == field
    with filled.db.read() as session:
        assert session.scalars(select(Baseline)).all() == []


def test_an_uploaded_file_goes_into_the_pool_with_the_mapping_that_was_guessed(world, store):
    admin = world.api("admin")
    seen = upload(world, b"id,headline\n1,Oat milk\n2,\n").json()
    assert seen["mapping"] == {"text": "headline", "id": "id", "meta": [], "language": None}
    body = seen["mapping"] | {"skip_bad_rows": True}
    job = admin.post(world.path(f"/uploads/{seen['token']}/import"), json=body)
    assert job.status_code == 202, job.text
    pool.run_import(world.db, store, job.json()["id"])
    (listed,) = admin.get(world.path("/imports")).json()
    assert (listed["state"], listed["rows_added"], listed["rows_rejected"]) == ("done", 1, 1)
    assert listed["summary"]["items"] == 1


def test_whatever_a_file_holds_its_first_rows_are_json(world):
    for content in (b"a\xff,b\nx\xff,1\n", b'{"a": [1, null], "b": 1e400}\n', b'{"a": "\\ud800"}\n', b"a\n\0\n"):
        answer = upload(world, content)
        assert answer.status_code in (201, 422), answer.text
        assert answer.json()


def test_nobody_but_an_admin_uploads_and_an_expert_sees_no_baseline(filled):
    token = upload(filled).json()["token"]
    for who, status in NOBODY_ELSE:
        api = filled.api(who)
        assert upload(filled, who=who).status_code == status
        for call in (api.get, api.post):
            assert call(filled.path(f"/uploads/{token}/baseline")).status_code == status
        assert api.post(filled.path(f"/uploads/{token}/import"), json={"text": "post"}).status_code == status
        assert api.get(filled.path("/baselines")).status_code == status
        assert api.get(filled.path("/imports")).status_code == status


def test_an_upload_belongs_to_its_project(filled):
    token = upload(filled).json()["token"]
    site = filled.api("site")
    site.post("/api/v1/projects", json={"name": "Other", "labels": ["no", "yes"]})
    assert site.get(f"/api/v1/projects/other/uploads/{token}/baseline").status_code == 404
    assert site.post(f"/api/v1/projects/other/uploads/{token}/import", json={"text": "post"}).status_code == 404
    with filled.db.read() as session:
        assert session.scalars(select(Import)).all() == []
