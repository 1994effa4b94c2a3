"""Users, sign-ins, API tokens and memberships."""

import threading
from datetime import timedelta
from functools import partial

import pytest
from argon2 import Type
from sqlalchemy import event, select

from app.db.base import utcnow
from app.db.tables import ApiToken, AuditEvent, Membership, User, UserSession
from app.errors import Conflict, Forbidden, InvalidInput, NotFound, NotSignedIn
from app.services import accounts, passwords
from tests.factories import make_member, make_project, make_user

PASSWORD = "correct horse battery"


def statements_of(session, work):
    """What ``work`` returns, and the SQL statements that it sent."""
    sent = []
    engine = session.get_bind()
    listener = lambda *args: sent.append(args[2])  # noqa: E731
    event.listen(engine, "before_cursor_execute", listener)
    try:
        return work(), [statement for statement in sent if not statement.startswith("BEGIN")]
    finally:
        event.remove(engine, "before_cursor_execute", listener)


def sign_in(session, user, **values):
    return accounts.start_session(session, user.id, days=14, **values)


def test_an_installation_is_empty_until_its_first_account(db):
    with db.write() as session:
        assert accounts.nobody_yet(session)
        accounts.create_user(session, email="ana@example.org", name="Ana")
        assert not accounts.nobody_yet(session)


def test_hashing_costs_what_owasp_asks_for(own_hasher):
    assert (own_hasher.type, own_hasher.time_cost, own_hasher.parallelism) == (Type.ID, 2, 1)
    assert own_hasher.memory_cost >= 19 * 1024  # KiB


def test_a_password_is_stored_only_as_an_argon2id_hash(db):
    with db.write() as session:
        user = accounts.create_user(session, email=" Ana@Example.ORG ", name=" Ana  M ", password=PASSWORD)
        assert user.password_hash.startswith("$argon2id$")
        assert (user.email, user.name) == ("ana@example.org", "Ana M")
        assert accounts.authenticate(session, "ANA@example.org", PASSWORD).id == user.id


@pytest.mark.parametrize("password", ["short", "aaaaaaaaaaaaaaa", "x" * 201])
def test_a_weak_or_huge_password_is_refused(db, password):
    with db.write() as session, pytest.raises(InvalidInput) as refused:
        accounts.create_user(session, email="ana@example.org", name="Ana", password=password)
    assert refused.value.detail["field"] == "password"


@pytest.mark.parametrize("email", ["", "ana", "ana@host", "a b@example.org", "<a@example.org>", "a@@example.org"])
def test_what_is_no_address_is_refused(db, email):
    with db.write() as session, pytest.raises(InvalidInput):
        accounts.create_user(session, email=email, name="Ana", password=None)


def test_an_address_has_one_account_whatever_its_case(db):
    with db.write() as session:
        accounts.create_user(session, email="ana@example.org", name="Ana")
        with pytest.raises(Conflict):
            accounts.create_user(session, email="ANA@example.org", name="Another")


def test_a_wrong_password_an_unknown_address_and_a_disabled_account_get_the_same_answer(db):
    with db.write() as session:
        user = accounts.create_user(session, email="ana@example.org", name="Ana", password=PASSWORD)
        gone = accounts.create_user(session, email="gone@example.org", name="Gone", password=PASSWORD)
        accounts.create_user(session, email="link@example.org", name="Link only")
        accounts.set_disabled(session, gone, disabled=True)
        answers = set()
        for email, password in (
            (user.email, "wrong horse battery"),
            ("nobody@example.org", PASSWORD),
            (gone.email, PASSWORD),
            ("link@example.org", PASSWORD),
            ("link@example.org", "a password that nobody has"),
        ):
            with pytest.raises(InvalidInput) as refused:
                accounts.authenticate(session, email, password)
            answers.add((refused.value.message, str(refused.value.detail)))
    assert len(answers) == 1


