"""Single sign-on, against a provider that is a process of its own on this machine."""

import re
import socket
import time
from contextlib import closing
from html import unescape
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from app.config import Settings
from app.db.tables import ApiToken, Membership, Project, User, UserIdentity
from app.services import accounts, invitations
from app.web.main import create_app
from tests import oidc_provider
from tests.web.conftest import PASSWORD, Browser
from tests.web.test_i18n import GERMAN, NAMES, english, german  # noqa: F401 - a fixture


@pytest.fixture(scope="module")
def provider():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with oidc_provider.running(port) as running:
        yield running


@pytest.fixture
def settings(tmp_path, provider) -> Settings:
    return Settings(
        data_dir=tmp_path,
        base_url="http://testserver",
        oidc_issuer=provider.issuer,
        oidc_client_id=oidc_provider.CLIENT,
        oidc_client_secret=oidc_provider.SECRET,
        oidc_name="Acme",
    )


def start(browser, **data) -> str:
    """The provider's address that the page leads to."""
    page = browser.post("/sso/start", data)
    assert page.status_code == 200, page.headers.get("location")
    return unescape(re.search(r'content="0;url=([^"]+)"', page.text)[1])


def there_and_back(browser, **data):
    """What the browser gets when the provider sends it back."""
    return browser.get(returned(start(browser, **data)))


def returned(address: str) -> str:
    answer = httpx.get(address)
    assert answer.status_code == 303
    return answer.headers["location"].removeprefix("http://testserver")


def said(browser, response) -> str:
    """The sentence with which somebody was sent back, signed out."""
    assert response.status_code == 303
    page = browser.get(response.headers["location"]).text
    assert browser.get("/account").status_code == 303
    return unescape(re.search(r'<p class="notice notice-error">([^<]+)</p>', page)[1])


def test_somebody_with_an_account_signs_in_and_comes_to_the_page_they_asked_for(scene, provider):
    provider.person("ana-1", "Expert@Example.org")
    browser = scene.browser()
    asked = browser.get(scene.path("/settings")).headers["location"]
    page = browser.get(asked).text
    assert "Sign in with Acme" in page
    response = there_and_back(browser, next="/account?from=sso")
    assert (response.status_code, response.headers["location"]) == (303, "/account?from=sso")
    assert "Expert" in browser.get("/account").text
    with scene.db.read() as session:
        identity = session.query(UserIdentity).one()
        assert (identity.issuer, identity.subject) == (provider.issuer, "ana-1")
        assert identity.user_id == scene.users["expert"]


def test_the_second_time_the_address_no_longer_matters(scene, provider):
    provider.person("ana-2", "expert@example.org")
    there_and_back(scene.browser())
    provider.person("ana-2", "ana@elsewhere.example", verified=False)
    browser = scene.browser()
    assert there_and_back(browser).headers["location"] == "/"
    assert "expert@example.org" in browser.get("/account").text


def test_an_account_that_was_there_before_loses_what_a_stranger_may_have_set_up(scene, provider):
    stranger = scene.browser("expert")
    with scene.db.write() as session:
        token, _ = accounts.create_api_token(session, scene.users["expert"], "planted")
    provider.person("ana-3", "expert@example.org")
    browser = scene.browser()
    flash = there_and_back(browser)
    assert "no longer work" in browser.get(flash.headers["location"], follow_redirects=True).text
    assert stranger.get("/account").status_code == 303
    assert scene.browser().sign_in("expert@example.org", PASSWORD).status_code == 422
    with scene.db.read() as session:
        assert accounts.resolve_api_token(session, token) is None
        assert session.query(ApiToken).one().revoked_at is not None


def test_an_invitation_is_accepted_with_single_sign_on(scene, provider):
    with scene.db.write() as session:
        token, _ = invitations.invite(session, scene.project_id, "lead", days=1, by_user_id=scene.users["admin"])
    provider.person("dora", "dora@example.org", claims={"name": "Dora Duarte"})
    browser = scene.browser()
    page = browser.get(f"/invitation/{token}").text
    assert "Join with Acme" in page
    address = start(browser, invitation=token)
    assert token not in address
    assert browser.get(returned(address)).headers["location"] == "/"
    with scene.db.read() as session:
        user = session.query(User).filter_by(email="dora@example.org").one()
        assert (user.name, user.password_hash) == ("Dora Duarte", None)
        assert session.query(Membership).filter_by(user_id=user.id).one().role == "lead"
    assert scene.browser().get(f"/invitation/{token}").status_code == 410


