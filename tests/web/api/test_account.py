"""One's own account by API, and how far a token gets with it."""

import pytest
from sqlalchemy import select

from app.db.tables import ApiToken, AuditEvent, User
from app.services import accounts, invitations
from app.web.security import csrf_token
from tests.web.api.test_scopes import limited

ACCOUNT = "/api/v1/account"


def test_the_name_changes(world):
    api = world.api("expert")
    shown = api.get(ACCOUNT).json()
    assert (shown["name"], shown["email"], shown["has_password"]) == ("Expert", "expert@example.org", False)
    assert api.post(f"{ACCOUNT}/name", json={"name": "  Grace   Hopper "}).json()["name"] == "Grace Hopper"
    assert api.get(ACCOUNT).json()["name"] == "Grace Hopper"
    assert api.post(f"{ACCOUNT}/name", json={"name": " "}).json()["detail"] == {"field": "name"}
    assert world.api("second").get(ACCOUNT).json()["name"] == "Second"


def test_preferences_change_one_by_one(world):
    api = world.api("expert")
    first = api.post(f"{ACCOUNT}/preferences", json={"language": "de", "keys": {"skip": "x"}}).json()
    assert (first["language"], first["keys"]["skip"], first["break_minutes"]) == ("de", "x", 45)
    second = api.post(f"{ACCOUNT}/preferences", json={"break_minutes": 0}).json()
    assert second == first | {"break_minutes": 0}
    assert api.get(ACCOUNT).json()["preferences"] == second
    for wrong, field in (({"language": "xx"}, "language"), ({"keys": {"skip": "u"}}, "keys")):
        refused = api.post(f"{ACCOUNT}/preferences", json={"swipe": True} | wrong)
        assert (refused.status_code, refused.json()["detail"]) == (422, {"field": field})
    assert api.get(ACCOUNT).json()["preferences"] == second
    assert api.post(f"{ACCOUNT}/preferences", json={"language": None}).json()["language"] is None


def test_browsers_are_listed_and_signed_out(world):
    with world.db.write() as session:
        cookies = [accounts.start_session(session, world.users["expert"], days=1, user_agent=f"B{n}") for n in range(3)]
        accounts.start_session(session, world.users["second"], days=1)
    api = world.api("expert")
    listed = api.get(f"{ACCOUNT}/sessions").json()
    assert sorted((row["browser"], row["current"]) for row in listed) == [(f"B{n}", False) for n in range(3)]
    left = api.post(f"{ACCOUNT}/sessions/{listed[0]['id']}/revoke").json()
    assert left == listed[1:]
    assert api.post(f"{ACCOUNT}/sessions/{listed[0]['id']}/revoke").status_code == 404
    theirs = world.api("second").get(f"{ACCOUNT}/sessions").json()[0]["id"]
    assert api.post(f"{ACCOUNT}/sessions/{theirs}/revoke").status_code == 404
    assert api.post(f"{ACCOUNT}/sessions/revoke-others").json() == {"ended": 2}
    with world.db.read() as session:
        assert [accounts.resolve_session(session, cookie) for cookie in cookies] == [None] * 3
    assert len(world.api("second").get(f"{ACCOUNT}/sessions").json()) == 1


def test_a_browser_is_the_current_one_and_stays(world):
    with world.db.write() as session:
        here, _there = (accounts.start_session(session, world.users["expert"], days=1) for _ in range(2))
    browser = world.api(None)
    browser.cookies.set("linecall", here)
    assert [row["current"] for row in browser.get(f"{ACCOUNT}/sessions").json()].count(True) == 1
    ended = browser.post(f"{ACCOUNT}/sessions/revoke-others", headers={"X-CSRF-Token": csrf_token(here)})
    assert ended.json() == {"ended": 1}
    assert browser.get(ACCOUNT).status_code == 200


