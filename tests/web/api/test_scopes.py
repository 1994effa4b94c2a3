"""What a token that is limited may do: every route that the OpenAPI document lists."""

from datetime import timedelta

import pytest
from fastapi.testclient import TestClient

from app.db.base import utcnow
from app.db.tables import ApiToken
from app.services import accounts
from tests.web.api.test_access import LABELLERS, PROJECT, call, routes

LABELLING = {f"{PROJECT}/{name}" for name in ("next", "annotations", "skip", "undo")}
LABELLING |= {PROJECT + rest for method, rest in LABELLERS if method == "post"}
LACKS = "This token may not do that: it lacks '{}'."


def limited(world, who: str, *scopes: str, **more) -> TestClient:
    with world.db.write() as session:
        token, _ = accounts.create_api_token(session, world.users[who], "limited", scopes=scopes, **more)
    return TestClient(world.app, headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False)


def wanted(method: str, path: str) -> str:
    if method == "get" or path.endswith("/predict"):  # which changes nothing of the project
        return "read"
    return "label" if path in LABELLING else "manage"


@pytest.mark.parametrize(("method", "path"), routes())
def test_a_token_without_the_scope_of_a_route_is_refused_and_one_with_it_is_not(world, method, path):
    world.open_round()
    needs = wanted(method, path)
    others = [scope for scope in accounts.SCOPES if scope != needs]
    who = "expert" if needs == "label" else "site"
    refused = call(limited(world, who, *others), method, path)
    assert (refused.status_code, refused.json()["error"]) == (403, LACKS.format(needs))
    assert refused.json()["detail"] == {"scope": needs}
    allowed = call(limited(world, who, needs), method, path)
    assert "This token may not" not in allowed.text


def test_every_route_of_the_api_is_documented_so_that_the_test_above_meets_it(world):
    paths = {getattr(route, "path", "") for route in _all_routes(world.app)}
    assert {path for path in paths if path.startswith("/api/v1")} == {path for _, path in routes()}


def _all_routes(app):
    from fastapi.routing import iter_route_contexts

    return list(iter_route_contexts(app.routes))


@pytest.mark.parametrize("path", ["/account", "/p/ads/people", "/"])
def test_a_limited_token_opens_no_page(world, path):
    for scopes in (("read",), accounts.SCOPES):
        assert limited(world, "admin", *scopes).get(path, follow_redirects=False).status_code == 403
    assert world.api("admin").get(path, follow_redirects=False).status_code in (200, 303)


def test_a_limited_token_makes_no_token_that_is_not(world):
    client = limited(world, "admin", "read", "manage")
    assert client.post("/account/tokens", data={"token_name": "more"}).status_code == 403


def test_a_token_of_the_time_before_scopes_may_do_all(world):
    with world.db.read() as session:
        assert session.query(ApiToken).first().scopes == []
    assert world.api("site").post("/api/v1/projects", json={"name": "New", "labels": ["no", "yes"]}).status_code == 201


def test_an_expired_token_is_not_valid(world):
    client = limited(world, "admin", days=1, now=utcnow() - timedelta(days=2))
    assert client.get("/api/v1/projects").status_code == 401


def test_a_request_notes_that_the_token_was_used(world):
    client = limited(world, "admin", "read")
    assert client.get("/api/v1/projects").status_code == 200
    with world.db.read() as session:
        noted = session.query(ApiToken).filter_by(name="limited").one().last_used_at
    assert utcnow() - noted < timedelta(minutes=1)
    assert client.get("/api/v1/projects").status_code == 200
    with world.db.read() as session:
        assert session.query(ApiToken).filter_by(name="limited").one().last_used_at == noted


def test_a_made_up_token_does_not_make_the_server_take_a_large_upload(world):
    files = {"file": ("a.csv", b"text\n" + b"x" * 400_000)}
    for headers in ({"Authorization": "Bearer lc_wrong"}, {"Cookie": "linecall=wrong"}):
        response = world.api(None).post(world.path("/imports"), files=files, headers=headers)
        assert response.status_code == 413
    mapping = {"mapping": '{"text": "text"}'}
    assert world.api("admin").post(world.path("/imports"), files=files, data=mapping).status_code == 202