def test_an_invitation_for_another_address_is_refused_and_stays_open(scene, provider):
    with scene.db.write() as session:
        by = scene.users["admin"]
        token, _ = invitations.invite(session, scene.project_id, "expert", days=1, by_user_id=by, email="eva@x.org")
    provider.person("mallory", "mallory@example.org")
    browser = scene.browser()
    assert said(browser, there_and_back(browser, invitation=token)) == "This invitation is for eva@x.org."
    with scene.db.read() as session:
        assert session.query(User).filter_by(email="mallory@example.org").one_or_none() is None
        invitations.look_up(session, token)


def test_an_invitation_that_is_spent_makes_no_account(scene, provider):
    provider.person("late", "late@example.org")
    browser = scene.browser()
    assert "has been used or has expired" in said(browser, there_and_back(browser, invitation="x" * 43))
    with scene.db.read() as session:
        assert session.query(User).filter_by(email="late@example.org").one_or_none() is None


def test_nobody_comes_in_without_an_account_or_an_invitation(scene, provider):
    provider.person("new", "new@example.org")
    browser = scene.browser()
    assert said(browser, there_and_back(browser)).startswith("There is no account for new@example.org.")


def test_an_address_that_the_provider_has_not_confirmed_links_to_nothing(scene, provider):
    for verified in (False, None, "true"):
        provider.person("ana-4", "expert@example.org", claims={"email_verified": verified})
        browser = scene.browser()
        assert "has not confirmed your e-mail address" in said(browser, there_and_back(browser))
    with scene.db.read() as session:
        assert session.query(UserIdentity).count() == 0


def test_a_disabled_account_stays_out(scene, provider):
    provider.person("ana-5", "expert@example.org")
    there_and_back(scene.browser())
    with scene.db.write() as session:
        accounts.set_disabled(session, session.get_one(User, scene.users["expert"]), disabled=True)
    browser = scene.browser()
    assert said(browser, there_and_back(browser)) == "This account is disabled. Ask an admin."


