"""Who may call what: every route that the OpenAPI document lists, for each kind of person."""

import re
from functools import cache

import pytest
from fastapi.testclient import TestClient

from app.services import accounts
from app.web.main import create_app
from app.web.security import csrf_token

EXPERTS_TOO = {
    ("get", ""),
    ("post", "/next"),
    ("post", "/annotations"),
    ("post", "/skip"),
    ("post", "/undo"),
    ("get", "/rulings"),
}
EXPERTS_TOO |= {("get", "/guideline/versions"), ("get", "/suggestions"), ("post", "/suggestions")}
LABELLERS = {  # experts and nobody else
    *(("get", "/desk"), ("post", "/release"), ("post", "/guideline/seen")),
    *(("get", "/answers"), ("get", "/answers/{assignment_id}"), ("post", "/answers/{assignment_id}")),
    *(("get", "/contrast"), ("post", "/contrast")),
    *(("post", "/contrast/{pair_id}/confirm"), ("post", "/contrast/{pair_id}/revise")),
    *(("get", "/practice/attempt"), ("post", "/practice/answers")),
    *(("get", "/rounds/{number}/votes"), ("post", "/rounds/{number}/votes/{item_id}")),
}
EXPERTS_TOO |= LABELLERS
FILLED = {
    "slug": "ads",
    "deleted": "gone",
    **dict.fromkeys(("suggestion_id", "number", "item_id", "import_id", "webhook_id", "version", "request_id"), "1"),
    **dict.fromkeys(("user_id", "invitation_id", "baseline_id", "run_id", "practice_id"), "1"),
    **dict.fromkeys(("assignment_id", "pair_id", "session_id", "token_id"), "1"),
    "token": "x" * 43,
}
PROJECT = "/api/v1/projects/{slug}"


@cache  # to make the application takes seconds
def routes() -> list[tuple[str, str]]:
    """(method, path) of all that is documented."""
    paths = create_app().openapi()["paths"]
    return [(method, path) for path, methods in paths.items() for method in methods]


def admin_routes() -> list[tuple[str, str]]:
    return [
        (method, path)
        for method, path in routes()
        if path.startswith(PROJECT) and (method, path.removeprefix(PROJECT)) not in EXPERTS_TOO
    ]


def call(client: TestClient, method: str, path: str, **more):
    return client.request(method, re.sub(r"\{(\w+)\}", lambda match: FILLED[match[1]], path), **more)


def test_the_lists_below_are_not_empty():
    assert len(admin_routes()) >= 14
    assert len(routes()) >= 21


@pytest.mark.parametrize(("method", "path"), routes())
def test_without_a_token_nothing_answers(world, method, path):
    for headers in ({}, {"Authorization": "Bearer lc_wrong"}, {"Authorization": "Basic abc"}):
        response = call(world.api(None), method, path, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert response.json()["error"]


@pytest.mark.parametrize(("method", "path"), admin_routes())
def test_an_expert_is_refused_what_admins_do(world, method, path):
    world.open_round()
    response = call(world.api("expert"), method, path)
    assert response.status_code == 403
    assert set(response.json()) == {"error", "detail"}


@pytest.mark.parametrize(("method", "path"), [(m, p) for m, p in routes() if p.startswith(PROJECT)])
def test_to_an_outsider_the_project_does_not_exist(world, method, path):
    world.open_round()
    there = call(world.api("outsider"), method, path)
    nowhere = call(world.api("outsider"), method, path.replace("{slug}", "no-such-project"))
    assert there.status_code == nowhere.status_code == 404
    assert there.json() == nowhere.json()


@pytest.mark.parametrize(("method", "rest"), sorted(LABELLERS))
def test_what_experts_do_is_for_nobody_else(world, method, rest):
    world.open_round()
    for who in ("admin", "site"):
        assert call(world.api(who), method, PROJECT + rest).status_code == 403


@pytest.mark.parametrize("rest", ["/next", "/annotations", "/skip", "/undo"])
def test_an_admin_does_not_label(world, rest):
    world.open_round()
    assert world.api("admin").post(world.path(rest), json={}).status_code == 403


@pytest.mark.parametrize("who", ["admin", "expert", "outsider"])
def test_only_a_site_admin_creates_projects(world, who):
    body = {"name": "New", "labels": ["no", "yes"]}
    assert world.api(who).post("/api/v1/projects", json=body).status_code == 403
    assert world.api("site").post("/api/v1/projects", json=body).status_code == 201


def test_a_browser_needs_the_form_token_and_a_bearer_does_not(world):
    with world.db.write() as session:
        cookie = accounts.start_session(session, world.users["admin"], days=1)
    browser = world.api(None)
    browser.cookies.set("linecall", cookie)
    assert browser.get(world.path("/rounds")).status_code == 200
    assert browser.post(world.path("/rounds")).status_code == 403
    assert browser.post(world.path("/rounds"), headers={"X-CSRF-Token": csrf_token(cookie)}).status_code == 409
    assert world.api("admin").post(world.path("/rounds")).status_code == 409


@pytest.mark.parametrize("slug", ["%00", "Ads", "ads%20", "%ED%A0%80", "a" * 200, "..", "ads;drop"])
def test_an_address_that_no_project_can_have_is_not_found(world, slug):
    assert world.api("admin").get(f"/api/v1/projects/{slug}/rounds").status_code == 404
