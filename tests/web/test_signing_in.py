"""Sessions, forgery protection and who may open what."""

import re
import tracemalloc

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from app.db.tables import ApiToken, User
from app.services import accounts
from app.web import security
from app.web.main import create_app


def test_signing_in_sets_a_cookie_that_scripts_cannot_read_and_other_sites_cannot_use(scene):
    response = scene.browser().sign_in("expert@example.org")
    cookie = response.headers["set-cookie"]
    assert response.status_code == 303
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie


def test_over_https_the_cookie_is_bound_to_the_host(settings, db):
    with db.write() as session:
        accounts.create_user(session, email="ana@example.org", name="Ana", password="correct horse battery")
    app = create_app(settings.model_copy(update={"base_url": "https://testserver"}), db)
    client = TestClient(app, base_url="https://testserver", follow_redirects=False)
    response = client.post("/sign-in", data={"email": "ana@example.org", "password": "correct horse battery"})
    assert response.headers["set-cookie"].startswith("__Host-linecall=")
    assert "; Secure" in response.headers["set-cookie"]
    assert "max-age" in response.headers["strict-transport-security"]
    assert client.get("/account").status_code == 200


def test_an_empty_installation_says_how_to_begin_and_one_with_an_account_says_nothing(app, db):
    client = TestClient(app, follow_redirects=False)
    command = "linecall user create-admin"
    assert command in client.get("/sign-in").text
    refused = client.post("/sign-in", data={"email": "ana@example.org", "password": "a wrong horse"})
    assert (refused.status_code, command in refused.text) == (422, False)
    with db.write() as session:
        disabled = accounts.create_user(session, email="ana@example.org", name="Ana")
        accounts.set_disabled(session, disabled, disabled=True)
    with_one = client.get("/sign-in").text
    assert command not in with_one
    with db.write() as session:
        accounts.create_user(session, email="bo@example.org", name="Bo", is_site_admin=True)
    assert client.get("/sign-in").text == with_one, "who has an account is nobody's business"


def test_a_wrong_password_shows_the_form_again_with_the_address_but_no_password(scene):
    response = scene.browser().sign_in("expert@example.org", "wrong horse battery")
    assert response.status_code == 422
    assert "do not match" in response.text
    assert 'value="expert@example.org"' in response.text
    assert "wrong horse battery" not in response.text
    assert "set-cookie" not in response.headers


def test_too_many_wrong_passwords_close_the_door_even_to_the_right_one(scene):
    browser = scene.browser()
    for _ in range(8):
        assert browser.sign_in("expert@example.org", "wrong horse battery").status_code == 422
    assert browser.sign_in("EXPERT@example.org ").status_code == 429
    assert browser.sign_in("admin@example.org").status_code == 303


def test_the_sign_in_limit_forgets_after_its_time_and_after_success():
    clock = [0.0]
    limit = security.SignInLimit(attempts=2, seconds=60, clock=lambda: clock[0])
    for _ in range(2):
        limit.check("1.2.3.4", "ana@example.org")
        limit.failed("1.2.3.4", "ana@example.org")
    with pytest.raises(security.TooManyAttempts):
        limit.check("1.2.3.4", "Ana@example.org")
    limit.check("5.6.7.8", "ana@example.org")
    clock[0] = 61
    limit.check("1.2.3.4", "ana@example.org")
    limit.failed("1.2.3.4", "ana@example.org")
    limit.succeeded("1.2.3.4", "ana@example.org")
    limit.failed("1.2.3.4", "ana@example.org")
    limit.check("1.2.3.4", "ana@example.org")


def test_the_sign_in_limit_keeps_little_however_long_the_address_that_was_typed():
    limit = security.SignInLimit(attempts=1)
    tracemalloc.start()
    try:
        for number in range(50):
            limit.failed("1.2.3.4", f"{number}{'a' * 200_000}\udc80")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000, "ten million characters were typed"
    with pytest.raises(security.TooManyAttempts):
        limit.check("1.2.3.4", f"7{'A' * 200_000}\udc80")
    limit.check("1.2.3.4", f"7{'a' * 199_999}\udc80")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        "/\n//evil.example",
        "",
    ],
)
def test_sign_in_never_leads_to_another_site(scene, target):
    assert scene.browser().sign_in("expert@example.org", next=target).headers["location"] == "/"
    page = scene.browser().get("/sign-in", params={"next": target}).text
    assert 'name="next" value="/"' in page