def test_a_token_is_made_used_and_revoked(world):
    api = world.api("expert")
    made = api.post(f"{ACCOUNT}/tokens", json={"name": "script", "days": 30, "scopes": ["label", "read"]})
    assert made.status_code == 201
    token, row = made.json()["token"], made.json()
    assert (row["scopes"], row["hint"]) == (["read", "label"], token[:8])
    shown = api.get(f"{ACCOUNT}/tokens")
    assert token not in shown.text
    assert [one["name"] for one in shown.json()] == ["script", "test"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert world.api(None).get(ACCOUNT, headers=bearer).status_code == 200
    assert [one["name"] for one in api.post(f"{ACCOUNT}/tokens/{row['id']}/revoke").json()] == ["test"]
    assert world.api(None).get(ACCOUNT, headers=bearer).status_code == 401


def test_nobody_revokes_a_colleagues_token(world):
    theirs = world.api("second").get(f"{ACCOUNT}/tokens").json()[0]["id"]
    assert world.api("expert").post(f"{ACCOUNT}/tokens/{theirs}/revoke").status_code == 404
    assert world.api("second").get(ACCOUNT).status_code == 200


def test_a_token_makes_none_that_is_more_than_itself(world):
    client = limited(world, "admin", "read", "manage", days=7)
    with world.db.read() as session:
        asking = session.scalars(select(ApiToken).where(ApiToken.name == "limited")).one()
    for body in ({"days": None}, {"days": 3650}, {}, {"scopes": ["manage", "read"]}):
        made = client.post(f"{ACCOUNT}/tokens", json={"name": "more"} | body).json()
        assert (made["scopes"], made["made_by_id"]) == (["read", "manage"], asking.id)
        with world.db.read() as session:
            assert session.get_one(ApiToken, made["id"]).expires_at == asking.expires_at
    assert client.post(f"{ACCOUNT}/tokens", json={"name": "less", "scopes": ["read"]}).json()["scopes"] == ["read"]
    refused = client.post(f"{ACCOUNT}/tokens", json={"name": "more", "scopes": ["read", "label"]})
    assert (refused.status_code, refused.json()["detail"]) == (403, {"field": "scopes"})
    reader = limited(world, "admin", "read")
    assert reader.post(f"{ACCOUNT}/tokens", json={"name": "more"}).status_code == 403
    left = world.api("admin").post(f"{ACCOUNT}/tokens/{asking.id}/revoke").json()
    assert "more" not in {row["name"] for row in left}
    with world.db.read() as session:
        event = session.scalars(select(AuditEvent).where(AuditEvent.action == "api_token.revoked")).one()
        made = session.scalars(select(ApiToken.id).where(ApiToken.made_by_id == asking.id).order_by(ApiToken.id)).all()
    assert (event.subject, event.detail) == ("limited", {"token": asking.id, "with_it": list(made)})


def test_no_token_sets_a_password(world):
    for path in ("/api/v1/account/password", "/account/password"):
        refused = world.api("admin").post(path, json={"password": "a new horse battery"})
        assert refused.status_code in (403, 404)
    with world.db.read() as session:
        assert session.get_one(User, world.users["admin"]).password_hash is None


# --- links ---------------------------------------------------------------------------------------------------------


def test_an_admin_makes_a_sign_in_link_that_works_once(world):
    path = world.path(f"/people/{world.users['expert']}/sign-in-link")
    made = world.api("admin").post(path).json()
    link = made["link"].removeprefix("http://testserver")
    browser = world.api(None)
    assert browser.post(link, follow_redirects=False).status_code == 303
    assert browser.get(ACCOUNT).json()["name"] == "Expert"
    assert world.api(None).post(link, follow_redirects=False).status_code == 410


@pytest.mark.parametrize("who", ["expert", "outsider"])
def test_nobody_else_makes_one(world, who):
    path = world.path(f"/people/{world.users['second']}/sign-in-link")
    assert world.api(who).post(path).status_code == (403 if who == "expert" else 404)


def test_a_token_makes_no_sign_in_link_that_is_more_than_itself(world):
    def ask(client, who):
        return client.post(world.path(f"/people/{world.users[who]}/sign-in-link")).status_code

    assert ask(limited(world, "admin", "read", "manage"), "expert") == 403
    assert ask(world.api("admin"), "admin") == 403
    assert ask(world.api("admin"), "outsider") == 404
    assert ask(world.api("site"), "expert") == 200


def test_somebody_with_an_account_joins_by_an_invitation(world):
    with world.db.write() as session:
        by = world.users["admin"]
        token, _ = invitations.invite(session, world.project_id, "viewer", days=1, by_user_id=by)
        other, _ = invitations.invite(
            session, world.project_id, "expert", days=1, by_user_id=by, email="grace@example.org"
        )
    api = world.api("outsider")
    assert api.get(f"/api/v1/invitations/{token}").json() == {
        **{"project": "Ads", "role": "viewer"},
        **{"invited_by": "Admin", "email": None},
    }
    assert api.post(f"/api/v1/invitations/{other}/join").status_code == 422
    joined = api.post(f"/api/v1/invitations/{token}/join").json()
    assert joined == {"slug": "ads", "name": "Ads", "role": "viewer"}
    assert api.get(world.path("/rounds")).status_code == 200
    assert api.get(f"/api/v1/invitations/{token}").status_code == 410
    assert world.api("second").post(f"/api/v1/invitations/{token}/join").status_code == 410
