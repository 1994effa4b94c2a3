"""Every route that is written to, called with what it asks for, leaves the audit event that the table names. Where it
leaves none the table has the reason, and then no table of the database has changed but those named with the reason.

A route that is not in the table fails the first test: whoever adds one says here what the audit log has of it.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.db import archive
from app.db.base import utcnow
from app.db.tables import (
    Assignment,
    AuditEvent,
    BoundaryMap,
    BoundaryPair,
    ConsensusLabel,
    DryRun,
    GuidelineVersion,
    Item,
    ModelVersion,
    PracticeItem,
    Project,
    Round,
    User,
    UserSession,
)
from app.services import accounts, invitations, projects
from app.web import project_forms
from app.web.security import csrf_token
from tests import oidc_provider
from tests.factories import make_items, make_member, make_project
from tests.services.alignment_factories import make_history
from tests.services.map_factories import draw_map
from tests.services.review_factories import add_round
from tests.web.conftest import PASSWORD, Scene
from tests.web.test_sso import provider, returned  # noqa: F401 - a fixture


@dataclass(frozen=True)
class Unrecorded:
    why: str
    changes: frozenset[str] = frozenset()


LOOKS = Unrecorded("it changes nothing")
SIGN_IN = Unrecorded("a sign-in is a row of its own with who, when and until when", frozenset({"invitations"}))
TASTE = Unrecorded("a person's own way of seeing pages", frozenset({"users"}))
UPLOAD = Unrecorded("a file is laid down to be looked at; the import that uses it is recorded")
HELD = Unrecorded("who holds which item for the next minutes", frozenset({"assignments"}))
ANSWER = Unrecorded(
    "answers are rows that are only ever added, with who, when and what; a skip stays in its slot",
    frozenset({"annotations", "assignments", "pair_views", "practice_answers"}),
)
ASKED = Unrecorded("texts of one's own for a model, gone after a day", frozenset({"predict_requests"}))

A, P = "/api/v1/projects/{slug}", "/p/{slug}"
TABLE: dict[str, dict[str, str | Unrecorded]] = {
    "account": {
        "POST /sign-in": SIGN_IN,
        "POST /account/name": "user.renamed",
        "POST /account/password": "user.password_changed",
        "POST /account/sessions/{session_id}/revoke": SIGN_IN,
        "POST /account/sessions/revoke-others": SIGN_IN,
        "POST /account/tokens": "api_token.created",
        "POST /account/tokens/{token_id}/revoke": "api_token.revoked",
        "POST /preferences": TASTE,
        "POST /account/preferences": TASTE,
        "POST /sign-out": SIGN_IN,
        "POST /api/v1/account/name": "user.renamed",
        "POST /api/v1/account/preferences": TASTE,
        "POST /api/v1/account/sessions/{session_id}/revoke": SIGN_IN,
        "POST /api/v1/account/sessions/revoke-others": SIGN_IN,
        "POST /api/v1/account/tokens": "api_token.created",
        "POST /api/v1/account/tokens/{token_id}/revoke": "api_token.revoked",
    },
    "coming_in": {
        "POST /sign-in/{token}": SIGN_IN,
        "POST /invitation/{token}": "member.added",
        "POST /invitation/{token}/join": "member.added",
        "POST /api/v1/invitations/{token}/join": "member.added",
        "POST /sso/start": LOOKS,
        "GET /sso/callback": "identity.linked",
    },
    "project": {
        "POST /projects": "project.created",
        "POST /api/v1/projects": "project.created",
        f"POST {P}/start/settings": "project.changed",
        f"POST {P}/settings": "project.changed",
        f"POST {A}/settings": "project.changed",
        f"POST {A}/file": "project.changed",
        f"POST {P}/webhooks": "webhook.added",
        f"POST {P}/webhooks/{{webhook_id}}/test": "webhook.tested",
        f"POST {P}/webhooks/{{webhook_id}}/remove": "webhook.removed",
        f"POST {A}/webhooks": "webhook.added",
        f"POST {A}/webhooks/{{webhook_id}}/test": "webhook.tested",
        f"DELETE {A}/webhooks/{{webhook_id}}": "webhook.removed",
        f"POST {P}/delete": "project.deleted",
        "POST /deleted/{deleted}/undo": "project.restored",
        f"DELETE {A}": "project.deleted",
        "POST /api/v1/deleted-projects/{deleted}/undo": "project.restored",
        f"GET {P}/export/file": "export.created",
        f"GET {A}/export": "export.created",
    },
    "people": {
        f"POST {P}/people/invitations": "invitation.created",
        f"POST {P}/people/invitations/{{invitation_id}}/withdraw": "invitation.withdrawn",
        f"POST {P}/people/{{user_id}}/role": "member.role_changed",
        f"POST {P}/people/{{user_id}}/remove": "member.removed",
        f"POST {P}/people/{{user_id}}/sign-in-link": "sign_in_link.created",
        f"POST {A}/people/invitations": "invitation.created",
        f"POST {A}/people/invitations/{{invitation_id}}/withdraw": "invitation.withdrawn",
        f"POST {A}/people/{{user_id}}/role": "member.role_changed",
        f"POST {A}/people/{{user_id}}/remove": "member.removed",
        f"POST {A}/people/{{user_id}}/sign-in-link": "sign_in_link.created",
    },
    "pool": {
        f"POST {P}/pool/uploads": UPLOAD,
        f"POST {P}/pool/uploads/{{token}}": "import.created",
        f"POST {P}/baseline/uploads": UPLOAD,
        f"POST {P}/baseline/uploads/{{token}}": "baseline.created",
        f"POST {P}/dry-runs": "dry_run.requested",
        f"POST {A}/imports": "import.created",
        f"POST {A}/uploads": UPLOAD,
        f"POST {A}/uploads/{{token}}/import": "import.created",
        f"POST {A}/uploads/{{token}}/baseline": "baseline.created",
        f"POST {A}/baselines": "baseline.created",
        f"POST {A}/dry-runs": "dry_run.requested",
    },
    "guideline": {
        f"POST {P}/start/guideline": "guideline.published",
        f"POST {P}/guideline/preview": LOOKS,
        f"POST {P}/guideline": "guideline.published",
        f"POST {P}/guideline/seen": TASTE,
        f"POST {P}/guideline/again": "answers.queued_again",
        f"POST {P}/suggestions": "suggestion.made",
        f"POST {P}/suggestions/{{suggestion_id}}": "suggestion.answered",
        f"POST {A}/guideline": "guideline.published",
        f"POST {A}/guideline/draft": LOOKS,
        f"POST {A}/guideline/seen": TASTE,
        f"POST {A}/guideline/again": "answers.queued_again",
        f"POST {A}/suggestions": "suggestion.made",
        f"POST {A}/suggestions/{{suggestion_id}}": "suggestion.declined",
        f"POST {P}/practice": ANSWER,
        f"POST {P}/practice/items": "practice.added",
        f"POST {P}/practice/examples": "practice.added",
        f"POST {P}/practice/items/{{item_id}}/retire": "practice.retired",
        f"POST {A}/practice/answers": ANSWER,
        f"POST {A}/practice/items": "practice.added",
        f"POST {A}/practice/examples": "practice.added",
        f"POST {A}/practice/items/{{practice_id}}/retire": "practice.retired",
    },
    "labelling": {
        f"GET {P}/label": HELD,
        f"GET {P}/label/next": HELD,
        f"POST {P}/label": ANSWER,
        f"POST {P}/label/noted": ANSWER,
        f"POST {P}/label/skip": ANSWER,
        f"POST {P}/label/undo": ANSWER,
        f"POST {P}/label/release": HELD,
        f"GET {P}/contrast": ANSWER,
        f"POST {P}/contrast/{{pair_id}}/confirm": ANSWER,
        f"POST {P}/contrast/{{pair_id}}/revise": ANSWER,
        f"POST {P}/answers/{{assignment_id}}": ANSWER,
        f"POST {A}/next": HELD,
        f"POST {A}/annotations": ANSWER,
        f"POST {A}/skip": ANSWER,
        f"POST {A}/undo": ANSWER,
        f"POST {A}/contrast": ANSWER,
        f"POST {A}/contrast/{{pair_id}}/confirm": ANSWER,
        f"POST {A}/contrast/{{pair_id}}/revise": ANSWER,
        f"POST {A}/answers/{{assignment_id}}": ANSWER,
        f"POST {A}/release": HELD,
    },
    "rounds": {
        f"POST {P}/rounds": "round.started",
        f"POST {P}/rounds/{{number}}/pause": "round.paused",
        f"POST {P}/rounds/{{number}}/resume": "round.resumed",
        f"POST {P}/rounds/{{number}}/retry": "round.retried",
        f"POST {P}/rounds/{{number}}/close": "round.review_closed_early",
        f"POST {P}/rounds/{{number}}/cancel": "round.cancelled",
        f"POST {A}/rounds": "round.started",
        f"POST {A}/rounds/{{number}}/pause": "round.paused",
        f"POST {A}/rounds/{{number}}/resume": "round.resumed",
        f"POST {A}/rounds/{{number}}/retry": "round.retried",
        f"POST {A}/rounds/{{number}}/close-review": "round.review_closed_early",
        f"POST {A}/rounds/{{number}}/cancel": "round.cancelled",
    },
    "decisions": {
        f"POST {P}/rounds/{{number}}/ties/{{item_id}}": "tie.decided",
        f"POST {P}/rounds/{{number}}/ties": "ties.left_out",
        f"POST {P}/rulings/{{item_id}}/example": "guideline.published",
        f"POST {A}/rounds/{{number}}/ties/{{item_id}}": "tie.decided",
        f"POST {A}/rounds/{{number}}/votes/{{item_id}}": "vote.cast",
        f"POST {A}/rounds/{{number}}/leave-ties-out": "ties.left_out",
        f"POST {A}/rulings/{{item_id}}/example": "guideline.published",
        f"POST {P}/map/{{number}}/{{side}}/redraw": "map.redrawn",
        f"POST {A}/rounds/{{number}}/map/redraw": "map.redrawn",
    },
    "models": {
        f"POST {P}/models/{{version}}/try": ASKED,
        f"POST {P}/models/{{version}}/prelabel": "project.changed",
        f"POST {P}/models/{{version}}/round": "round.started",
        f"POST {A}/models/{{version}}/prelabel": "project.changed",
        f"POST {A}/models/{{version}}/rounds": "round.started",
        f"POST {A}/predict": ASKED,
    },
}


@dataclass
class Walk:
    """Calls routes of one chapter, and holds each to the table."""

    scene: Scene
    listed: dict[str, str | Unrecorded]
    called: set[str] = field(default_factory=set)
    browsers: dict[str, TestClient] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with self.scene.db.read() as session:
            self._kinds = archive.tables_of(session.connection())

    def browser(self, who: str) -> TestClient:
        """Of somebody who is signed in, or under another name of somebody who has yet to."""
        if who not in self.browsers:
            client = TestClient(self.scene.app, follow_redirects=False)
            if who in self.scene.users:
                with self.scene.db.write() as session:
                    cookie = accounts.start_session(session, self.scene.users[who], days=1)
                client.cookies.set("linecall", cookie)
                client.headers["X-CSRF-Token"] = csrf_token(cookie)
            self.browsers[who] = client
        return self.browsers[who]

    def __call__(self, who: str, route: str, form=None, /, *, place: dict[str, object] | None = None, **request):
        """``route`` as in the table; ``place`` fills its path, ``form`` is sent as one and ``json`` as JSON."""
        method, path = route.split()
        values = {"slug": self.scene.slug, "number": 1} | (place or {})
        address = re.sub(r"{(\w+)}", lambda match: str(values[match[1]]), path)
        browser, (events, before) = self.browser(who), self._state()
        response = browser.request(method, address, data=form, **request)
        assert response.status_code < 400, (route, response.status_code, response.text[:3000])
        after_events, after = self._state()
        self._hold(who, route, after_events[len(events) :], {name for name in after if after[name] != before[name]})
        self.called.add(route)
        return response

    def _hold(self, who: str, route: str, events: list[tuple[str, int | None]], changed: set[str]) -> None:
        wanted = self.listed[route]
        if isinstance(wanted, str):
            assert wanted in [action for action, _ in events], f"{route} leaves {events}"
            people = {person for action, person in events if action == wanted}
            actor = self.scene.users.get(who, self.scene.users["expert"])  # who comes from the provider is the expert
            by_inviter = wanted == "member.added"  # its details say who was added
            assert by_inviter or people == {actor}, f"{route} is said to be by {people}"
        else:
            assert events == [], f"{route} is said to leave none"
            assert changed <= wanted.changes, f"{route} leaves no event, and changes {changed}"

    def _state(self) -> tuple[list[tuple[str, int | None]], dict[str, str]]:
        """The audit log's actions with who did them, and a digest of each table."""
        with self.scene.db.read() as session:
            connection = session.connection()
            tables = {
                name: sha256("\n".join(archive.read_rows(connection, name, kinds)).encode()).hexdigest()
                for name, kinds in self._kinds.items()
            }
            events = session.execute(select(AuditEvent.action, AuditEvent.user_id).order_by(AuditEvent.id))
            return [(row.action, row.user_id) for row in events], tables

    def write(self, work: Callable[..., object]):
        with self.scene.db.write() as session:
            return work(session, session.get_one(Project, self.scene.project_id))


