"""Who may open what: every route of the application, for each kind of person, against a table written by hand.

A route that is not in the table fails the first test: whoever adds one says here whom it is for.
"""

import re

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from app.db.tables import Project
from app.services import accounts
from app.web import printing, security
from tests.factories import make_member, make_user

# By the least role that may. "expert": every member; "labeller": experts and nobody else, since the others see the
# model's labels; "voter": every member, as far as the round's settings allow
# (tests/web/test_rulings.py); "site": those who run the installation.
TABLE = {
    "public": """
        GET /sign-in
        POST /sign-in
        POST /sign-out
        GET /sign-in/{token}
        POST /sign-in/{token}
        GET /invitation/{token}
        POST /invitation/{token}
        POST /sso/start
        GET /sso/callback
    """,
    "signed_in": """
        POST /invitation/{token}/join
        GET /account
        POST /account/name
        POST /account/password
        POST /account/sessions/{session_id}/revoke
        POST /account/sessions/revoke-others
        POST /account/tokens
        POST /account/tokens/{token_id}/revoke
        GET /
        POST /preferences
        POST /account/preferences
        GET /api/v1/projects
        POST /deleted/{deleted}/undo
        GET /api/v1/deleted-projects
        POST /api/v1/deleted-projects/{deleted}/undo
        GET /api/v1/invitations/{token}
        POST /api/v1/invitations/{token}/join
        GET /api/v1/account
        POST /api/v1/account/name
        POST /api/v1/account/preferences
        GET /api/v1/account/sessions
        POST /api/v1/account/sessions/{session_id}/revoke
        POST /api/v1/account/sessions/revoke-others
        GET /api/v1/account/tokens
        POST /api/v1/account/tokens
        POST /api/v1/account/tokens/{token_id}/revoke
    """,
    "expert": """
        GET /p/{slug}/rulings
        GET /p/{slug}/practice
        GET /p/{slug}/suggestions
        GET /p/{slug}/guideline/versions
        GET /api/v1/projects/{slug}/suggestions
        GET /api/v1/projects/{slug}/guideline/versions
        GET /api/v1/projects/{slug}/rulings
        GET /p/{slug}
        GET /api/v1/projects/{slug}
    """,
    "voter": """
        GET /p/{slug}/rounds/{number}/ties
        POST /p/{slug}/rounds/{number}/ties/{item_id}
    """,
    "labeller": """
        POST /p/{slug}/practice
        POST /p/{slug}/suggestions
        POST /p/{slug}/guideline/seen
        POST /api/v1/projects/{slug}/suggestions
        GET /p/{slug}/label
        GET /p/{slug}/label/next
        POST /p/{slug}/label/noted
        POST /p/{slug}/label/release
        POST /p/{slug}/label
        POST /p/{slug}/label/skip
        POST /p/{slug}/label/undo
        GET /p/{slug}/contrast
        POST /p/{slug}/contrast/{pair_id}/confirm
        POST /p/{slug}/contrast/{pair_id}/revise
        GET /p/{slug}/answers
        POST /p/{slug}/answers/{assignment_id}
        POST /api/v1/projects/{slug}/next
        POST /api/v1/projects/{slug}/annotations
        POST /api/v1/projects/{slug}/skip
        POST /api/v1/projects/{slug}/undo
        GET /api/v1/projects/{slug}/desk
        POST /api/v1/projects/{slug}/release
        POST /api/v1/projects/{slug}/guideline/seen
        GET /api/v1/projects/{slug}/answers
        GET /api/v1/projects/{slug}/answers/{assignment_id}
        POST /api/v1/projects/{slug}/answers/{assignment_id}
        GET /api/v1/projects/{slug}/contrast
        POST /api/v1/projects/{slug}/contrast
        POST /api/v1/projects/{slug}/contrast/{pair_id}/confirm
        POST /api/v1/projects/{slug}/contrast/{pair_id}/revise
        GET /api/v1/projects/{slug}/practice/attempt
        POST /api/v1/projects/{slug}/practice/answers
        GET /api/v1/projects/{slug}/rounds/{number}/votes
        POST /api/v1/projects/{slug}/rounds/{number}/votes/{item_id}
    """,
    "viewer": """
        GET /p/{slug}/guideline
        GET /p/{slug}/pool
        GET /p/{slug}/pool/imports/{import_id}
        GET /p/{slug}/pool/items
        GET /p/{slug}/pool/items/{item_id}
        GET /p/{slug}/dry-runs
        GET /p/{slug}/dry-runs/{run_id}
        GET /p/{slug}/baseline
        GET /p/{slug}/baseline/{baseline_id}
        GET /p/{slug}/rounds
        GET /p/{slug}/rounds/{number}
        GET /p/{slug}/rounds/{number}/items
        GET /p/{slug}/models
        GET /p/{slug}/models/{version}
        GET /p/{slug}/models/{version}/card.md
        GET /p/{slug}/models/{version}/files.zip
        POST /p/{slug}/models/{version}/try
        GET /api/v1/projects/{slug}/models
        GET /api/v1/projects/{slug}/models/{version}
        GET /api/v1/projects/{slug}/models/{version}/card
        GET /api/v1/projects/{slug}/models/{version}/files
        POST /api/v1/projects/{slug}/predict
        GET /api/v1/projects/{slug}/predict/{request_id}
        GET /p/{slug}/alignment
        GET /p/{slug}/report
        GET /p/{slug}/report/file.html
        GET /p/{slug}/report/file.pdf
        GET /p/{slug}/alignment/chart.svg
        GET /p/{slug}/report/dataset-card.md
        GET /p/{slug}/alignment/chart.json
        GET /p/{slug}/map
        GET /p/{slug}/map/texts
        GET /p/{slug}/map/{number}/{side}.json
        GET /p/{slug}/map/{number}/{side}.svg
        GET /p/{slug}/map/{number}/{side}.csv
        GET /api/v1/projects/{slug}/maps
        GET /api/v1/projects/{slug}/rounds/{number}/map
        GET /p/{slug}/alignment/figures.csv
        GET /api/v1/projects/{slug}/items
        GET /api/v1/projects/{slug}/items/search
        GET /api/v1/projects/{slug}/items/{item_id}
        GET /api/v1/projects/{slug}/imports/{import_id}
        GET /api/v1/projects/{slug}/rounds
        GET /api/v1/projects/{slug}/rounds/{number}
        GET /api/v1/projects/{slug}/rounds/{number}/ties
        GET /api/v1/projects/{slug}/alignment
        GET /api/v1/projects/{slug}/standing
        GET /api/v1/projects/{slug}/imports
        GET /api/v1/projects/{slug}/baselines
        GET /api/v1/projects/{slug}/baselines/{baseline_id}
        GET /api/v1/projects/{slug}/dry-runs
        GET /api/v1/projects/{slug}/dry-runs/{run_id}
        GET /api/v1/projects/{slug}/rounds/{number}/log
        GET /api/v1/projects/{slug}/rounds/{number}/items
        GET /api/v1/projects/{slug}/rounds/{number}/pairs
        GET /api/v1/projects/{slug}/rounds/{number}/map/picture
        GET /api/v1/projects/{slug}/rounds/{number}/map/items
        GET /api/v1/projects/{slug}/alignment/confusion
        GET /api/v1/projects/{slug}/alignment/figures
        GET /api/v1/projects/{slug}/alignment/chart
        GET /api/v1/projects/{slug}/alignment/picture
        GET /api/v1/projects/{slug}/report
        GET /api/v1/projects/{slug}/report/html
        GET /api/v1/projects/{slug}/report/pdf
        GET /api/v1/projects/{slug}/report/dataset-card
        GET /api/v1/projects/{slug}/practice/items
    """,
    "lead": """
        POST /p/{slug}/practice/items
        POST /p/{slug}/practice/examples
        POST /p/{slug}/practice/items/{item_id}/retire
        POST /p/{slug}/suggestions/{suggestion_id}
        GET /p/{slug}/guideline/again
        POST /p/{slug}/guideline/again
        POST /p/{slug}/guideline/preview
        POST /api/v1/projects/{slug}/suggestions/{suggestion_id}
        POST /api/v1/projects/{slug}/guideline
        POST /api/v1/projects/{slug}/guideline/again
        POST /p/{slug}/rulings/{item_id}/example
        POST /api/v1/projects/{slug}/rulings/{item_id}/example
        POST /p/{slug}/guideline
        POST /p/{slug}/rounds/{number}/ties
        POST /api/v1/projects/{slug}/rounds/{number}/ties/{item_id}
        POST /api/v1/projects/{slug}/rounds/{number}/leave-ties-out
        GET /api/v1/projects/{slug}/guideline/template
        POST /api/v1/projects/{slug}/guideline/draft
        GET /api/v1/projects/{slug}/guideline/again
        POST /api/v1/projects/{slug}/practice/items
        POST /api/v1/projects/{slug}/practice/examples
        POST /api/v1/projects/{slug}/practice/items/{practice_id}/retire
    """,
    "admin": """
        POST /p/{slug}/map/{number}/{side}/redraw
        POST /api/v1/projects/{slug}/rounds/{number}/map/redraw
        GET /p/{slug}/delete
        POST /p/{slug}/delete
        DELETE /api/v1/projects/{slug}
        GET /p/{slug}/webhooks
        POST /p/{slug}/webhooks
        POST /p/{slug}/webhooks/{webhook_id}/test
        POST /p/{slug}/webhooks/{webhook_id}/remove
        GET /api/v1/projects/{slug}/webhooks
        POST /api/v1/projects/{slug}/webhooks
        DELETE /api/v1/projects/{slug}/webhooks/{webhook_id}
        POST /api/v1/projects/{slug}/webhooks/{webhook_id}/test
        GET /api/v1/projects/{slug}/webhooks/{webhook_id}/deliveries
        POST /p/{slug}/models/{version}/prelabel
        POST /p/{slug}/models/{version}/round
        POST /api/v1/projects/{slug}/models/{version}/prelabel
        POST /api/v1/projects/{slug}/models/{version}/rounds
        GET /p/{slug}/audit
        GET /p/{slug}/audit.csv
        GET /p/{slug}/export
        GET /p/{slug}/export/file
        GET /p/{slug}/people
        POST /p/{slug}/people/invitations
        POST /p/{slug}/people/invitations/{invitation_id}/withdraw
        POST /p/{slug}/people/{user_id}/role
        POST /p/{slug}/people/{user_id}/remove
        POST /p/{slug}/people/{user_id}/sign-in-link
        GET /p/{slug}/settings
        POST /p/{slug}/settings
        GET /p/{slug}/start
        POST /p/{slug}/start/guideline
        POST /p/{slug}/start/settings
        POST /p/{slug}/rounds/{number}/pause
        POST /p/{slug}/rounds/{number}/resume
        POST /api/v1/projects/{slug}/rounds/{number}/pause
        POST /api/v1/projects/{slug}/rounds/{number}/resume
        POST /p/{slug}/dry-runs
        POST /p/{slug}/baseline/uploads
        GET /p/{slug}/baseline/uploads/{token}
        POST /p/{slug}/baseline/uploads/{token}
        POST /p/{slug}/pool/uploads
        GET /p/{slug}/pool/uploads/{token}
        POST /p/{slug}/pool/uploads/{token}
        POST /p/{slug}/rounds
        POST /p/{slug}/rounds/{number}/close
        POST /p/{slug}/rounds/{number}/cancel
        POST /p/{slug}/rounds/{number}/retry
        POST /api/v1/projects/{slug}/imports
        GET /api/v1/projects/{slug}/file
        POST /api/v1/projects/{slug}/file
        POST /api/v1/projects/{slug}/rounds
        POST /api/v1/projects/{slug}/rounds/{number}/close-review
        POST /api/v1/projects/{slug}/rounds/{number}/cancel
        POST /api/v1/projects/{slug}/rounds/{number}/retry
        GET /api/v1/projects/{slug}/export
        GET /api/v1/projects/{slug}/people
        POST /api/v1/projects/{slug}/people/invitations
        POST /api/v1/projects/{slug}/people/invitations/{invitation_id}/withdraw
        POST /api/v1/projects/{slug}/people/{user_id}/role
        POST /api/v1/projects/{slug}/people/{user_id}/remove
        POST /api/v1/projects/{slug}/people/{user_id}/sign-in-link
        POST /api/v1/projects/{slug}/settings
        GET /api/v1/projects/{slug}/audit
        GET /api/v1/projects/{slug}/audit/file
        GET /api/v1/projects/{slug}/start
        POST /api/v1/projects/{slug}/uploads
        GET /api/v1/projects/{slug}/uploads/{token}
        POST /api/v1/projects/{slug}/uploads/{token}/import
        GET /api/v1/projects/{slug}/uploads/{token}/baseline
        POST /api/v1/projects/{slug}/uploads/{token}/baseline
        POST /api/v1/projects/{slug}/baselines
        POST /api/v1/projects/{slug}/dry-runs
    """,
    "site": """
        GET /projects/new
        GET /audit
        GET /audit.csv
        GET /api/v1/audit
        GET /api/v1/audit/file
        POST /projects
        POST /api/v1/projects
        GET /api/v1/service
    """,
}
PEOPLE = ("nobody", "outsider", "expert", "viewer", "lead", "admin", "site")
RANK = {"expert": 0, "viewer": 1, "lead": 2, "admin": 3, "site": 3}
FILLED = {"slug": "ads", "token": "x" * 43}
EXPECTED = [(level, *line.split()) for level, lines in TABLE.items() for line in lines.strip().splitlines()]


