"""What is sent, what is sent again, and what an error says."""

import json

import httpx
import pytest

from app.client import (
    ApiError,
    Linecall,
    Stopped,
    wait_for_baseline,
    wait_for_dry_run,
    wait_for_import,
    wait_for_round,
)

KEY = "5f0c9d1e7a4b"


class Server:
    """Answers each request with the next of ``answers``: a response, or an error to raise."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers, self.requests = list(answers), []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def pauses(monkeypatch):
    taken = []
    monkeypatch.setattr("time.sleep", taken.append)
    return taken


def client(server: Server, **options) -> Linecall:
    return Linecall("https://linecall.example.org", "lc_secret", transport=httpx.MockTransport(server), **options)


def test_a_call_names_the_token_the_address_and_what_it_was_given():
    server = Server(httpx.Response(200, json={"items": [], "next_after": None}))
    assert client(server).list_items("ads", limit=7) == {"items": [], "next_after": None}
    (request,) = server.requests
    assert request.headers["Authorization"] == "Bearer lc_secret"
    assert str(request.url) == "https://linecall.example.org/api/v1/projects/ads/items?after=-1&limit=7"


def test_what_is_left_out_is_not_sent():
    server = Server(httpx.Response(200, json={}), httpx.Response(200, json={}))
    ours = client(server)
    ours.list_audit("ads")
    ours.change_settings("ads", name="New")
    assert server.requests[0].url.query == b"search=&limit=100"
    assert json.loads(server.requests[1].content) == {"name": "New"}


def test_a_body_may_have_a_field_that_is_called_as_a_part_of_the_path():
    server = Server(httpx.Response(200, json={}))
    client(server).apply_file("ads", dry_run=True, slug="ads", name="Ads")
    assert str(server.requests[0].url).endswith("/projects/ads/file?dry_run=true")
    assert json.loads(server.requests[0].content) == {"slug": "ads", "name": "Ads"}


def test_no_slug_leads_elsewhere():
    server = Server(httpx.Response(404, json={"error": "There is no such project.", "detail": {}}))
    with pytest.raises(ApiError):
        client(server).show_project("../ads?x=1")
    assert server.requests[0].url.raw_path == b"/api/v1/projects/..%2Fads%3Fx%3D1"


def test_an_error_says_what_the_api_said():
    said = {"error": "Two labels have the same name.", "detail": {"field": "labels"}}
    with pytest.raises(ApiError, match="Two labels have the same name") as caught:
        client(Server(httpx.Response(422, json=said))).create_project(name="Ads", labels=["a", "a"])
    assert (caught.value.status, caught.value.error, caught.value.detail) == (422, said["error"], said["detail"])


@pytest.mark.parametrize("content", ["<html>", "[]", '{"error": 1}', ""])
def test_an_error_of_something_between_is_an_error_too(content):
    with pytest.raises(ApiError, match="502: The server answered Bad Gateway") as caught:
        client(Server(httpx.Response(502, text=content))).list_projects()
    assert caught.value.detail is None


def test_a_redirect_is_not_followed_with_the_token():
    server = Server(httpx.Response(307, headers={"Location": "https://elsewhere.example.org/"}))
    with pytest.raises(ApiError, match="307"):
        client(server).list_projects()
    assert len(server.requests) == 1


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.Response(429), httpx.Response(503)])
def test_reading_is_tried_again_with_longer_pauses(pauses, failure):
    server = Server(failure, failure, httpx.Response(200, json=[]))
    assert client(server, pause=0.5).list_projects() == []
    assert pauses == [0.5, 1.0]


def test_an_answer_with_a_key_is_tried_again_and_is_the_same_request(pauses):
    server = Server(httpx.ReadTimeout("slow"), httpx.Response(200, json={"saved": {}, "next": {}}))
    client(server).annotate("ads", assignment_id=1, label="fine", key=KEY)
    first, second = (json.loads(request.content) for request in server.requests)
    assert first == second == {"assignment_id": 1, "label": "fine", "key": KEY}


@pytest.mark.parametrize(
    "call",
    [
        lambda ours: ours.start_round("ads"),
        lambda ours: ours.create_project(name="Ads", labels=["a", "b"]),
        lambda ours: ours.claim_next("ads"),
        lambda ours: ours.skip("ads", assignment_id=1),
        lambda ours: ours.delete_project("ads", confirm="Ads"),
        lambda ours: ours.start_baseline("ads", "0" * 32, match="id", key="ref", label="verdict"),
        lambda ours: ours.create_import("ads", file=("a.csv", b"t\nx\n"), mapping={"text": "t"}),
    ],
)
def test_nothing_else_is_sent_twice(pauses, call):
    busy, lost = Server(httpx.Response(503)), Server(httpx.ConnectError("refused"))
    with pytest.raises(ApiError, match="503"):
        call(client(busy))
    with pytest.raises(httpx.ConnectError):
        call(client(lost))
    assert (len(busy.requests), len(lost.requests), pauses) == (1, 1, [])


def test_it_gives_up_in_the_end(pauses):
    with pytest.raises(httpx.ConnectError):
        client(Server(*[httpx.ConnectError("refused")] * 3), attempts=3).list_projects()
    assert len(pauses) == 2


@pytest.mark.parametrize(("asked", "paused"), [("3", 3.0), ("9999", 30.0), ("Mon, 30 Nov 2026 07:00:00 GMT", 0.5)])
def test_it_waits_as_long_as_it_is_asked_to_but_not_for_ever(pauses, asked, paused):
    server = Server(httpx.Response(429, headers={"Retry-After": asked}), httpx.Response(200, json=[]))
    client(server).list_projects()
    assert pauses == [paused]


def test_a_download_that_breaks_off_leaves_the_file_as_it_was(tmp_path):
    class Broken(httpx.SyncByteStream):
        def __iter__(self):
            yield b"half"
            raise httpx.ReadError("gone")

    (tmp_path / "ads.jsonl").write_bytes(b"older")
    with pytest.raises(httpx.ReadError):
        client(Server(httpx.Response(200, stream=Broken()))).export("ads").save(tmp_path / "ads.jsonl")
    assert [path.name for path in tmp_path.iterdir()] == ["ads.jsonl"]
    assert (tmp_path / "ads.jsonl").read_bytes() == b"older"


def test_a_download_that_is_refused_says_why(tmp_path):
    said = {"error": "Only admins may export.", "detail": {}}
    with pytest.raises(ApiError, match="Only admins may export"):
        client(Server(httpx.Response(403, json=said))).export("ads").save(tmp_path / "ads.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_waiting_ends_when_it_is_done(pauses):
    states = [httpx.Response(200, json={"state": state, "errors": []}) for state in ("queued", "running", "done")]
    assert wait_for_import(client(Server(*states)), "ads", 1, every=0.2)["state"] == "done"
    assert pauses == [0.2, 0.2]


def test_waiting_for_an_import_that_fails_says_why():
    failed = {"state": "failed", "errors": [{"row": 3, "field": "text", "message": "Row 3 has no text."}]}
    with pytest.raises(Stopped, match=r"Row 3 has no text\.") as caught:
        wait_for_import(client(Server(httpx.Response(200, json=failed))), "ads", 1)
    assert caught.value.last == failed


def test_waiting_for_a_baseline_that_fails_says_why_and_not_what_was_wrong_with_a_row():
    problems = [
        {"row": 3, "field": "ref", "message": "No item."},
        {"row": None, "field": None, "message": "No column."},
    ]
    failed = {"state": "failed", "errors": problems}
    with pytest.raises(Stopped, match=r"No column\."):
        wait_for_baseline(client(Server(httpx.Response(200, json=failed))), "ads", 1)


def test_waiting_for_a_dry_run_ends_either_way(pauses):
    states = [httpx.Response(200, json={"state": state, "error": None}) for state in ("queued", "done")]
    assert wait_for_dry_run(client(Server(*states)), "ads", 1, every=0.2)["state"] == "done"
    assert pauses == [0.2]
    failed = {"state": "failed", "error": "The model's server is gone."}
    with pytest.raises(Stopped, match="server is gone"):
        wait_for_dry_run(client(Server(httpx.Response(200, json=failed))), "ads", 1)


def test_a_list_that_is_left_out_is_not_sent_and_one_that_is_given_is_sent_whole():
    server = Server(httpx.Response(200, json={}), httpx.Response(200, json={}))
    ours = client(server)
    ours.show_affected("ads")
    ours.show_affected("ads", labels=["fine", "click bait"], item_ids=[1, 2])
    assert server.requests[0].url.query == b""
    assert server.requests[1].url.query == b"labels=fine&labels=click+bait&item_ids=1&item_ids=2"


@pytest.mark.parametrize("state", ["failed", "cancelled", "done"])
def test_waiting_for_a_round_that_ends_otherwise_stops(state):
    seen = {"state": state, "error": "The model's server is gone." if state == "failed" else None}
    with pytest.raises(Stopped, match="server is gone" if state == "failed" else f"Round 1 is {state}"):
        wait_for_round(client(Server(httpx.Response(200, json=seen))), "ads", 1, "review")


def test_waiting_has_an_end(pauses):
    with pytest.raises(TimeoutError, match="After 0 s round 1 is still preparing"):
        wait_for_round(client(Server(httpx.Response(200, json={"state": "preparing"}))), "ads", 1, seconds=0)