def test_an_unknown_address_costs_a_hash_too(db, monkeypatch):
    checked = []
    original = passwords.verify
    monkeypatch.setattr(passwords, "verify", lambda *args: checked.append(args) or original(*args))
    with db.read() as session, pytest.raises(InvalidInput):
        accounts.authenticate(session, "nobody@example.org", PASSWORD)
    assert checked == [(None, PASSWORD)]


def test_a_session_resolves_with_project_and_role_in_one_statement(db):
    with db.write() as session:
        ana = make_user(session)
        project = make_project(session, experts=[ana])
        token = sign_in(session, ana)
        slug = project.slug
    with db.read() as session:
        access, sent = statements_of(session, lambda: accounts.resolve_session(session, token, slug))
    assert len(sent) == 1
    assert (access.user.id, access.project.id, access.role) == (ana.id, project.id, "expert")


def test_an_outsider_resolves_without_a_role_and_a_wrong_slug_without_a_project(db):
    with db.write() as session:
        token = sign_in(session, make_user(session))
        project = make_project(session)
        outsider = accounts.resolve_session(session, token, project.slug)
        nowhere = accounts.resolve_session(session, token, "no-such-project")
        assert outsider.role is None
        assert (nowhere.project, nowhere.role) == (None, None)
        assert accounts.resolve_session(session, token).project is None


def test_a_removed_member_and_a_deleted_project_give_no_role(db):
    with db.write() as session:
        ana, admin = make_user(session), make_user(session)
        project = make_project(session, admin=admin, experts=[ana])
        token = sign_in(session, ana)
        accounts.remove_member(session, project.id, ana.id, by_user_id=admin.id)
        assert accounts.resolve_session(session, token, project.slug).role is None
        accounts.add_member(session, project.id, ana.id, "expert")
        assert accounts.resolve_session(session, token, project.slug).role == "expert"
        project.deleted_at = utcnow()
        session.flush()
        assert accounts.resolve_session(session, token, project.slug).project is None


def test_a_site_admin_is_admin_of_every_project_and_lists_them_all(db):
    with db.write() as session:
        root = make_user(session, is_site_admin=True)
        one, two = make_project(session, name="B", experts=[root]), make_project(session, name="a")
        token = sign_in(session, root)
        assert accounts.resolve_session(session, token, two.slug).role == "admin"
        assert [(p.id, role) for p, role in accounts.projects_of(session, root)] == [
            (two.id, "admin"),
            (one.id, "admin"),
        ]
        someone = make_user(session)
        make_member(session, one, someone)
        assert [(p.id, role) for p, role in accounts.projects_of(session, someone)] == [(one.id, "expert")]


def test_the_token_itself_is_not_in_the_database(db):
    with db.write() as session:
        token = sign_in(session, make_user(session))
        stored = session.scalars(select(UserSession.token_hash)).one()
    assert stored == accounts.hash_secret(token)
    assert token.encode() not in stored


def test_a_session_ends_by_expiry_revocation_or_a_disabled_account(db):
    now = utcnow()
    with db.write() as session:
        ana = make_user(session)
        token = sign_in(session, ana, now=now)
        assert accounts.resolve_session(session, token, now=now + timedelta(days=13, hours=23))
        assert accounts.resolve_session(session, token, now=now + timedelta(days=14)) is None
        accounts.set_disabled(session, ana, disabled=True)
        session.flush()
        assert accounts.resolve_session(session, token) is None
        accounts.set_disabled(session, ana, disabled=False)
        session.flush()
        session_id = accounts.resolve_session(session, token).session_id
        accounts.revoke_session(session, ana.id, session_id)
        assert accounts.resolve_session(session, token) is None


def test_nobody_revokes_another_persons_session_or_token(db):
    with db.write() as session:
        ana, cem = make_user(session), make_user(session)
        session_id = accounts.resolve_session(session, sign_in(session, ana)).session_id
        _, row = accounts.create_api_token(session, ana.id, "script")
        with pytest.raises(NotFound):
            accounts.revoke_session(session, cem.id, session_id)
        with pytest.raises(NotFound):
            accounts.revoke_api_token(session, cem.id, row.id)