@pytest.fixture
def furnished(scene) -> Scene:
    """With a second expert and a site admin; the project has what a round needs."""
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        second = accounts.create_user(session, email="second@example.org", name="Second")
        site = accounts.create_user(session, email="site@example.org", name="Site", is_site_admin=True)
        scene.users |= {"second": second.id, "site": site.id}
        make_member(session, project, second)
        make_items(session, project, [f"text {n}" for n in range(20)])
        guideline = session.scalars(select(GuidelineVersion)).one()
        guideline.examples = {"benign": ["a"], "clickbait": ["b"]}
    return scene


def test_every_route_that_is_written_to_is_in_the_table(app):
    there = {
        f"{method} {context.path}"
        for context in iter_route_contexts(app.routes)
        for method in (getattr(context, "methods", None) or set()) - {"GET", "HEAD", "OPTIONS"}
    }
    listed = [route for chapter in TABLE.values() for route in chapter]
    assert len(listed) == len(set(listed))
    assert there - set(listed) == set()
    assert {route for route in listed if not route.startswith("GET ")} - there == set()


@pytest.mark.parametrize("chapter", [name for name in TABLE if name != "coming_in"])
def test_each_leaves_its_event_or_changes_nothing_else(furnished, chapter):
    walk = Walk(furnished, TABLE[chapter])
    CHAPTERS[chapter](walk)
    assert walk.called == set(TABLE[chapter])