NOW = int(time.time())
LIES = {
    "another nonce": {"claims": {"nonce": "not the one that was asked with"}},
    "no nonce": {"claims": {"nonce": None}},
    "another audience": {"claims": {"aud": "another-client"}},
    "two audiences and no authorised party": {"claims": {"aud": [oidc_provider.CLIENT, "another-client"]}},
    "another issuer": {"claims": {"iss": "https://evil.example"}},
    "an expired token": {"claims": {"iat": NOW - 900, "exp": NOW - 300}},
    "a token of the future": {"claims": {"iat": NOW + 3600, "exp": NOW + 7200}},
    "no expiry": {"claims": {"exp": None}},
    "no subject": {"claims": {"sub": None}},
    "a key that is not published": {"key": "other"},
    "the client secret as the key": {"key": "secret"},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_id_token_that_is_not_right_is_refused(scene, provider, lie):
    provider.person("ana-6", "expert@example.org", **lie)
    browser = scene.browser()
    assert "can't be trusted" in said(browser, there_and_back(browser))
    with scene.db.read() as session:
        assert session.query(UserIdentity).count() == 0


def test_a_clock_that_differs_by_half_a_minute_does_no_harm(scene, provider):
    now = int(time.time())
    for iat, exp in ((now + 30, now + 300), (now - 300, now - 30)):
        provider.person("ana-7", "expert@example.org", claims={"iat": iat, "exp": exp})
        assert there_and_back(scene.browser()).headers["location"] == "/"


def test_an_answer_is_taken_once(scene, provider):
    provider.person("ana-8", "expert@example.org")
    browser = scene.browser()
    address = returned(start(browser))
    sealed = browser.client.cookies["linecall_sso"]
    assert browser.get(address).headers["location"] == "/"
    assert "linecall_sso" not in browser.client.cookies
    other = scene.browser()
    assert "another browser or too long ago" in said(other, other.get(address))
    other.client.cookies.set("linecall_sso", sealed)
    assert "did not confirm who you are" in said(other, other.get(address))


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(scene, provider):
    """Else an attacker could sign people in to the attacker's own account."""
    provider.person("mallory", "outsider@example.org")
    theirs = returned(start(scene.browser()))
    provider.person("ana-9", "expert@example.org")
    browser = scene.browser()
    start(browser)
    assert "another browser" in said(browser, browser.get(theirs))
    changed = theirs.replace("state=", "state=x")
    assert "another browser" in said(browser, browser.get(changed))


@pytest.mark.parametrize("issuer", ["https://evil.example", ""])
def test_the_answer_of_another_provider_is_refused(scene, provider, issuer):
    provider.person("ana-10", "expert@example.org", callback={"iss": issuer})
    browser = scene.browser()
    assert "another sign-in service" in said(browser, there_and_back(browser))


def test_an_answer_with_another_sign_ins_code_is_refused(scene, provider):
    """The verifier of this browser does not fit a code that was given to another one."""
    provider.person("ana-11", "expert@example.org")
    stolen = parse_qs(urlsplit(returned(start(scene.browser()))).query)["code"][0]
    browser = scene.browser()
    own = parse_qs(urlsplit(start(browser)).query)
    query = urlencode({"code": stolen, "state": own["state"][0], "iss": provider.issuer})
    assert "did not confirm" in said(browser, browser.get(f"/sso/callback?{query}"))


def test_saying_no_at_the_provider_leads_back_with_a_sentence(scene, provider):
    provider.person("ana-12", "expert@example.org", denied=True)
    browser = scene.browser()
    assert said(browser, there_and_back(browser)) == "The sign-in service did not let you in."


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_single_sign_on_never_leads_to_another_site(scene, provider, target):
    provider.person("ana-13", "expert@example.org")
    assert there_and_back(scene.browser(), next=target).headers["location"] == "/"


def test_the_cookie_in_between_is_sealed_short_lived_and_not_for_scripts(scene, provider):
    page = scene.browser().post("/sso/start", {"next": "/account"})
    cookie = page.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Max-Age=600" in cookie
    asked = parse_qs(urlsplit(unescape(re.search(r'content="0;url=([^"]+)"', page.text)[1])).query)
    assert asked["state"][0] not in cookie
    assert asked["code_challenge_method"] == ["S256"]
    assert oidc_provider.SECRET not in page.text


def test_only_people_of_the_allowed_domains_come_in(settings, db, scene, provider):
    app = create_app(settings.model_copy(update={"oidc_allowed_domains": "acme.example, Example.org "}), db)
    provider.person("ana-14", "expert@example.org")
    assert there_and_back(Browser(app)).headers["location"] == "/"
    provider.person("ana-14", "expert@evil-example.org")
    browser = Browser(app)
    assert "Only people of this organisation" in said(browser, there_and_back(browser))
    provider.person("ana-14", "expert@example.org", verified=False)
    assert "Only people of this organisation" in said(browser, there_and_back(browser))


def test_with_auto_create_a_colleague_gets_an_account_in_no_project(settings, db, scene, provider):
    app = create_app(settings.model_copy(update={"oidc_auto_create": True}), db)
    provider.person("gil", "gil@example.org", claims={"name": None})
    browser = Browser(app)
    assert there_and_back(browser).headers["location"] == "/"
    assert "You are in no project yet" in browser.get("/").text
    with db.read() as session:
        assert session.query(User).filter_by(email="gil@example.org").one().name == "gil"


def test_a_provider_that_is_down_is_a_plain_message(settings, db, scene):
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    app = create_app(settings.model_copy(update={"oidc_issuer": f"http://127.0.0.1:{port}"}), db)
    browser = Browser(app)
    assert "can't be reached just now" in said(browser, browser.post("/sso/start", {"next": "/"}))
    assert browser.sign_in("expert@example.org").status_code == 303


def test_a_provider_that_calls_itself_something_else_is_not_used(settings, db, scene, provider):
    app = create_app(settings.model_copy(update={"oidc_issuer": provider.issuer + "/"}), db)
    browser = Browser(app)
    assert "calls itself something else" in said(browser, browser.post("/sso/start", {"next": "/"}))


def test_without_settings_there_is_no_button_and_no_way(settings, db, scene):
    browser = Browser(create_app(settings.model_copy(update={"oidc_client_id": ""}), db))
    assert "Acme" not in browser.get("/sign-in").text
    assert browser.post("/sso/start", {}).status_code == 404
    assert browser.get("/sso/callback").status_code == 404


def test_an_issuer_on_the_network_must_use_https():
    with pytest.raises(ValueError, match="https://"):
        Settings(oidc_issuer="http://login.example.org")
    assert Settings(oidc_issuer="https://login.example.org").oidc_issuer


@pytest.mark.usefixtures("german")
def test_the_way_there_and_what_is_refused_is_told_in_the_readers_language(scene, provider):
    with scene.db.write() as session:
        token, _ = invitations.invite(session, scene.project_id, "expert", days=1, by_user_id=scene.users["admin"])
        session.get_one(Project, scene.project_id).name = "Έργο"
    browser = scene.browser()
    browser.client.headers.update(GERMAN)
    provider.person("eve", "eve@example.org", verified=False)
    pages = [browser.get(path) for path in ("/sign-in", f"/invitation/{token}")]
    pages.append(browser.post("/sso/start", {"next": "/"}))
    for state in ("", "made-up"):
        pages.append(browser.get(there_and_back(browser).headers["location"]))
        pages.append(browser.get(browser.get(f"/sso/callback?state={state}").headers["location"]))
    assert [text for page in pages for text in english(page, NAMES | {"Acme", "Admin"})] == []
