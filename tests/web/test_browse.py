"""The items page and an item's history as viewer, expert and outsider, and over the API."""

import pytest

from app.db.tables import Annotation, Assignment, BoundaryPair, ConsensusLabel, ModelVersion, Project
from app.services import accounts, predictions
from tests.factories import make_items
from tests.services.review_factories import add_round


@pytest.fixture
def told(scene):
    """Two texts that a round has asked about, one of them hostile, and a third that it has not; their ids."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        items = make_items(session, project, ["<script>alert(1)</script> refund", "no refund here", "weather"])
        ids = [item.id for item in items]
        version = ModelVersion(
            project_id=project.id, version=0, kind="prelabel", engine="few_shot", config={}, state="ready"
        )
        session.add(version)
        session.flush()
        scores = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6]]
        predictions.store_predictions(session, version.id, ids, [0, 1, 1], scores)
        round_ = add_round(session, project, ids[:2], overlap=1)
        slot = session.query(Assignment).filter_by(round_id=round_.id, item_id=ids[0]).one()
        slot.state, slot.expert_id = "done", scene.users["expert"]
        common = {"round_id": round_.id, "item_id": ids[0], "assignment_id": slot.id, "label": 1}
        common |= {"expert_id": scene.users["expert"], "guideline_version_id": round_.guideline_version_id}
        session.add(Annotation(kind="blind", idempotency_key="k", note="an <i>offer</i>", **common))
        session.add(
            ConsensusLabel(
                round_id=round_.id,
                item_id=ids[0],
                label=1,
                source="adjudicated",
                votes=1,
                reason="clause 2",
                decided_by_id=scene.users["admin"],
            )
        )
        session.add(
            BoundaryPair(
                round_id=round_.id,
                rank=0,
                left_item_id=ids[0],
                right_item_id=ids[1],
                left_label=0,
                right_label=1,
                similarity=0.87,
                left_cluster=0,
                right_cluster=0,
            )
        )
    return ids


def test_a_reader_finds_items_and_reads_a_history(scene, told):
    browser = scene.browser("admin")
    page = browser.get(scene.path("/pool/items")).text
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page
    assert "3 items, as imported" in page
    assert "weather" not in browser.get(scene.path("/pool/items?q=refund")).text
    unsure = browser.get(scene.path("/pool/items?label=1")).text
    assert unsure.index("weather") < unsure.index("no refund here")
    assert "Nothing fits" in browser.get(scene.path("/pool/items?q=absent")).text
    item = browser.get(scene.path(f"/pool/items/{told[0]}")).text
    for said in ("an &lt;i&gt;offer&lt;/i&gt;", "clause 2", "no refund here", "similarity 0.87", "by Admin", "0.900"):
        assert said in item
    assert "a threshold of its own" not in item
    assert "no expert has seen it" in browser.get(scene.path(f"/pool/items/{told[2]}")).text


def test_a_label_that_is_not_the_one_of_the_highest_score_is_explained(scene, told):
    with scene.db.write() as session:
        facts = {"kind": "trained", "engine": "linear", "config": {}, "state": "ready"}
        version = ModelVersion(project_id=scene.project_id, version=1, **facts)
        session.add(version)
        session.flush()
        predictions.store_predictions(session, version.id, told[:1], [1], [[0.64, 0.36]])
    item = scene.browser("admin").get(scene.path(f"/pool/items/{told[0]}")).text
    assert f'from a threshold of its own on, which need not be 0.5: <a href="{scene.path("/models/1")}">' in item


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("low=much", "not a number"),
        ("q=!!", "Search for a word"),
        ("version=9", "no such model version"),
        ("after=x", "not where a page ended"),
        ("round=99999999999", "out of range"),
        ("low=nan", "out of range"),
    ],
)
def test_a_filter_that_cannot_be_is_said_and_stays_in_the_form(scene, told, query, problem):
    response = scene.browser("admin").get(scene.path(f"/pool/items?{query}"))
    assert response.status_code == 422
    assert problem in response.text


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, told, who, status):
    for path in ("/pool/items", f"/pool/items/{told[0]}"):
        assert scene.browser(who).get(scene.path(path)).status_code == status


def test_another_project_s_item_is_not_shown(scene, told):
    with scene.db.write() as session:
        other = accounts.create_user(session, email="o@example.org", name="O")
        from tests.factories import make_project

        stranger = make_items(session, make_project(session, admin=other), 1)[0].id
    assert scene.browser("admin").get(scene.path(f"/pool/items/{stranger}")).status_code == 404


def test_the_api_says_the_same(scene, told):
    browser = scene.browser("admin")
    base = f"/api/v1/projects/{scene.slug}/items"
    found = browser.get(f"{base}/search?label=clickbait&order=sure&limit=1").json()
    assert [item["id"] for item in found["items"]] == [told[1]]
    more = browser.get(f"{base}/search", params={"label": "clickbait", "order": "sure", "after": found["next"]}).json()
    assert [item["id"] for item in more["items"]] == [told[2]]
    history = browser.get(f"{base}/{told[0]}").json()
    assert history["rounds"][0]["answers"][0]["expert"] == "Expert"
    assert history["rounds"][0]["pairs"][0]["their_label"] == 1
    assert browser.get(f"{base}/search?label=nothing").status_code == 422