@pytest.fixture
def people(scene):
    """A cookie for each kind of person. Signing in by password would hash seven of them."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        users = dict(scene.users)
        for role in ("viewer", "lead"):
            users[role] = make_user(session, role).id
            make_member(session, project, session.get_one(accounts.User, users[role]), role)
        site = make_user(session, "site")
        site.is_site_admin = True
        users["site"] = site.id
        return {name: accounts.start_session(session, id_, days=1) for name, id_ in users.items()}


def call(scene, cookie: str | None, method: str, path: str):
    client = TestClient(scene.app, follow_redirects=False, raise_server_exceptions=False)
    headers = {}
    if cookie:
        client.cookies.set("linecall", cookie)
        headers["X-CSRF-Token"] = security.csrf_token(cookie)
    values = FILLED | {"slug": scene.slug}
    path = re.sub(r"{(\w+)[^}]*}", lambda match: str(values.get(match[1], 999)), path)
    return client.request(method, path, headers=headers)


def refusal(level: str, who: str, method: str, path: str) -> set[int] | None:
    """The statuses that a refusal has; None: they may."""
    if level == "public":
        return None
    if who == "nobody":
        return {401} if path.startswith("/api/") else {303, 401}
    if level == "signed_in":
        return None
    if level == "site":
        return None if who == "site" else {403}
    if who == "outsider":
        return {404}
    if level == "labeller":
        return None if who == "expert" else {403}
    if level == "voter":
        return {403, 404, 422} if who in ("expert", "viewer") else None
    return None if RANK[who] >= RANK[level] else {403}


def test_every_route_is_in_the_table(app):
    there = {
        (method, context.path)
        for context in iter_route_contexts(app.routes)
        for method in (getattr(context, "methods", None) or set()) - {"HEAD"}
    }
    listed = {(method, path) for _, method, path in EXPECTED}
    assert there - listed - {("GET", "/api/openapi.json")} == set()
    assert listed - there == set()


@pytest.mark.parametrize("who", PEOPLE)
def test_each_person_gets_what_the_table_says_and_no_more(scene, people, who, monkeypatch):
    monkeypatch.setattr(printing, "pdf", lambda html: b"%PDF-")  # who may, not how it looks: a browser takes seconds
    cookie = people.get(who)
    wrong = []
    for level, method, path in EXPECTED:
        if path == "/sign-out" or path.endswith("/account/sessions/revoke-others"):
            continue  # would end the session that the next ones need
        response, refused = call(scene, cookie, method, path), refusal(level, who, method, path)
        to_sign_in = response.status_code == 303 and "/sign-in" in response.headers["location"]
        if refused is None:
            right = response.status_code not in (401, 403) and response.status_code < 500
        else:
            right = response.status_code in refused and (response.status_code != 303 or to_sign_in)
        if not right:
            wrong.append((method, path, response.status_code))
    assert wrong == []


@pytest.mark.parametrize("page", ["", "/rounds", "/pool", "/guideline", "/alignment"])
def test_a_viewer_gets_no_form_that_would_be_refused(scene, people, page):
    text = call(scene, people["viewer"], "GET", f"/p/{{slug}}{page}").text
    posts = re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', text)
    assert posts == ["/sign-out"]