def test_so_does_coming_in(furnished, settings, provider):  # noqa: F811 - the fixture
    sso = {"oidc_issuer": provider.issuer, "oidc_client_id": oidc_provider.CLIENT}
    secret = type(settings.oidc_client_secret)(oidc_provider.SECRET)
    furnished.app.state.settings = settings.model_copy(update=sso | {"oidc_client_secret": secret})
    walk = Walk(furnished, TABLE["coming_in"])
    coming_in(walk, provider)
    assert walk.called == set(TABLE["coming_in"])


# --- the chapters --------------------------------------------------------------------------------------------------


def account(walk: Walk) -> None:
    who = "expert"
    walk("visitor", "POST /sign-in", {"email": "expert@example.org", "password": PASSWORD})
    walk(who, "POST /account/name", {"name": "Ada"})
    password = {"current": PASSWORD, "password": "another long secret"}
    walk(who, "POST /account/password", password)
    for base in ("", "/api/v1"):
        place = {"session_id": another_session(walk, who)}
        walk(who, f"POST {base}/account/sessions/{{session_id}}/revoke", place=place)
        another_session(walk, who)
        walk(who, f"POST {base}/account/sessions/revoke-others")
    walk(who, "POST /account/tokens", {"token_name": "script", "days": "1"})
    walk(who, "POST /account/tokens/{token_id}/revoke", place={"token_id": 1})
    walk(who, "POST /api/v1/account/name", json={"name": "Grace"})
    walk(who, "POST /api/v1/account/preferences", json={"language": "de", "break_minutes": 60})
    made = walk(who, "POST /api/v1/account/tokens", json={"name": "nightly", "days": 1}).json()["id"]
    walk(who, "POST /api/v1/account/tokens/{token_id}/revoke", place={"token_id": made})
    walk(who, "POST /preferences", json={"swipe": True})
    walk(who, "POST /account/preferences", {"language": "de", "break_minutes": "30"})
    walk(who, "POST /sign-out")


