"""Headers, errors, escaping, static files, and what the web process may load."""

import json
import os
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from fastapi import APIRouter
from fastapi.testclient import TestClient

from app.db.base import utcnow
from app.db.tables import Project, User
from app.errors import Conflict, InvalidInput
from app.web import deps, main, render
from app.web.main import create_app

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"


@pytest.mark.parametrize("path", ["/sign-in", "/static/app.css", "/nowhere", "/api/nowhere", "/account"])
def test_every_response_carries_the_security_headers(scene, path):
    headers = scene.browser().get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["style-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_pages_are_not_stored_and_versioned_files_are_for_ever(scene):
    browser = scene.browser("admin")
    page = browser.get(scene.path("/people"))
    assert page.headers["cache-control"] == "no-store"
    style = re.search(r'href="(/static/app\.css\?v=[0-9a-f]+)"', page.text)[1]
    assert "immutable" in browser.get(style).headers["cache-control"]
    assert browser.get("/static/app.css").headers["cache-control"] == "no-cache"
    assert "immutable" not in browser.get("/static/none.css?v=1").headers["cache-control"]


def test_a_pages_markup_has_no_inline_script_or_style(scene):
    browser = scene.browser("admin")
    for path in ("/sign-in", "/", "/account", scene.path("/people")):
        html = browser.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", html), path
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", html), path


def test_hostile_names_are_shown_as_text(scene):
    with scene.db.write() as session:
        session.get(User, scene.users["expert"]).name = HOSTILE
        session.get(User, scene.users["admin"]).name = HOSTILE
        session.get(Project, scene.project_id).name = HOSTILE
    browser = scene.browser("admin")
    invite = browser.post(scene.path("/people/invitations"), {"name": HOSTILE, "role": "expert"})
    rejected = browser.post(scene.path("/people/invitations"), {"name": HOSTILE, "email": HOSTILE, "role": "expert"})
    assert rejected.status_code == 422
    agent = TestClient(scene.app, headers={"User-Agent": HOSTILE})
    agent.post("/sign-in", data={"email": "admin@example.org", "password": "correct horse battery"})
    for page in (invite, rejected, browser.get("/"), browser.get("/account"), browser.get(f"/{HOSTILE}")):
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text
        assert "49" not in re.sub(r"[0-9a-f]{12,}|\d{4}-\S+", "", page.text)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in invite.text


def test_a_flash_cookie_that_somebody_planted_is_text_at_most(scene):
    browser = scene.browser()
    for value in ("rubbish", "W10=", "bnVsbA==", "WyJzdWNjZXNzIiwgIjxiPmhpPC9iPiJd"):
        browser.client.cookies.set(render.FLASH_COOKIE, value)
        page = browser.get("/sign-in")
        assert page.status_code == 200
        assert "<b>hi</b>" not in page.text
        browser.client.cookies.delete(render.FLASH_COOKIE)


def test_markdown_shows_html_as_text_and_keeps_links_harmless():
    html = render.markdown(f"**bold** {HOSTILE} [a](javascript:alert(1)) [b](https://example.org) ![c](https://x/y)")
    assert "<strong>bold</strong>" in html
    assert "<script" not in html
    assert "<img" not in html
    assert 'href="javascript' not in html
    assert '<a href="https://example.org" rel="nofollow noopener noreferrer">' in html


def test_an_undefined_figure_is_said_to_be_undefined():
    template = render.environment().from_string(
        '{% import "_macros.html" as ui %}{{ ui.stat(value, n=n, low=low, high=high, undefined=why) }}'
    )
    undefined = template.render(value=None, n=0, low=None, high=None, why="Nobody has answered yet.")
    assert "undefined" in undefined
    assert "Nobody has answered yet." in undefined
    assert "n = 0" in undefined
    defined = template.render(value=-0.125, n=1234, low=-0.3, high=0.05, why="")
    assert "−0.12" in defined or "−0.13" in defined
    assert "−0.30 to 0.05" in defined
    assert "n = 1,234" in defined
    assert "undefined" not in defined


@pytest.mark.parametrize(
    ("seconds", "text"), [(10, "just now"), (100, "2 minutes ago"), (7200, "2 hours ago"), (-172_800, "in 2 days")]
)
def test_times_are_told_as_a_person_would(seconds, text):
    now = utcnow()
    assert f">{text}</time>" in render.ago(now - timedelta(seconds=seconds), now)


# --- errors and transactions, with routes made for the purpose ---


@pytest.fixture
def trial(settings, db, monkeypatch):
    """The application with a few more routes: pages under /trial and /api/trial."""
    router = APIRouter()

    @router.get("/trial/conflict")
    @router.get("/api/trial/conflict")
    def conflict():
        raise Conflict("Somebody was faster.", row=3)

    @router.get("/trial/bug")
    def bug():
        raise RuntimeError("secret detail")

    @router.post("/trial/save")
    def save(session: deps.WriteSession, email: str, fail: bool = False):
        session.add(User(email=email, name="x"))
        session.flush()
        if fail:
            raise InvalidInput("No.")
        return {}

    @router.post("/trial/late")
    def late(session: deps.WriteSession, email: str):
        session.add(User(email=email, name="x"))
        return {}

    monkeypatch.setattr(main, "ROUTERS", (*main.ROUTERS, router))
    return TestClient(create_app(settings, db), raise_server_exceptions=False)


def test_an_error_is_a_page_a_notice_or_json(trial):
    page = trial.get("/trial/conflict")
    assert (page.status_code, "Somebody was faster." in page.text, "<html" in page.text) == (409, True, True)
    part = trial.get("/trial/conflict", headers={"HX-Request": "true"})
    assert (part.status_code, "<html" in part.text, part.headers["HX-Retarget"]) == (409, False, "#flash")
    api = trial.get("/api/trial/conflict")
    assert (api.status_code, api.json()) == (409, {"error": "Somebody was faster.", "detail": {"row": 3}})
    assert trial.get("/api/nowhere").json()["error"]


def test_an_unexpected_error_says_nothing_of_its_cause_and_has_the_headers(trial):
    response = trial.get("/trial/bug")
    assert response.status_code == 500
    assert "secret detail" not in response.text
    assert "default-src 'none'" in response.headers["content-security-policy"]


def test_an_error_undoes_what_the_route_wrote(trial, db):
    assert trial.post("/trial/save?email=a@example.org&fail=true").status_code == 422
    assert trial.post("/trial/save?email=b@example.org").status_code == 200
    with db.read() as session:
        assert [user.email for user in session.query(User)] == ["b@example.org"]


def test_a_commit_that_fails_is_an_error_and_never_a_success(trial):
    """The write session ends before the response is sent: its flush fails here, after the route has returned."""
    assert trial.post("/trial/late?email=a@example.org").status_code == 200
    assert trial.post("/trial/late?email=a@example.org").status_code == 500


def test_a_signed_out_htmx_request_makes_the_whole_page_sign_in(scene):
    response = scene.browser().get("/account", headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/sign-in")


def test_htmx_gets_the_fragment_that_the_page_includes(scene):
    browser = scene.browser("admin")
    fragment = browser.get(scene.path("/people"), headers={"HX-Request": "true"})
    assert "<html" not in fragment.text
    assert "Invite someone" in fragment.text
    assert fragment.headers["vary"].lower().find("hx-request") >= 0
    boosted = browser.get(scene.path("/people"), headers={"HX-Request": "true", "HX-Boosted": "true"})
    assert "<html" in boosted.text


def test_a_large_body_from_nobody_is_refused_announced_or_not(scene):
    client = scene.browser().client
    assert client.post("/sign-in", data={"email": "x" * 300_000}).status_code == 413

    def chunks():
        yield b"email="
        for _ in range(30):
            yield b"x" * 10_000

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert client.post("/sign-in", content=chunks(), headers=headers).status_code == 413


def test_the_web_process_starts_light(tmp_path):
    """Heavy libraries belong to the worker, and those that pages use at times are loaded at that time."""
    code = (
        "import json, re, sys, time\n"
        "from pathlib import Path\n"
        "started = time.process_time()\n"
        "from app.config import Settings\n"
        "from app.web.main import create_app\n"
        "create_app(Settings())\n"
        "heavy = [m for m in ('torch', 'transformers', 'sklearn', 'scipy', 'dbos', 'pyarrow', 'altair', 'numpy')"
        " if m in sys.modules]\n"
        "status = Path('/proc/self/status')\n"
        "peak = re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1] if status.exists() else 0\n"
        "print(json.dumps([heavy, time.process_time() - started, int(peak)]))"
    )
    env = os.environ | {"LINECALL_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    heavy, seconds, kilobytes = json.loads(done.stdout)
    assert heavy == []
    assert seconds < 10  # of processor time; about 1 on a fair machine, and a slow one must pass too
    assert kilobytes < 120 * 1024
