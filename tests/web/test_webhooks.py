"""The page of webhooks as admin, and that nobody else sees it; the same by API."""

import re

import pytest

from app.db.tables import User
from app.services import webhooks
from tests.factories import make_project

URL = "https://hooks.example.org/linecall?key=hidden"


def test_an_admin_adds_one_sees_its_secret_once_tests_it_and_removes_it(scene):
    admin = scene.browser("admin")
    shown = admin.post(scene.path("/webhooks"), {"address": URL, "events": ["round.done", "round.failed"]}).text
    assert re.search(r'value="whsec_[A-Za-z0-9+/=]{44}"', shown)
    page = admin.get(scene.path("/webhooks")).text
    assert "whsec_" not in page
    assert "round.done, round.failed" in page
    with scene.db.read() as session:
        (hook,) = webhooks.list_webhooks(session, scene.project_id)
    assert admin.post(scene.path(f"/webhooks/{hook.id}/test")).status_code == 303
    waiting = admin.get(scene.path("/webhooks"), headers={"HX-Request": "true"}).text
    assert "Not tried yet" in waiting
    assert 'hx-trigger="every 2s"' in waiting
    assert "No worker is running" in waiting
    assert "<form" in waiting
    assert 'name="address"' not in waiting, "what somebody types stays"
    with scene.db.write() as session:
        webhooks.deliveries(session, hook.id)[0].attempts = 1
    assert 'hx-trigger="every' not in admin.get(scene.path("/webhooks")).text
    assert admin.post(scene.path(f"/webhooks/{hook.id}/remove")).status_code == 303
    assert admin.post(scene.path(f"/webhooks/{hook.id}/remove")).status_code == 404
    assert "No webhook yet" in admin.get(scene.path("/webhooks")).text
    log = admin.get(scene.path("/audit")).text
    for action in ("webhook.added", "webhook.tested", "webhook.removed"):
        assert action in log
    assert "key=hidden" not in log


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://example.org", "begins with https"),
        ("https://", "begins with https"),
        ("https://example.org:0/", "begins with https"),
        ("https://user:pass@example.org/", "Leave name and password out"),
        ("https://exämple.org/", "plain characters"),
        ("https://example.org/a b", "no spaces"),
        ("https://[::1/", "not an address"),
    ],
)
def test_a_wrong_address_is_refused_beside_its_field(scene, address, why):
    answer = scene.browser("admin").post(scene.path("/webhooks"), {"address": address})
    assert answer.status_code == 422
    assert why in answer.text
    with scene.db.read() as session:
        assert webhooks.list_webhooks(session, scene.project_id) == []


def test_an_address_is_told_once_and_unknown_events_are_refused(scene):
    admin = scene.browser("admin")
    assert admin.post(scene.path("/webhooks"), {"address": URL}).status_code == 200
    assert admin.post(scene.path("/webhooks"), {"address": URL}).status_code == 409
    assert admin.post(scene.path("/webhooks"), {"address": URL + "2", "events": ["all"]}).status_code == 422


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404), (None, 303)])
def test_others_do_not(scene, who, status):
    browser = scene.browser(who)
    assert browser.get(scene.path("/webhooks")).status_code == status
    assert browser.post(scene.path("/webhooks"), {"address": URL}).status_code == status


def test_an_admin_of_another_project_can_not_touch_it(scene):
    with scene.db.write() as session:
        other = make_project(session, admin=session.get_one(User, scene.users["admin"])).slug
    admin = scene.browser("admin")
    admin.post(scene.path("/webhooks"), {"address": URL})
    with scene.db.read() as session:
        (hook,) = webhooks.list_webhooks(session, scene.project_id)
    for what in ("test", "remove"):
        assert admin.post(f"/p/{other}/webhooks/{hook.id}/{what}").status_code == 404
