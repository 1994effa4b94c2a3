"""Members, invitations and sign-in links, seen by an admin, an expert and an outsider."""

import re
from datetime import timedelta

import pytest

from app.db.base import utcnow
from app.db.tables import Project
from app.services import accounts, invitations
from tests.factories import make_items
from tests.services.review_factories import add_round
from tests.web.conftest import link_in

NEW = {"name": "Dora", "email": "dora@example.org", "password": "correct horse battery"}


@pytest.mark.parametrize(("who", "status"), [("admin", 200), ("expert", 403), ("outsider", 404), (None, 303)])
def test_only_an_admin_sees_the_people(scene, who, status):
    response = scene.browser(who).get(scene.path("/people"))
    assert response.status_code == status
    assert ("expert@example.org" in response.text) == (who == "admin")


@pytest.mark.parametrize(("who", "status"), [("admin", 200), ("expert", 403), ("outsider", 404)])
def test_only_an_admin_invites(scene, who, status):
    assert scene.browser(who).post(scene.path("/people/invitations"), {"role": "admin"}).status_code == status
    with scene.db.read() as session:
        assert len(invitations.open_invitations(session, scene.project_id)) == (1 if who == "admin" else 0)


def test_to_an_outsider_a_project_looks_like_one_that_does_not_exist(scene):
    browser = scene.browser("outsider")
    real, none = browser.get(scene.path("/people")), browser.get("/p/no-such-project/people")
    assert real.status_code == none.status_code == 404
    assert _same(real, none)


def _same(one, other) -> bool:
    """Equal but for the form token, which is fresh on every page."""
    token = re.compile(r"[0-9a-f]{96}")
    return token.sub("", one.text) == token.sub("", other.text)


def test_an_invitation_link_works_for_one_person_once(scene):
    page = scene.browser("admin").post(scene.path("/people/invitations"), {"role": "expert", "name": "Dora"})
    link = link_in(page.text)
    assert link not in scene.browser("admin").get(scene.path("/people")).text
    dora = scene.browser()
    assert 'value="Dora"' in dora.get(link).text
    assert dora.post(link, NEW).status_code == 303
    assert dora.get("/account").status_code == 200
    assert dora.get(scene.path("/people")).status_code == 403
    second = scene.browser()
    assert second.get(link).status_code == 410
    assert second.post(link, NEW | {"email": "eve@example.org"}).status_code == 410
    with scene.db.read() as session:
        assert accounts.find_user(session, "eve@example.org") is None


def test_looking_at_a_link_does_not_spend_it(scene):
    link = link_in(scene.browser("admin").post(scene.path("/people/invitations"), {"role": "expert"}).text)
    for _ in range(3):
        assert scene.browser().get(link).status_code == 200
    assert scene.browser().post(link, NEW).status_code == 303


def test_an_expired_or_withdrawn_invitation_is_gone(scene):
    with scene.db.write() as session:
        old, _ = invitations.invite(
            session,
            scene.project_id,
            "expert",
            days=1,
            by_user_id=scene.users["admin"],
            now=utcnow() - timedelta(days=2),
        )
    assert scene.browser().get(f"/invitation/{old}").status_code == 410
    assert scene.browser().post(f"/invitation/{old}", NEW).status_code == 410
    admin = scene.browser("admin")
    link = link_in(admin.post(scene.path("/people/invitations"), {"role": "expert"}).text)
    with scene.db.read() as session:
        row = invitations.open_invitations(session, scene.project_id)[0]
    assert admin.post(scene.path(f"/people/invitations/{row.id}/withdraw")).status_code == 303
    assert scene.browser().get(link).status_code == 410


def test_a_mistake_in_the_invitation_form_keeps_the_link_and_what_was_typed(scene):
    link = link_in(scene.browser("admin").post(scene.path("/people/invitations"), {"role": "expert"}).text)
    browser = scene.browser()
    again = browser.post(link, NEW | {"password": "short"})
    assert again.status_code == 422
    assert "at least 10 characters" in again.text
    assert 'value="dora@example.org"' in again.text
    assert browser.post(link, NEW).status_code == 303