def another_session(walk: Walk, who: str) -> int:
    with walk.scene.db.write() as session:
        accounts.start_session(session, walk.scene.users[who], days=1)
        return session.scalars(select(UserSession.id).order_by(UserSession.id.desc())).first()


def coming_in(walk: Walk, provider) -> None:  # noqa: F811 - the fixture's value
    by = walk.scene.users["admin"]
    link = walk.write(lambda session, _: invitations.create_sign_in_link(session, walk.scene.users["second"]))
    one, two, three = (
        walk.write(lambda session, project: invitations.invite(session, project.id, "expert", days=1, by_user_id=by)[0])
        for _ in range(3)
    )
    newcomer = {"email": "new@example.org", "name": "New", "password": PASSWORD}
    walk("newcomer", "POST /invitation/{token}", newcomer, place={"token": one})
    walk("forgetful", "POST /sign-in/{token}", place={"token": link})
    walk("outsider", "POST /invitation/{token}/join", place={"token": two})
    walk("site", "POST /api/v1/invitations/{token}/join", place={"token": three})
    provider.person("x-1", "expert@example.org")
    page = walk("colleague", "POST /sso/start")
    back = returned(re.search(r'content="0;url=([^"]+)"', page.text)[1].replace("&amp;", "&"))
    walk("colleague", "GET /sso/callback", params=urlsplit(back).query)