def test_a_new_password_signs_out_every_browser_but_this_one(db):
    with db.write() as session:
        ana = accounts.create_user(session, email="ana@example.org", name="Ana", password=PASSWORD)
        here, there = sign_in(session, ana), sign_in(session, ana)
        keep = accounts.resolve_session(session, here).session_id
        with pytest.raises(InvalidInput):
            accounts.require_password(session, ana.id, "not my password")
        accounts.require_password(session, ana.id, PASSWORD)
        accounts.set_password(session, ana.id, "another horse battery", keep=keep)
        assert accounts.resolve_session(session, here)
        assert accounts.resolve_session(session, there) is None
        session.expire_all()
        assert accounts.authenticate(session, "ana@example.org", "another horse battery")


def test_revoking_all_sessions_says_how_many(db):
    with db.write() as session:
        ana = make_user(session)
        for _ in range(3):
            sign_in(session, ana)
        assert accounts.revoke_all_sessions(session, ana.id) == 3
        assert accounts.active_sessions(session, ana.id) == []


def test_an_api_token_works_until_it_expires_or_is_revoked(db):
    now = utcnow()
    with db.write() as session:
        ana = make_user(session)
        project = make_project(session, experts=[ana])
        token, row = accounts.create_api_token(session, ana.id, "script", days=1, now=now)
        session.flush()  # the audit record
        access, sent = statements_of(session, lambda: accounts.resolve_api_token(session, token, project.slug, now=now))
        assert len(sent) == 1
        assert (access.user.id, access.role, access.session_id) == (ana.id, "expert", None)
        assert token.startswith("lc_")
        assert row.hint == token[:8]
        assert accounts.resolve_api_token(session, token, now=now + timedelta(days=1)) is None
        lasting, lasting_row = accounts.create_api_token(session, ana.id, "lasting", now=now)
        assert accounts.resolve_api_token(session, lasting, now=now + timedelta(days=3650))
        accounts.revoke_api_token(session, ana.id, lasting_row.id)
        assert accounts.resolve_api_token(session, lasting) is None
        assert session.scalars(select(ApiToken.token_hash).where(ApiToken.id == row.id)).one() != token.encode()


def test_a_session_token_is_no_api_token_nor_the_other_way_round(db):
    with db.write() as session:
        ana = make_user(session)
        token, _ = accounts.create_api_token(session, ana.id, "script")
        assert accounts.resolve_session(session, token) is None
        assert accounts.resolve_api_token(session, sign_in(session, ana)) is None


def test_the_last_admin_can_neither_leave_nor_step_down(db):
    with db.write() as session:
        admin, other = make_user(session), make_user(session)
        project = make_project(session, admin=admin, experts=[other])
        for attempt in (
            lambda: accounts.remove_member(session, project.id, admin.id, by_user_id=admin.id),
            lambda: accounts.change_role(session, project.id, admin.id, "expert", by_user_id=admin.id),
        ):
            with pytest.raises(Conflict):
                attempt()
        accounts.change_role(session, project.id, other.id, "admin", by_user_id=admin.id)
        accounts.remove_member(session, project.id, admin.id, by_user_id=other.id)
        assert [user.id for user, _ in accounts.members(session, project.id)] == [other.id]


def test_a_member_keeps_the_higher_role_and_comes_back_with_the_new_one(db):
    with db.write() as session:
        first, ana = make_user(session), make_user(session)
        project = make_project(session, admin=first)
        accounts.add_member(session, project.id, ana.id, "admin")
        assert accounts.add_member(session, project.id, ana.id, "expert").role == "admin"
        accounts.remove_member(session, project.id, ana.id, by_user_id=first.id)
        assert accounts.add_member(session, project.id, ana.id, "expert").role == "expert"
        rows = session.scalars(select(Membership).where(Membership.user_id == ana.id)).all()
        assert len(rows) == 1
        with pytest.raises(InvalidInput):
            accounts.add_member(session, project.id, ana.id, "owner")


