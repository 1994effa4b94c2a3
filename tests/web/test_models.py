"""The registry's pages and API: figures, files, trying a model, using it again."""

import io
import json
import threading
import time
import zipfile

import pytest
from sqlalchemy import func, select

from app.db.tables import ModelVersion, PredictRequest, Project, Round
from app.ml.artifacts import ArtifactStore
from app.services import accounts, predict_requests
from tests.factories import make_project
from tests.services.alignment_factories import make_history


@pytest.fixture
def told(scene, settings):
    """Two finished rounds; both models have seen one label only, which is the smallest file that can be loaded."""
    history = make_history(scene.db, rounds=2, admin=scene.users["admin"])
    store = ArtifactStore(settings.resolved_artifacts_url)
    with scene.db.write() as session:
        for version in session.scalars(select(ModelVersion).where(ModelVersion.kind == "trained")):
            version.artifact_key, version.metrics = f"models/{version.version}", {"constant_label": 1}
            about = {"kind": "constant", "threshold": None, "metrics": {"constant_label": 1}}
            store.put_bytes(f"models/{version.version}/fitted.json", json.dumps(about).encode())
        session.get_one(Project, history.project_id).name = "Ads <b>x</b>"
        newest = session.scalars(select(Round).where(Round.number == 2)).one()
        newest.base_model_id = session.scalars(select(ModelVersion.id).where(ModelVersion.version == 1)).one()
    return history


def answer(db):
    """What a worker does."""
    with db.write() as session:
        claimed = predict_requests.claim(session)
        assert claimed is not None
        said = [{"label": 1, "scores": [0.25, 0.75]}] * len(claimed.texts)
        predict_requests.finish(session, claimed.id, said)


def test_the_list_and_the_page_say_where_a_version_comes_from_and_how_good_it_is(scene, told):
    browser = scene.browser("admin")
    listed = browser.get(f"/p/{told.slug}/models").text
    page = browser.get(f"/p/{told.slug}/models/2").text
    kappa = told.kappa(2, 2, "evaluation")
    for text in (listed, page):
        assert f"{kappa.value:.2f}" in text
        assert f"n = {kappa.n}" in text
        assert f'href="/p/{told.slug}/models/1"' in text
        assert "<b>x</b>" not in text
    assert browser.get(f"/p/{told.slug}/models/9").status_code == 404
    assert "files.zip" not in browser.get(f"/p/{told.slug}/models/0").text, "a pre-labeller has no files"


def test_an_undefined_figure_is_said(scene):
    history = make_history(scene.db, rounds=1, undefined_control="Too few items.", admin=scene.users["admin"])
    for path in ("/models", "/models/1"):
        assert "Too few items." in scene.browser("admin").get(f"/p/{history.slug}{path}").text


def test_without_a_model_the_list_says_what_makes_one(scene):
    assert "No model yet" in scene.browser("admin").get(scene.path("/models")).text


@pytest.mark.parametrize("path", ["/p/{}/models/2/files.zip", "/api/v1/projects/{}/models/2/files"])
def test_the_zip_holds_card_and_script_under_one_folder(scene, told, path):
    sent = scene.browser("admin").get(path.format(told.slug))
    assert sent.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        assert {"README.md", "predict.py", "linecall.json"} <= names
        assert archive.testzip() is None
    card = scene.browser("admin").get(f"/p/{told.slug}/models/2/card.md").text
    assert "model version 2" in card


def test_texts_are_tried_and_the_page_asks_until_they_are_answered(scene, told):
    browser, path = scene.browser("admin"), f"/p/{told.slug}/models/2"
    assert browser.post(f"{path}/try", {"texts": "a <i>\n\nanother"}).status_code == 303
    assert "hx-trigger" in browser.get(path, headers={"HX-Request": "true"}).text
    answer(scene.db)
    fragment = browser.get(path, headers={"HX-Request": "true"}).text
    assert "<html" not in fragment
    assert "hx-trigger" not in fragment
    assert "a &lt;i&gt;" in fragment
    assert "0.25 / 0.75" in fragment