def project(walk: Walk) -> None:
    labels = {"label": ["no", "yes"], "examples": ["", ""]}
    walk("site", "POST /projects", {"name": "New", "guideline": "Text"} | labels)
    walk("site", "POST /api/v1/projects", json={"name": "Newer", "labels": ["no", "yes"]})
    walk("admin", f"POST {P}/start/settings", {"overlap": "1"})
    shown = {name: str(value) for name, value in project_forms.shown(projects.ProjectSettings()).items()}
    walk("admin", f"POST {P}/settings", {**shown, "name": "Ads", "overlap": "2"})
    walk("admin", f"POST {A}/settings", json={"settings": {"round_size": 60}})
    assert newest(walk).detail == {"round_size": [100, 60]}, "what it was, and what it is"
    walk("admin", f"POST {A}/file", json={"settings": {"round_size": 40}})
    walk("admin", f"POST {P}/webhooks", {"address": "https://hooks.example.org/a?key=secret"})
    assert newest(walk).subject == "https://hooks.example.org/a"
    for route in ("test", "remove"):
        walk("admin", f"POST {P}/webhooks/{{webhook_id}}/{route}", place={"webhook_id": 1})
    walk("admin", f"POST {A}/webhooks", json={"url": "https://hooks.example.org/b"})
    walk("admin", f"POST {A}/webhooks/{{webhook_id}}/test", place={"webhook_id": 2})
    walk("admin", f"DELETE {A}/webhooks/{{webhook_id}}", place={"webhook_id": 2})
    walk("admin", f"GET {P}/export/file")
    walk("admin", f"GET {A}/export")
    gone = {"deleted": walk.scene.slug}
    walk("admin", f"POST {P}/delete", {"confirm": "Ads"})
    walk("admin", "POST /deleted/{deleted}/undo", place=gone)
    walk("admin", f"DELETE {A}", params={"confirm": "Ads"})
    walk("admin", "POST /api/v1/deleted-projects/{deleted}/undo", place=gone)


def newest(walk: Walk) -> AuditEvent:
    with walk.scene.db.read() as session:
        return session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()


def people(walk: Walk) -> None:
    second, expert = ({"user_id": walk.scene.users[name]} for name in ("second", "expert"))
    walk("admin", f"POST {P}/people/invitations", {"role": "viewer"})
    walk("admin", f"POST {P}/people/invitations/{{invitation_id}}/withdraw", place={"invitation_id": 1})
    walk("admin", f"POST {P}/people/{{user_id}}/sign-in-link", place=second)
    walk("admin", f"POST {A}/people/{{user_id}}/sign-in-link", place=second)
    walk("admin", f"POST {P}/people/{{user_id}}/role", {"role": "lead"}, place=second)
    walk("admin", f"POST {P}/people/{{user_id}}/remove", place=second)
    invited = walk("admin", f"POST {A}/people/invitations", json={"role": "viewer"}).json()["id"]
    walk("admin", f"POST {A}/people/invitations/{{invitation_id}}/withdraw", place={"invitation_id": invited})
    walk("admin", f"POST {A}/people/{{user_id}}/role", json={"role": "lead"}, place=expert)
    walk("admin", f"POST {A}/people/{{user_id}}/remove", place=expert)