def test_changes_of_membership_are_in_the_audit_record(db):
    with db.write() as session:
        admin, ana = make_user(session), make_user(session)
        project = make_project(session, admin=admin)
        accounts.add_member(session, project.id, ana.id, "expert", by_user_id=admin.id)
        accounts.change_role(session, project.id, ana.id, "admin", by_user_id=admin.id)
        accounts.remove_member(session, project.id, ana.id, by_user_id=admin.id)
        events = session.scalars(select(AuditEvent).where(AuditEvent.project_id == project.id)).all()
    assert [event.action for event in events] == ["member.added", "member.role_changed", "member.removed"]
    assert {event.user_id for event in events} == {admin.id}


def test_two_admins_who_remove_each_other_leave_one(db):
    """On Postgres both transactions run at once: the second waits, sees one admin left and refuses."""
    with db.write() as session:
        one, two = make_user(session), make_user(session)
        project = make_project(session, admin=one)
        make_member(session, project, two, "admin")
    barrier, refused = threading.Barrier(2), []

    def remove(whom: User, by: User) -> None:
        barrier.wait()
        try:
            with db.write() as session:
                accounts.remove_member(session, project.id, whom.id, by_user_id=by.id)
        except (Conflict, NotFound):
            refused.append(whom.id)

    threads = [threading.Thread(target=remove, args=pair) for pair in ((one, two), (two, one))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with db.read() as session:
        assert len(accounts.members(session, project.id)) == 1
    assert len(refused) == 1


def test_a_tokens_use_is_noted_at_most_once_an_hour(db):
    start = utcnow()
    with db.write() as session:
        token_id = accounts.create_api_token(session, make_user(session).id, "script", scopes=["manage", "read"])[1].id
    for minutes, noted in ((0, 0), (59, 0), (60, 60), (119, 60), (121, 121)):
        with db.write() as session:
            row = session.get_one(ApiToken, token_id)
            assert row.scopes == ["read", "manage"]
            due = accounts.is_due(row, start + timedelta(minutes=minutes))
            accounts.note_use(session, token_id, start + timedelta(minutes=minutes))
        with db.read() as session:
            assert session.get_one(ApiToken, token_id).last_used_at == start + timedelta(minutes=noted)
            assert due == (minutes == noted)


def test_a_token_is_not_limited_to_what_there_is_not(db):
    with db.write() as session, pytest.raises(InvalidInput) as refused:
        accounts.create_api_token(session, make_user(session).id, "script", scopes=["write"])
    assert refused.value.detail["field"] == "scopes"


def test_a_token_makes_none_that_may_more_or_lasts_longer(db):
    now = utcnow()
    with db.write() as session:
        ana = make_user(session)
        make = partial(accounts.create_api_token, session, ana.id, "script", now=now)
        whole, lasting = make(days=7)[1], make()[1]
        reader = make(days=7, scopes=["read", "manage"])[1]
        assert [row.expires_at for _, row in (make(by=whole), make(days=30, by=whole))] == [whole.expires_at] * 2
        assert make(days=1, by=whole)[1].expires_at == now + timedelta(days=1)
        assert make(by=lasting)[1].expires_at is None
        assert make(by=reader)[1].scopes == reader.scopes
        assert make(scopes=["read"], by=reader)[1].scopes == ["read"]
        assert make(scopes=["label"], by=whole)[1].scopes == ["label"]
        with pytest.raises(Forbidden):
            make(scopes=["read", "label"], by=reader)


def test_a_token_that_is_revoked_takes_those_along_that_it_made(db):
    with db.write() as session:
        ana = make_user(session)
        _, first = accounts.create_api_token(session, ana.id, "first")
        (_, second), (beside, _) = (accounts.create_api_token(session, ana.id, "second", by=by) for by in (first, None))
        third, _ = accounts.create_api_token(session, ana.id, "third", by=second)
        accounts.revoke_api_token(session, ana.id, first.id)
        assert accounts.resolve_api_token(session, third) is None
        assert accounts.resolve_api_token(session, beside)
        assert [row.name for row in accounts.api_tokens(session, ana.id)] == ["second"]
        with pytest.raises(NotSignedIn):
            accounts.create_api_token(session, ana.id, "late", by=first)