def test_sign_in_leads_back_to_the_page_that_was_asked_for(scene):
    browser = scene.browser()
    asked = browser.get(scene.path("/people?page=2"))
    assert asked.status_code == 303
    page = browser.get(asked.headers["location"]).text
    target = re.search(r'name="next" value="([^"]+)"', page)[1]
    assert target == scene.path("/people?page=2")
    assert browser.sign_in("admin@example.org", next=target).headers["location"] == target


def test_signing_out_ends_the_session_on_the_server_too(scene):
    browser = scene.browser("expert")
    token = browser.client.cookies["linecall"]
    assert browser.post("/sign-out").status_code == 303
    again = scene.browser()
    again.client.cookies.set("linecall", token)
    assert again.get("/account").status_code == 303


def test_signing_in_again_replaces_the_session_that_the_browser_had(scene):
    browser = scene.browser("expert")
    planted = browser.client.cookies["linecall"]
    assert browser.sign_in("expert@example.org").status_code == 303
    with scene.db.read() as session:
        assert accounts.resolve_session(session, planted) is None


def test_a_revoked_session_is_signed_out_at_its_next_request(scene):
    here, there = scene.browser("expert"), scene.browser("expert")
    assert there.get("/account").status_code == 200
    ids = re.findall(r"/account/sessions/(\d+)/revoke", here.get("/account").text)
    assert len(ids) == 1
    assert here.post(f"/account/sessions/{ids[0]}/revoke").status_code == 303
    assert there.get("/account").headers["location"].startswith("/sign-in")
    assert here.get("/account").status_code == 200


def test_nobody_ends_another_persons_session(scene):
    admin, expert = scene.browser("admin"), scene.browser("expert")
    with scene.db.read() as session:
        theirs = accounts.resolve_session(session, expert.client.cookies["linecall"]).session_id
    assert admin.post(f"/account/sessions/{theirs}/revoke").status_code == 404
    assert expert.get("/account").status_code == 200


# --- forgery ---


@pytest.mark.parametrize("token", ["", "0" * 96, "zz", "é" * 96])
def test_a_form_without_the_right_token_is_refused_and_changes_nothing(scene, token):
    browser = scene.browser("expert")
    assert browser.post("/account/name", {"name": "Mallory", "csrf_token": token}).status_code == 403
    with scene.db.read() as session:
        assert session.get(User, scene.users["expert"]).name == "Expert"


def test_another_sessions_token_is_refused(scene):
    token = scene.browser("admin").csrf()
    browser = scene.browser("expert")
    assert browser.post("/account/name", {"name": "Mallory", "csrf_token": token}).status_code == 403
    assert browser.post("/account/name", {"name": "Exa"}).status_code == 303


def test_the_header_that_htmx_sends_does_as_well_as_the_field(scene):
    browser = scene.browser("expert")
    headers = {"X-CSRF-Token": browser.csrf(), "HX-Request": "true"}
    response = browser.client.post("/account/name", data={"name": "Exa"}, headers=headers)
    assert (response.status_code, response.headers["HX-Redirect"]) == (204, "/account")
    with scene.db.read() as session:
        assert session.get(User, scene.users["expert"]).name == "Exa"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_a_request_from_another_site_is_refused_even_with_the_token(scene, headers):
    browser = scene.browser("expert")
    assert browser.post("/account/name", {"name": "Mallory"}, headers=headers).status_code == 403
    form = {"email": "admin@example.org", "password": "correct horse battery"}
    assert scene.browser().client.post("/sign-in", data=form, headers=headers).status_code == 403


def test_every_unsafe_route_refuses_a_signed_in_browser_without_a_token(scene):
    """So that a page added later is covered: the check belongs to the application, not to each route."""
    browser, checked = scene.browser("admin"), 0
    values = {"slug": scene.slug, "token": "x"}
    for route in _routes(scene.app):
        for method in set(getattr(route, "methods", None) or ()) - security.SAFE_METHODS:
            if route.path == "/sign-in":
                continue
            path = re.sub(r"{(\w+)[^}]*}", lambda match: str(values.get(match[1], 1)), route.path)
            assert browser.client.request(method, path).status_code == 403, (method, route.path)
            checked += 1
    assert checked >= 12