def test_someone_with_an_account_joins_with_it(scene):
    link = link_in(scene.browser("admin").post(scene.path("/people/invitations"), {"role": "expert"}).text)
    taken = scene.browser().post(link, NEW | {"email": "outsider@example.org"})
    assert taken.status_code == 409
    assert "sign in" in taken.text
    outsider = scene.browser("outsider")
    assert "Join as Outsider" in outsider.get(link).text
    assert outsider.post(f"{link}/join").status_code == 303
    assert outsider.get(scene.path("/people")).status_code == 403


def test_a_sign_in_link_opens_the_account_once(scene):
    page = scene.browser("admin").post(scene.path(f"/people/{scene.users['expert']}/sign-in-link"))
    link = link_in(page.text)
    browser = scene.browser()
    assert browser.get(link).status_code == 200
    assert browser.get("/account").status_code == 303
    assert browser.post(link).headers["location"] == "/"
    assert "Expert" in browser.get("/account").text
    assert scene.browser().post(link).status_code == 410


@pytest.mark.parametrize(("who", "status"), [("expert", 403), ("outsider", 404)])
@pytest.mark.parametrize("what", ["role", "remove", "sign-in-link"])
def test_only_an_admin_changes_members(scene, who, status, what):
    path = scene.path(f"/people/{scene.users['expert']}/{what}")
    assert scene.browser(who).post(path, {"role": "admin"}).status_code == status
    with scene.db.read() as session:
        assert len(accounts.members(session, scene.project_id)) == 2


def test_an_admin_makes_no_sign_in_link_for_someone_outside_the_project(scene):
    path = scene.path(f"/people/{scene.users['outsider']}/sign-in-link")
    assert scene.browser("admin").post(path).status_code == 404


def test_a_removed_member_is_out_at_once_and_the_last_admin_stays(scene):
    admin, expert = scene.browser("admin"), scene.browser("expert")
    assert expert.get(scene.path("/people")).status_code == 403
    assert admin.post(scene.path(f"/people/{scene.users['expert']}/remove")).status_code == 303
    assert expert.get(scene.path("/people")).status_code == 404
    assert admin.post(scene.path(f"/people/{scene.users['admin']}/remove")).status_code == 409
    assert admin.post(scene.path(f"/people/{scene.users['admin']}/role"), {"role": "expert"}).status_code == 409


def test_a_changed_role_shows_once_as_a_notice(scene):
    admin = scene.browser("admin")
    back = admin.post(scene.path(f"/people/{scene.users['expert']}/role"), {"role": "admin"})
    first = admin.get(back.headers["location"]).text
    assert "The role is changed." in first
    assert "The role is changed." not in admin.get(back.headers["location"]).text
    assert scene.browser("expert").get(scene.path("/people")).status_code == 200


def test_the_first_page_lists_ones_projects_and_no_others(scene):
    assert scene.slug in scene.browser("admin").get("/").text
    outsider = scene.browser("outsider").get("/")
    assert scene.slug not in outsider.text
    assert "You are in no project yet" in outsider.text


def test_an_admin_is_warned_before_somebody_who_saw_the_models_labels_answers(scene):
    with scene.db.write() as session:
        project = session.get_one(Project, scene.project_id)
        add_round(session, project, [item.id for item in make_items(session, project, 1)], overlap=1)
        accounts.add_member(session, project.id, scene.users["outsider"], "viewer")
    admin, role = scene.browser("admin"), scene.path(f"/people/{scene.users['outsider']}/role")
    warned = admin.post(role, {"role": "expert"})
    assert warned.status_code == 409
    assert "has been able to see the model&#39;s labels" in warned.text or "see the model's labels" in warned.text
    assert "Make Outsider an expert all the same" in warned.text
    assert scene.browser("outsider").get(scene.path("/label")).status_code == 403
    assert admin.post(role, {"role": "expert", "although_seen": "true"}).status_code == 303
    assert scene.browser("outsider").get(scene.path("/label")).status_code == 200
    page = admin.get(scene.path("/people")).text
    assert page.count("has seen the model") == 1, "the expert who has seen nothing is not marked"
    assert "saw_model" in admin.get(scene.path("/audit")).text