def pool(walk: Walk) -> None:
    def csv(text: str) -> dict[str, tuple[str, bytes, str]]:
        return {"file": ("ads.csv", text.encode(), "text/csv")}

    def upload(to: str, text: str) -> dict[str, object]:
        page = walk("admin", f"POST {P}/{to}/uploads", files=csv(text))
        return {"token": page.headers["location"].rpartition("/")[2]}

    def looked_into(text: str) -> dict[str, object]:
        return {"token": walk("admin", f"POST {A}/uploads", files=csv(text)).json()["token"]}

    walk("admin", f"POST {P}/pool/uploads/{{token}}", {"text": "text"}, place=upload("pool", "text\none\n"))
    crowd = {"match": "text", "key": "text", "label": "said", "values": "0 = benign\n1 = clickbait"}
    walk("admin", f"POST {P}/baseline/uploads/{{token}}", crowd, place=upload("baseline", "text,said\ntext 1,0\n"))
    walk("admin", f"POST {P}/dry-runs")
    walk("admin", f"POST {A}/imports", {"mapping": '{"text": "text"}'}, files=csv("text\ntwo\n"))
    place = looked_into("text\nthree\n")
    walk("admin", f"POST {A}/uploads/{{token}}/import", json={"text": "text"}, place=place)
    said = {"match": "text", "key": "text", "label": "said", "values": {"0": "benign"}}
    place = looked_into("text,said\ntext 2,0\n")
    walk("admin", f"POST {A}/uploads/{{token}}/baseline", json=said, place=place)
    walk("admin", f"POST {A}/baselines", {"mapping": json.dumps(said)}, files=csv("text,said\ntext 3,0\n"))
    walk.write(lambda session, _: session.execute(update(DryRun).values(state="done")))  # else it comes back itself
    walk("admin", f"POST {A}/dry-runs")


def open_review(walk: Walk, *, items: int = 8, overlap: int = 2) -> list[int]:
    def work(session, project: Project) -> list[int]:
        ids = session.scalars(select(Item.id).order_by(Item.ordinal).limit(items)).all()
        session.add(pair_of(add_round(session, project, ids, overlap=overlap).id, ids[0], ids[1]))
        return list(ids)

    return walk.write(work)


def pair_of(round_id: int, left: int, right: int, *, rank: int = 0) -> BoundaryPair:
    sides = {"left_item_id": left, "right_item_id": right, "left_label": 0, "right_label": 1}
    clusters = {"left_cluster": 0, "right_cluster": 0}
    return BoundaryPair(round_id=round_id, rank=rank, similarity=0.9, **sides, **clusters)


def hold(walk: Walk) -> int:
    """The assignment that the expert is given next."""
    return walk.browser("expert").get(walk.scene.path("/label/next")).json()["tasks"][0]["assignment"]


def answer(walk: Walk, label: int = 1) -> int:
    given = {"assignment": hold(walk), "label": str(label)}
    given["key"] = token_hex(16)
    assert walk.browser("expert").post(walk.scene.path("/label"), data=given).status_code == 303
    return given["assignment"]


def guideline(walk: Walk) -> None:
    open_review(walk, overlap=1)
    answer(walk), answer(walk)
    slot = answer(walk)
    walk("admin", f"POST {P}/start/guideline", {"text": "One", "examples": ["a", "b"]})
    written = {"text": "Two", "summary": "Hidden prices count.", "examples": ["a", "b"]}
    walk("admin", f"POST {P}/guideline/preview", written)
    walk("admin", f"POST {P}/guideline", written)
    walk("expert", f"POST {P}/guideline/seen")
    walk("admin", f"POST {P}/guideline/again", {"labels": "1", "expected": "3"})
    asked = {"kind": "example", "text": "This one?", "assignment": str(slot), "label": "1", "key": "k" * 16}
    walk("expert", f"POST {P}/suggestions", asked)
    answer(walk), answer(walk), answer(walk)  # an example is published only when nobody has still to answer it
    taken = {"action": "take_up"}
    walk("admin", f"POST {P}/suggestions/{{suggestion_id}}", taken, place={"suggestion_id": 1})
    answer(walk)
    body = {"text": "Three", "examples": {"clickbait": ["b"]}, "summary": "Shorter."}
    walk("admin", f"POST {A}/guideline/draft", json={"text": "Three"})
    walk("admin", f"POST {A}/guideline", json=body)
    walk("expert", f"POST {A}/guideline/seen")
    walk("admin", f"POST {A}/guideline/again", json={"labels": ["clickbait"]})
    question = {"kind": "question", "text": "Does a price count?", "key": "l" * 16}
    made = walk("expert", f"POST {A}/suggestions", json=question).json()["id"]
    reply = {"action": "decline", "answer": "No."}
    walk("admin", f"POST {A}/suggestions/{{suggestion_id}}", json=reply, place={"suggestion_id": made})
    walk("admin", f"POST {P}/practice/items", {"text": "Try", "label": "1", "explanation": "So."})
    walk("admin", f"POST {P}/practice/examples")
    first = walk.write(lambda session, _: session.scalars(select(PracticeItem.id).order_by(PracticeItem.id)).first())
    walk("expert", f"POST {P}/practice", {"item": str(first), "label": "0", "attempt": "1"})
    walk("admin", f"POST {P}/practice/items/{{item_id}}/retire", place={"item_id": first})
    added = walk("admin", f"POST {A}/practice/items", json={"text": "Again", "label": "benign"}).json()["id"]
    walk("expert", f"POST {A}/practice/answers", json={"item_id": added, "label": "benign"})
    walk("admin", f"POST {A}/practice/items/{{practice_id}}/retire", place={"practice_id": added})
    walk.write(lambda session, _: session.execute(update(PracticeItem).values(retired_at=utcnow())))
    walk("admin", f"POST {A}/practice/examples")


