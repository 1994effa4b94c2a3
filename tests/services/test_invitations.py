"""Links that work once."""

import threading
from datetime import timedelta

import pytest

from app.db.base import utcnow
from app.db.tables import AuditEvent
from app.errors import Conflict, Forbidden, Gone, InvalidInput
from app.services import accounts, invitations
from tests.factories import make_member, make_project, make_user

NEW = {"email": "dora@example.org", "name": "Dora", "password": "correct horse battery"}


def invite(session, project, admin, role="expert", **values):
    return invitations.invite(session, project.id, role, days=14, by_user_id=admin.id, **values)[0]


@pytest.fixture
def scene(db):
    with db.write() as session:
        admin = make_user(session, "Ana")
        return db, admin, make_project(session, admin=admin)


def test_an_invitation_makes_an_account_and_a_member_with_its_role(scene):
    db, admin, project = scene
    with db.write() as session:
        token = invite(session, project, admin, "admin")
        assert invitations.look_up(session, token).invited_by == "Ana"
        user = invitations.accept_as_new(session, token, **NEW)
        assert (user.id, "admin") in [(u.id, m.role) for u, m in accounts.members(session, project.id)]
        assert accounts.authenticate(session, NEW["email"], NEW["password"]).id == user.id
        assert invitations.open_invitations(session, project.id) == []


def test_an_invitation_works_once(scene):
    db, admin, project = scene
    with db.write() as session:
        token = invite(session, project, admin)
        invitations.accept_as_new(session, token, **NEW)
        with pytest.raises(Gone):
            invitations.accept_as_new(session, token, **NEW | {"email": "second@example.org"})
        assert accounts.find_user(session, "second@example.org") is None


def test_two_browsers_at_the_same_moment_make_one_account(scene):
    db, admin, project = scene
    with db.write() as session:
        token = invite(session, project, admin)
    barrier, outcomes = threading.Barrier(2), []

    def accept(email: str) -> None:
        barrier.wait()
        try:
            with db.write() as session:
                invitations.accept_as_new(session, token, **NEW | {"email": email})
            outcomes.append("joined")
        except Gone:
            outcomes.append("gone")

    threads = [threading.Thread(target=accept, args=(f"{name}@example.org",)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["gone", "joined"]
    with db.read() as session:
        assert len(accounts.members(session, project.id)) == 2


def test_an_invitation_ends_by_expiry_withdrawal_or_the_project_being_deleted(scene):
    db, admin, project = scene
    now = utcnow()
    with db.write() as session:
        token = invite(session, project, admin, now=now)
        invitations.look_up(session, token, now + timedelta(days=13))
        with pytest.raises(Gone):
            invitations.accept_as_new(session, token, **NEW, now=now + timedelta(days=14))
        row = invitations.open_invitations(session, project.id)[0]
        invitations.withdraw(session, project.id, row.id, by_user_id=admin.id)
        with pytest.raises(Gone):
            invitations.look_up(session, token)
        with pytest.raises(Gone):
            invitations.withdraw(session, project.id, row.id, by_user_id=admin.id)
        later = invite(session, project, admin)
        session.merge(project).deleted_at = now
        session.flush()
        with pytest.raises(Gone):
            invitations.look_up(session, later)


def test_an_admin_of_another_project_cannot_withdraw_it(scene):
    db, admin, project = scene
    with db.write() as session:
        token = invite(session, project, admin)
        elsewhere = make_project(session, admin=admin)
        row = invitations.open_invitations(session, project.id)[0]
        with pytest.raises(Gone):
            invitations.withdraw(session, elsewhere.id, row.id, by_user_id=admin.id)
        invitations.look_up(session, token)


def test_an_invitation_with_an_address_is_for_that_address_only(scene):
    db, admin, project = scene
    with db.write() as session:
        token = invite(session, project, admin, email="Dora@example.org")
        other = make_user(session)
        with pytest.raises(InvalidInput):
            invitations.accept_as_new(session, token, **NEW | {"email": "eve@example.org"})
        with pytest.raises(InvalidInput):
            invitations.accept_as(session, token, other)
        invitations.accept_as_new(session, token, **NEW)


def test_a_second_invitation_to_an_address_ends_the_first(scene):
    db, admin, project = scene
    with db.write() as session:
        first = invite(session, project, admin, email="dora@example.org")
        bystander = invite(session, project, admin, email="eve@example.org")
        second = invite(session, project, admin, email="dora@example.org")
        with pytest.raises(Gone):
            invitations.look_up(session, first)
        invitations.look_up(session, bystander)
        invitations.look_up(session, second)


def test_a_link_never_takes_over_an_account_that_exists(scene):
    db, admin, project = scene
    with db.write() as session:
        dora = accounts.create_user(session, **NEW)
        token = invite(session, project, admin)
        with pytest.raises(Conflict):
            invitations.accept_as_new(session, token, **NEW | {"password": "a new password"})
        assert accounts.authenticate(session, NEW["email"], NEW["password"]).id == dora.id
        invitations.accept_as(session, token, dora)
        assert dora.id in [user.id for user, _ in accounts.members(session, project.id)]


def test_a_sign_in_link_works_once_and_for_a_day(scene):
    db, admin, _ = scene
    now = utcnow()
    with db.write() as session:
        late = invitations.create_sign_in_link(session, admin.id, now=now)
        token = invitations.create_sign_in_link(session, admin.id, now=now)
        assert invitations.use_sign_in_link(session, token, now + timedelta(hours=23)).id == admin.id
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, token, now)
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, late, now + timedelta(hours=24))
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, "no such link")