def test_no_text_is_refused_beside_the_field(scene, told):
    refused = scene.browser("admin").post(f"/p/{told.slug}/models/2/try", {"texts": " \n"})
    assert refused.status_code == 422
    assert "Give at least one text." in refused.text


def test_a_round_mines_the_version_that_was_chosen(scene, told):
    started = scene.browser("admin").post(f"/p/{told.slug}/models/1/round")
    assert started.headers["location"] == f"/p/{told.slug}/rounds/3"
    with scene.db.read() as session:
        base_id = session.scalars(select(Round.base_model_id).where(Round.number == 3)).one()
        assert session.get_one(ModelVersion, base_id).version == 1


def test_it_becomes_the_pre_labeller_of_a_project_of_ones_own_only(scene, told):
    with scene.db.write() as session:
        mine = make_project(session, admin=session.get_one(accounts.User, scene.users["admin"]))
        foreign = make_project(session)
        slug, project_id, other = mine.slug, mine.id, foreign.slug
    browser = scene.browser("admin")
    assert f'<option value="{slug}"' in browser.get(f"/p/{told.slug}/models/2").text
    assert browser.post(f"/p/{told.slug}/models/2/prelabel", {"target": other}).status_code == 409
    assert browser.post(f"/p/{told.slug}/models/2/prelabel", {"target": slug}).status_code == 303
    with scene.db.read() as session:
        chosen = session.get_one(Project, project_id).settings["prelabel"]
    assert chosen == {"provider": "model", "project": told.slug, "version": 2}


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not_see_them(scene, who, status):
    for path in ("/models", "/models/1", "/models/1/card.md", "/models/1/files.zip"):
        assert scene.browser(who).get(scene.path(path)).status_code == status


# --- by API --------------------------------------------------------------------------------------------------------


def test_the_api_lists_what_the_page_shows_and_no_address_in_the_store(scene, told):
    listed = scene.browser("admin").get(f"/api/v1/projects/{told.slug}/models").json()
    assert [line["version"] for line in listed] == [2, 1, 0]
    assert listed[0]["evaluation"]["kappa"]["n"] == told.kappa(2, 2, "evaluation").n
    assert "artifact_key" not in listed[0]


def test_a_request_that_is_not_answered_in_time_is_asked_for_again(scene, told):
    browser = scene.browser("admin")
    asked = browser.post_json(f"/api/v1/projects/{told.slug}/predict?wait=0", {"texts": ["one", "two"]})
    assert asked.status_code == 202
    assert asked.json()["state"] == "queued"
    answer(scene.db)
    found = browser.get(asked.headers["location"]).json()
    assert found["version"] == 2
    assert found["answers"][1] == {"label": "clickbait", "score": 0.75, "scores": {"benign": 0.25, "clickbait": 0.75}}


def test_a_request_that_waits_brings_the_answers_and_leaves_no_text_behind(scene, told):
    def work():
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with scene.db.read() as session:
                if predict_requests.is_waiting(session):
                    break
            time.sleep(0.01)
        answer(scene.db)

    worker = threading.Thread(target=work)
    worker.start()
    got = scene.browser("admin").post_json(f"/api/v1/projects/{told.slug}/predict?wait=20", {"texts": ["one"]})
    worker.join()
    assert (got.status_code, got.json()["state"]) == (200, "done")
    with scene.db.read() as session:
        assert session.scalar(select(func.count()).select_from(PredictRequest)) == 0


@pytest.mark.parametrize(
    ("body", "status"),
    [({"texts": []}, 422), ({"texts": [" "]}, 422), ({"texts": ["x"], "version": 0}, 409),
     ({"texts": ["x"], "version": 9}, 404), ({"texts": ["x"] * 101}, 422), ({"texts": [1]}, 422)],
)  # fmt: skip
def test_what_can_not_be_labelled_is_refused(scene, told, body, status):
    answered = scene.browser("admin").post_json(f"/api/v1/projects/{told.slug}/predict?wait=0", body)
    assert answered.status_code == status
    assert answered.json()["error"]