def labelling(walk: Walk) -> None:
    open_review(walk, items=12)
    walk("expert", f"GET {P}/label")
    walk("expert", f"GET {P}/label/next")
    walk("expert", f"POST {P}/label", {"assignment": str(hold(walk)), "label": "1", "key": "form-1-key"})
    noted = {"kind": "answer", "key": "noted-1-key", "assignment": hold(walk), "label": 0}
    walk("expert", f"POST {P}/label/noted", json=noted)
    walk("expert", f"POST {P}/label/undo", {"undo_key": "undo-1-key"})
    second = answer(walk)
    walk("expert", f"GET {P}/contrast")
    pair = {"pair_id": walk.write(lambda session, _: session.scalars(select(BoundaryPair.id)).one())}
    walk("expert", f"POST {P}/contrast/{{pair_id}}/confirm", place=pair)
    revised = {"change": f"{second}:0", "key": "revised-1-key", "reason": "On second thought."}
    walk("expert", f"POST {P}/contrast/{{pair_id}}/revise", revised, place=pair)
    walk("expert", f"POST {P}/label/skip", {"assignment": str(hold(walk)), "reason": "Odd."})
    changed = {"label": "0", "key": "changed-1-key"}
    walk("expert", f"POST {P}/answers/{{assignment_id}}", changed, place={"assignment_id": answer(walk)})
    walk("expert", f"POST {P}/label/release")
    labelling_by_api(walk)


def labelling_by_api(walk: Walk) -> None:
    slots = [walk("expert", f"POST {A}/next").json()["task"]["assignment_id"]]
    for n in (1, 2, 3):
        body = {"assignment_id": slots[-1], "label": "benign", "key": f"api-{n}-key"}
        slots.append(walk("expert", f"POST {A}/annotations", json=body).json()["next"]["task"]["assignment_id"])
    left, right, third, _ = slots
    walk("expert", f"POST {A}/undo", json={"key": "api-undo-key"})  # the third is to be answered again
    walk("expert", f"POST {A}/skip", json={"assignment_id": third})
    walk.write(lambda session, _: draw_pair(session, left, right))
    pair = {"pair_id": walk("expert", f"POST {A}/contrast").json()["pair"]["pair_id"]}
    walk("expert", f"POST {A}/contrast/{{pair_id}}/confirm", place=pair)
    revised = {"assignment_id": right, "label": "clickbait", "reason": "It hides more.", "key": "api-revised-key"}
    walk("expert", f"POST {A}/contrast/{{pair_id}}/revise", json=revised, place=pair)
    changed = {"label": "clickbait", "key": "api-changed-key", "note": "On second thought."}
    walk("expert", f"POST {A}/answers/{{assignment_id}}", json=changed, place={"assignment_id": left})
    hold(walk)
    assert walk("expert", f"POST {A}/release").json()["released"] > 0


def draw_pair(session, left: int, right: int) -> None:
    """Of the texts of two assignments."""
    one, other = session.get_one(Assignment, left), session.get_one(Assignment, right)
    session.add(pair_of(one.round_id, one.item_id, other.item_id, rank=1))


def put(walk: Walk, **values) -> None:
    """The newest round, moved on by hand."""
    walk.write(lambda session, _: session.execute(update(Round).where(Round.state != "cancelled").values(**values)))