def test_a_sign_in_link_does_not_open_a_disabled_account(scene):
    db, _, _ = scene
    with db.write() as session:
        user = make_user(session)
        token = invitations.create_sign_in_link(session, user.id)
        accounts.set_disabled(session, user, disabled=True)
        session.flush()
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, token)


def test_a_new_password_ends_the_persons_sign_in_links_and_nobody_elses(scene):
    db, admin, project = scene
    with db.write() as session:
        dora, eve = make_user(session), make_user(session)
        ended, stands = (invitations.create_sign_in_link(session, user.id) for user in (dora, eve))
        invited = invite(session, project, admin)
        accounts.set_password(session, dora.id, "correct horse battery")
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, ended)
        assert invitations.use_sign_in_link(session, stands).id == eve.id
        invitations.look_up(session, invited)


def test_an_account_that_is_enabled_again_gets_no_links_back(scene):
    db, _, project = scene
    with db.write() as session:
        other = make_user(session)
        make_member(session, project, other, "admin")
        link, invited = invitations.create_sign_in_link(session, other.id), invite(session, project, other, "admin")
        accounts.set_disabled(session, other, disabled=True)
        with pytest.raises(Gone):
            invitations.look_up(session, invited)
        accounts.set_disabled(session, other, disabled=False)
        session.flush()
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, link)


@pytest.mark.parametrize("change", ["promoted", "elsewhere", "maker removed", "maker disabled", None])
def test_a_sign_in_link_works_while_its_maker_could_make_it(scene, change):
    db, admin, project = scene
    with db.write() as session:
        dora, other = make_user(session), make_user(session)
        make_member(session, project, dora)
        make_member(session, project, other, "admin")
        link = invitations.create_sign_in_link(session, dora.id, by_user_id=other.id)
        if change == "promoted":
            dora.is_site_admin = True
        elif change == "elsewhere":
            make_project(session, experts=[dora])
        elif change == "maker removed":
            accounts.remove_member(session, project.id, other.id, by_user_id=admin.id)
        elif change == "maker disabled":
            accounts.set_disabled(session, other, disabled=True)
        session.flush()
        if change is None:
            assert invitations.use_sign_in_link(session, link).id == dora.id
            return
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, link)


@pytest.mark.parametrize("role", [None, "lead"])
def test_an_admin_who_goes_leaves_no_way_back_in(scene, role):
    db, admin, project = scene
    with db.write() as session:
        other = make_user(session)
        make_member(session, project, other, "admin")
        elsewhere = make_project(session, admin=other)
        own = [invite(session, project, other, "admin", email=email) for email in ("", other.email)]
        bystander, there = invite(session, project, admin), invite(session, elsewhere, other)
        ids = sorted(row.id for row in invitations.open_invitations(session, project.id) if row.role == "admin")
        if role:
            accounts.change_role(session, project.id, other.id, role, by_user_id=admin.id)
        else:
            accounts.remove_member(session, project.id, other.id, by_user_id=admin.id)
        for token in own:
            with pytest.raises(Gone):
                invitations.accept_as(session, token, other)
        assert other.id not in [user.id for user, m in accounts.members(session, project.id) if m.role == "admin"]
        invitations.look_up(session, bystander)
        invitations.look_up(session, there)
        noted = session.query(AuditEvent).order_by(AuditEvent.id.desc()).first()
        assert noted.detail["invitations_ended"] == ids


def test_an_invitation_is_no_sign_in_link_nor_the_other_way_round(scene):
    db, admin, project = scene
    with db.write() as session:
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, invite(session, project, admin))
        with pytest.raises(Gone):
            invitations.look_up(session, invitations.create_sign_in_link(session, admin.id))


def test_a_project_admin_makes_sign_in_links_only_for_people_with_nothing_elsewhere(scene):
    db, admin, project = scene
    with db.write() as session:
        here, elsewhere, outsider = make_user(session), make_user(session), make_user(session)
        root = make_user(session, is_site_admin=True)
        for user in (here, elsewhere, root):
            make_member(session, project, user)
        make_project(session, experts=[elsewhere])
        invitations.require_may_sign_in_for(session, admin, here.id)
        for user in (elsewhere, outsider, root):
            with pytest.raises(Forbidden):
                invitations.require_may_sign_in_for(session, admin, user.id)
            invitations.require_may_sign_in_for(session, root, user.id)
        with pytest.raises(Forbidden):
            invitations.require_may_sign_in_for(session, here, here.id)


def test_a_token_makes_no_sign_in_link_that_is_more_than_itself(scene):
    db, admin, project = scene
    with db.write() as session:
        expert, root = make_user(session), make_user(session, is_site_admin=True)
        make_member(session, project, expert)
        make_member(session, project, root)
        for actor in (admin, root):
            whole, limited = (
                accounts.create_api_token(session, actor.id, "script", scopes=scopes)[1] for scopes in ((), ["manage"])
            )
            invitations.require_may_sign_in_for(session, actor, expert.id, token=whole)
            for user, token in ((expert, limited), (actor, whole), (root, whole)):
                with pytest.raises(Forbidden):
                    invitations.require_may_sign_in_for(session, actor, user.id, token=token)
        invitations.require_may_sign_in_for(session, admin, admin.id)