def _routes(app):
    return list(iter_route_contexts(app.routes))


def test_the_token_differs_each_time_and_fits_only_its_session():
    one, two = security.csrf_token("session-a"), security.csrf_token("session-a")
    assert one != two
    assert security.csrf_token_is_valid(one, "session-a")
    assert security.csrf_token_is_valid(two, "session-a")
    assert not security.csrf_token_is_valid(one, "session-b")
    assert not security.csrf_token_is_valid(one[:-1] + ("0" if one[-1] != "0" else "1"), "session-a")


# --- API tokens ---


def test_an_api_token_is_shown_once_and_needs_no_form_token(scene):
    browser = scene.browser("admin")
    page = browser.post("/account/tokens", {"token_name": "script", "days": "30"}).text
    token = re.search(r'value="(lc_[^"]+)"', page)[1]
    assert token not in browser.get("/account").text
    client = scene.browser().client
    bearer = {"Authorization": f"Bearer {token}"}
    assert client.get(scene.path("/people"), headers=bearer).status_code == 200
    assert client.post("/account/name", data={"name": "By script"}, headers=bearer).status_code == 303
    with scene.db.write() as session:
        row = session.query(ApiToken).one()
        accounts.revoke_api_token(session, scene.users["admin"], row.id)
    assert client.get("/account", headers=bearer, follow_redirects=False).status_code == 303


def test_a_token_gets_no_further_than_it_lasts_by_the_pages_either(scene):
    with scene.db.write() as session:
        session.get_one(User, scene.users["admin"]).password_hash = None  # who signs in by link or single sign-on
        token, asking = accounts.create_api_token(session, scene.users["admin"], "script", days=1)
    client, bearer = scene.browser().client, {"Authorization": f"Bearer {token}"}
    for path in ("/account/password", scene.path(f"/people/{scene.users['admin']}/sign-in-link")):
        assert client.post(path, data={"password": "a new horse battery"}, headers=bearer).status_code == 403
    made = client.post("/account/tokens", data={"token_name": "more", "days": "0"}, headers=bearer)
    assert made.status_code == 200
    with scene.db.read() as session:
        assert session.get_one(User, scene.users["admin"]).password_hash is None
        more = session.query(ApiToken).filter_by(name="more").one()
        assert (more.expires_at, more.made_by_id) == (asking.expires_at, asking.id)


def test_a_bearer_header_does_not_borrow_the_cookies_rights(scene):
    browser = scene.browser("admin")
    response = browser.client.post(
        "/account/name", data={"name": "Mallory"}, headers={"Authorization": "Bearer lc_wrong"}
    )
    assert response.status_code == 303
    assert response.headers["location"].startswith("/sign-in")
    with scene.db.read() as session:
        assert session.get(User, scene.users["admin"]).name == "Admin"


def test_changing_the_password_needs_the_present_one_and_signs_other_browsers_out(scene):
    here, there = scene.browser("expert"), scene.browser("expert")
    wrong = here.post("/account/password", {"current": "not this one", "password": "a new horse battery"})
    assert wrong.status_code == 422
    assert "not your present password" in wrong.text
    short = here.post("/account/password", {"current": "correct horse battery", "password": "short"})
    assert "at least 10 characters" in short.text
    assert there.get("/account").status_code == 200
    right = here.post("/account/password", {"current": "correct horse battery", "password": "a new horse battery"})
    assert right.status_code == 303
    assert here.get("/account").status_code == 200
    assert there.get("/account").status_code == 303
    assert scene.browser().sign_in("expert@example.org", "a new horse battery").status_code == 303


def test_the_account_page_says_what_a_token_may_and_when_it_was_last_used(scene):
    browser = scene.browser("admin")
    page = browser.post("/account/tokens", {"token_name": "script", "days": "30", "scopes": "read label"}).text
    assert "<td>read and label</td>" in page
    assert "not yet" in page
    bearer = {"Authorization": "Bearer " + re.search(r'value="(lc_[^"]+)"', page)[1]}
    assert scene.browser().get("/api/v1/projects", headers=bearer).status_code == 200
    assert "just now</time>" in browser.get("/account").text.partition("API tokens")[2]
    odd = browser.post("/account/tokens", {"token_name": "script", "scopes": "everything"})
    assert odd.status_code == 422