def rounds(walk: Walk) -> None:
    for number, (base, close) in enumerate(((f"{P}/rounds", "close"), (f"{A}/rounds", "close-review")), start=1):
        place = {"number": number}
        walk("admin", f"POST {base}")
        walk("admin", f"POST {base}/{{number}}/pause", place=place)
        walk("admin", f"POST {base}/{{number}}/resume", place=place)
        put(walk, state="failed", failed_state="preparing", error="No model.")
        walk("admin", f"POST {base}/{{number}}/retry", place=place)
        put(walk, state="review")
        walk.write(give_slots)
        answer(walk)
        walk("admin", f"POST {base}/{{number}}/{close}", place=place)
        walk("admin", f"POST {base}/{{number}}/cancel", place=place)


def give_slots(session, _: Project) -> None:
    round_ = session.scalars(select(Round).where(Round.state == "review")).one()
    for slot in range(2):
        item = session.scalars(select(Item.id).order_by(Item.id)).first()
        session.add(Assignment(round_id=round_.id, item_id=item, slot=slot, position=0))


def decisions(walk: Walk) -> None:
    items = open_review(walk)
    walk.write(tie_all)
    decision = {"label": "1", "reason": "It hides the price."}
    ties = [f"{base}/rounds/{{number}}/ties/{{item_id}}" for base in (P, A)]
    walk("admin", f"POST {ties[0]}", decision, place={"item_id": items[0]})
    walk("admin", f"POST {ties[1]}", json=decision | {"label": "clickbait"}, place={"item_id": items[1]})
    for base, item in ((P, items[0]), (A, items[1])):
        walk("admin", f"POST {base}/rulings/{{item_id}}/example", place={"item_id": item})
    put(walk, settings={"adjudicators": "two_experts"})
    vote, place = decision | {"label": "clickbait"}, {"item_id": items[2]}
    walk("expert", f"POST {A}/rounds/{{number}}/votes/{{item_id}}", json=vote, place=place)
    put(walk, settings={})
    walk("admin", f"POST {P}/rounds/{{number}}/ties")
    put(walk, state="adjudicating", ties_left_out=False)
    walk("admin", f"POST {A}/rounds/{{number}}/leave-ties-out")
    walk.write(lambda session, _: draw_map(session, session.scalars(select(Round)).one()))
    for route in (f"{P}/map/{{number}}/{{side}}/redraw", f"{A}/rounds/{{number}}/map/redraw"):
        walk.write(lambda session, _: session.execute(update(BoundaryMap).values(state="failed")))
        walk("admin", f"POST {route}", place={"side": "before"})


def tie_all(session, _: Project) -> None:
    round_ = session.scalars(select(Round)).one()
    round_.state = "adjudicating"
    for item in session.scalars(select(Assignment.item_id).distinct()):
        session.add(ConsensusLabel(round_id=round_.id, item_id=item, source="tie", votes=2))


def models(walk: Walk) -> None:
    history = make_history(walk.scene.db, rounds=1, admin=walk.scene.users["admin"])
    walk.scene.slug, walk.scene.project_id = history.slug, history.project_id
    trained = update(ModelVersion).where(ModelVersion.kind == "trained")
    walk.write(lambda session, _: session.execute(trained.values(artifact_key="models/1")))
    target = walk.write(ready_for_a_round)
    place = {"version": 1}
    walk("admin", f"POST {P}/models/{{version}}/try", {"texts": "One text"}, place=place)
    walk("admin", f"POST {A}/predict", json={"texts": ["Another text"]}, params={"wait": "0"})
    walk("admin", f"POST {P}/models/{{version}}/prelabel", {"target": target}, place=place)
    walk("admin", f"POST {A}/models/{{version}}/prelabel", json={"project": target}, place=place)
    walk("admin", f"POST {P}/models/{{version}}/round", place=place)
    walk.write(lambda session, _: session.execute(update(Round).where(Round.number == 2).values(state="cancelled")))
    walk("admin", f"POST {A}/models/{{version}}/rounds", place=place)


def ready_for_a_round(session, project: Project) -> str:
    """And another project of the same labels, whose slug comes back."""
    project.settings = projects.settings_of(project).model_dump() | {"overlap": 1}
    make_items(session, project, [f"more {n}" for n in range(20)])
    session.flush()
    admin = session.scalars(select(User).where(User.email == "admin@example.org")).one()
    return make_project(session, labels=project.labels, admin=admin).slug


CHAPTERS = {
    chapter.__name__: chapter
    for chapter in (account, project, people, pool, guideline, labelling, rounds, decisions, models)
}
