"""Projects, the pool and imports by API."""

import json

import pytest

from app.db.tables import AuditEvent, Project
from app.ml.artifacts import ArtifactStore
from app.services import pool
from tests.factories import make_items

NEW = {
    "name": "Clickbait ads",
    "labels": ["fine", "clickbait"],
    "guideline": "An ad is **clickbait** if it hides what it sells.",
    "examples": {"fine": ["Oat milk"], "clickbait": ["You won't believe"]},
    "settings": {"overlap": 3, "prelabel": {"provider": "few_shot", "scale": 10}},
}


def test_a_project_is_created_whole_and_its_maker_is_its_admin(world):
    made = world.api("site").post("/api/v1/projects", json=NEW)
    assert made.status_code == 201
    again = world.api("site").get("/api/v1/projects/clickbait-ads")
    assert again.json() == made.json()
    assert made.json()["role"] == "admin"
    assert made.json()["settings"]["overlap"] == 3
    assert made.json()["settings"]["round_size"] == 100
    assert made.json()["guideline"] == {"version": 1, "text": NEW["guideline"], "examples": NEW["examples"]}
    with world.db.read() as session:
        events = session.query(AuditEvent).filter_by(action="project.created").all()
    assert [event.user_id for event in events] == [world.users["site"]]


def test_a_second_project_of_the_name_gets_an_address_of_its_own(world):
    slugs = [world.api("site").post("/api/v1/projects", json=NEW).json()["slug"] for _ in range(2)]
    assert slugs == ["clickbait-ads", "clickbait-ads-2"]


def test_everybody_sees_their_own_projects_and_role(world):
    listed = {who: world.api(who).get("/api/v1/projects").json() for who in ("site", "admin", "expert", "outsider")}
    roles = {who: [(line["slug"], line["role"]) for line in lines] for who, lines in listed.items()}
    assert roles == {
        "site": [("ads", "admin")],
        "admin": [("ads", "admin")],
        "expert": [("ads", "expert")],
        "outsider": [],
    }


def test_an_expert_reads_the_guideline_but_not_the_settings(world):
    seen = world.api("expert").get(world.path()).json()
    assert seen["guideline"]["text"] == "Label what the text is."
    assert seen["settings"] is None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"labels": ["one"]}, "labels"),
        ({"labels": ["same", "SAME "]}, "labels"),
        ({"name": "  "}, "name"),
        ({"examples": {"other": ["x"]}}, "examples"),
        ({"settings": {"overlap": 0}}, "overlap"),
        ({"settings": {"overlapp": 2}}, "overlapp"),
        ({"settings": {"lease_minutes": 10**15}}, "lease_minutes"),
        ({"settings": {"prelabel": {"provider": "oracle"}}}, "provider"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_project_is_refused_with_its_field_and_not_stored(world, change, says):
    refused = world.api("site").post("/api/v1/projects", json=NEW | change)
    assert refused.status_code == 422
    assert says in json.dumps(refused.json()["detail"])
    with world.db.read() as session:
        assert session.query(Project).count() == 1


def test_the_pool_is_read_page_by_page_without_gap_or_repeat(world):
    with world.db.write() as session:
        make_items(session, session.get_one(Project, world.project_id), 25)
    api, seen, after = world.api("admin"), [], -1
    while after is not None:
        page = api.get(world.path("/items"), params={"after": after, "limit": 10}).json()
        seen += [item["ordinal"] for item in page["items"]]
        after = page["next_after"]
    assert seen == list(range(25))
    whole = api.get(world.path("/items"), params={"limit": 25}).json()
    assert whole["next_after"] is None
    assert whole["items"][3]["text"] == "text number 3"


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=-2", "after=99999999999999999999", "after=x"])
def test_a_page_that_cannot_be_is_refused(world, query):
    assert world.api("admin").get(world.path(f"/items?{query}")).status_code == 422


def upload(world, content: bytes, mapping, *, name="ads.csv", **more):
    files = {"file": (name, content)}
    return world.api("admin").post(world.path("/imports"), files=files, data={"mapping": mapping, **more})


def test_a_file_is_uploaded_imported_and_its_items_are_in_the_pool(world, settings):
    content = b"ref,headline,source\n1,Oat milk,shop\n2,Oat milk,shop\n3,You won't believe,blog\n"
    queued = upload(world, content, '{"text": "headline", "id": "ref", "meta": ["source"]}')
    assert queued.status_code == 202
    assert (queued.json()["state"], queued.json()["format"], queued.json()["rows_total"]) == ("queued", "csv", None)
    store = ArtifactStore(settings.resolved_artifacts_url)
    pool.run_import(world.db, store, queued.json()["id"])  # what a worker does
    done = world.api("admin").get(world.path(f"/imports/{queued.json()['id']}")).json()
    assert (done["state"], done["rows_added"], done["rows_duplicate"]) == ("done", 2, 1)
    items = world.api("admin").get(world.path("/items")).json()["items"]
    assert [(item["external_id"], item["text"], item["meta"]) for item in items] == [
        ("1", "Oat milk", {"source": "shop"}),
        ("3", "You won't believe", {"source": "blog"}),
    ]


def test_the_state_of_a_failed_import_names_the_rows(world, settings):
    queued = upload(world, b'{"text": "good"}\n{"text": ""}\n', '{"text": "text"}', name="x.jsonl").json()
    pool.run_import(world.db, ArtifactStore(settings.resolved_artifacts_url), queued["id"])
    failed = world.api("admin").get(world.path(f"/imports/{queued['id']}")).json()
    assert failed["state"] == "failed"
    assert failed["errors"] == [{"row": 2, "field": "text", "message": "The text is empty."}]


@pytest.mark.parametrize("mapping", ["", "{", "[]", "{}", '{"text": ""}', '{"text": 3}', '{"text": "a", "no": 1}'])
def test_a_mapping_that_cannot_be_is_refused(world, mapping):
    refused = upload(world, b"text\nhello\n", mapping)
    assert refused.status_code == 422
    assert refused.json()["detail"]["problems"]


def test_an_empty_and_a_too_large_file_are_refused(world, settings):
    assert upload(world, b"", '{"text": "text"}').status_code == 422
    world.app.state.settings = settings.model_copy(update={"max_upload_mb": 0})
    assert upload(world, b"text\nhello\n", '{"text": "text"}').status_code == 413


def test_another_projects_import_is_not_found(world):
    queued = upload(world, b"text\nhello\n", '{"text": "text"}').json()
    other = world.api("site").post("/api/v1/projects", json=NEW).json()["slug"]
    assert world.api("site").get(f"/api/v1/projects/{other}/imports/{queued['id']}").status_code == 404


def test_alignment_before_any_round_has_no_figures(world):
    report = world.api("admin").get(world.path("/alignment")).json()
    assert report["round_number"] is None
    assert report["points"] == []
    assert report["label_names"] == ["benign", "clickbait"]
