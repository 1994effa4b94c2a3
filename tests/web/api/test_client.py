"""The client and the application itself."""

import httpx
import pytest
from fastapi.testclient import TestClient

from app.client import ApiError, Linecall

KEY = "5f0c9d1e7a4b"


@pytest.fixture
def ours(world):
    """A client for one of the world's people, with its requests handed to the application."""

    def make(who: str) -> Linecall:
        def hand_over(request: httpx.Request) -> httpx.Response:
            headers = {**request.headers, "host": "testserver"}
            given = app.request(request.method, request.url.raw_path.decode(), headers=headers, content=request.read())
            plain = {name: value for name, value in given.headers.items() if name != "content-encoding"}
            return httpx.Response(given.status_code, headers=plain, content=given.content)

        return Linecall("http://testserver", world.tokens[who], transport=httpx.MockTransport(hand_over))

    app = TestClient(world.app, raise_server_exceptions=False)
    return make


def test_a_project_from_its_making_to_its_deletion(ours):
    site = ours("site")
    made = site.create_project(name="News", labels=["plain", "loud"], settings={"round_size": 20})
    assert (made["slug"], made["labels"], made["settings"]["round_size"]) == ("news", ["plain", "loud"], 20)
    assert site.change_settings("news", settings={"round_size": 30})["round_size"] == 30
    assert site.apply_file("news", dry_run=True, guideline="# Loud")["dry_run"] is True
    assert [version["text"] for version in site.list_versions("news")] == [""]
    assert site.delete_project("news", confirm="News") is None
    assert [gone["slug"] for gone in site.list_deleted()] == ["news"]
    assert site.undo_deletion("news")["slug"] == "news"


def test_a_file_goes_in(ours, tmp_path):
    path = tmp_path / "ads.csv"
    path.write_text("headline,ref\nOat milk,1\n")
    admin = ours("admin")
    sent = admin.create_import("ads", file=path, mapping={"text": "headline", "id": "ref"}, skip_bad_rows=True)
    assert (sent["filename"], sent["format"], sent["state"]) == ("ads.csv", "csv", "queued")
    assert (sent["mapping"]["text"], sent["skip_bad_rows"]) == ("headline", True)
    assert admin.show_import("ads", sent["id"]) == sent


def test_two_answers_under_one_key_are_one(ours, world):
    world.open_round(4)
    expert = ours("expert")
    task = expert.claim_next("ads")["task"]
    assert task is not None
    answer = {"assignment_id": task["assignment_id"], "label": 1, "key": KEY}
    first, second = expert.annotate("ads", **answer), expert.annotate("ads", **answer)
    assert (first["saved"]["replayed"], second["saved"]["replayed"]) == (False, True)
    assert first["saved"]["annotation_id"] == second["saved"]["annotation_id"]
    assert first["next"]["progress"]["done"] == 1
    assert expert.undo("ads", key=KEY[::-1])["undone"] is True


def test_a_pair_is_seen_and_settled(ours, world):
    world.open_round(3)
    expert = ours("expert")
    for turn in range(2):
        task = expert.claim_next("ads")["task"]
        assert task is not None
        given = expert.annotate("ads", assignment_id=task["assignment_id"], label="benign", key=f"{KEY}-{turn}")
    assert given["next"]["contrast"] is True
    pair = expert.show_pair("ads")["pair"]
    assert pair is not None
    first = pair["sides"][0]["assignment_id"]
    revision = {"assignment_id": first, "label": "clickbait", "reason": "Beside the other.", "key": KEY}
    for _ in range(2):
        assert expert.revise_pair("ads", pair["pair_id"], **revision) == {"waiting": 0}
    assert expert.show_answer("ads", first)["label"] == "clickbait"
    assert [answer["seen_in_pair"] for answer in expert.list_answers("ads", hours=1)] == [True, True]


def test_a_token_makes_another(ours, world):
    made = ours("expert").make_token(name="script", days=1, scopes=["read"])
    world.tokens["script"] = made["token"]
    assert ours("script").show_account()["name"] == "Expert"
    with pytest.raises(ApiError) as refused:
        ours("script").rename_account(name="Somebody else")
    assert refused.value.status == 403


def test_the_export_comes_whole(ours, world, tmp_path):
    world.open_round(4)
    saved = ours("admin").export("ads", format="jsonl").save(tmp_path / "ads.jsonl")
    assert len(saved.read_text().splitlines()) == 4
    with ours("admin").export("ads", format="csv", scope="labelled") as pieces:
        assert b"".join(pieces).count(b"\n") == 1


def test_refusals_come_as_errors(ours):
    with pytest.raises(ApiError) as unknown:
        ours("outsider").show_project("ads")
    with pytest.raises(ApiError) as forbidden:
        ours("expert").start_round("ads")
    with pytest.raises(ApiError) as invalid:
        ours("site").create_project(name="Twice", labels=["a", "a"])
    assert [e.value.status for e in (unknown, forbidden, invalid)] == [404, 403, 422]
    assert invalid.value.detail["field"] == "labels"
