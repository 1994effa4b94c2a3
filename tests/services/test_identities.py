"""Which account somebody has whom a single sign-on provider vouches for."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from app.db.base import utcnow
from app.db.tables import AuditEvent, User, UserIdentity
from app.errors import Conflict, Forbidden, Gone
from app.services import accounts, identities, invitations
from app.services.identities import Identity, Policy
from tests.factories import make_project, make_user

ANA = Identity("https://login.example.org", "subject-1", "ana@example.org", True, "Ana Sousa")
ANYBODY = Policy(auto_create=True)


def test_an_identity_leads_to_the_same_account_whatever_its_address_becomes(db):
    with db.write() as session:
        first = identities.sign_in(session, ANA, ANYBODY).user
        moved = replace(ANA, email="ana@new.example", email_verified=False)
        assert identities.sign_in(session, moved, Policy()).user.id == first.id
        assert session.query(UserIdentity).count() == 1


def test_the_same_subject_at_another_provider_is_somebody_else(db):
    with db.write() as session:
        first = identities.sign_in(session, ANA, ANYBODY).user
        other = replace(ANA, issuer="https://other.example.org", email="ana@other.example")
        assert identities.sign_in(session, other, ANYBODY).user.id != first.id


def test_an_address_given_to_a_new_colleague_does_not_open_the_old_ones_account(db):
    with db.write() as session:
        user = make_user(session, email="ana@example.org")
        assert identities.sign_in(session, ANA, Policy()).linked
        with pytest.raises(Forbidden, match="Another person"):
            identities.sign_in(session, replace(ANA, subject="subject-2"), ANYBODY)
        assert session.query(UserIdentity).one().user_id == user.id


def test_linking_is_recorded_and_ends_what_was_set_up_before(db):
    with db.write() as session:
        user = make_user(session, email="ana@example.org", password_hash="x")
        cookie = accounts.start_session(session, user.id, days=1)
        token, _ = accounts.create_api_token(session, user.id, "script")
        link = invitations.create_sign_in_link(session, user.id)
        found = identities.sign_in(session, ANA, Policy())
        assert (found.user.id, found.linked, found.user.password_hash) == (user.id, True, None)
        assert accounts.resolve_session(session, cookie) is None
        assert accounts.resolve_api_token(session, token) is None
        with pytest.raises(Gone):
            invitations.use_sign_in_link(session, link)
        assert session.query(AuditEvent).filter_by(action="identity.linked").one().user_id == user.id


def test_an_account_is_made_only_with_an_invitation_or_where_that_is_allowed(db):
    with db.write() as session:
        admin = make_user(session)
        project = make_project(session, admin=admin)
        with pytest.raises(Forbidden, match="no account"):
            identities.sign_in(session, ANA, Policy())
        old = utcnow() - timedelta(days=3)
        expired, _ = invitations.invite(session, project.id, "expert", days=1, by_user_id=admin.id, now=old)
        with pytest.raises(Gone):
            identities.sign_in(session, ANA, Policy(), invitation=expired)
        token, _ = invitations.invite(session, project.id, "expert", days=1, by_user_id=admin.id)
        user = identities.sign_in(session, ANA, Policy(), invitation=token).user
        assert (user.id, "expert") in [(u.id, m.role) for u, m in accounts.members(session, project.id)]


@pytest.mark.parametrize("subject", ["", "s" * 301])
def test_a_subject_that_does_not_fit_is_refused(db, subject):
    with db.write() as session, pytest.raises(Forbidden):
        identities.sign_in(session, replace(ANA, subject=subject), ANYBODY)


@pytest.mark.parametrize("email", ["", "ana@example.org.evil.example", "ana@EXAMPLE.org@evil.example"])
def test_a_domain_is_the_whole_of_what_follows_the_at_sign(db, email):
    with db.write() as session, pytest.raises(Forbidden):
        identities.sign_in(session, replace(ANA, email=email), Policy(frozenset({"example.org"}), True))


def test_a_disabled_account_is_neither_opened_nor_linked(db):
    with db.write() as session:
        user = make_user(session, email="ana@example.org")
        accounts.set_disabled(session, user, disabled=True)
        with pytest.raises(Forbidden, match="disabled"):
            identities.sign_in(session, ANA, ANYBODY)
        assert session.query(UserIdentity).count() == 0


def test_two_first_sign_ins_at_once_make_one_account(db):
    gate, outcomes = threading.Barrier(2), []

    def sign_in() -> None:
        gate.wait()
        try:
            with db.write() as session:
                outcomes.append(identities.sign_in(session, ANA, ANYBODY).user.id)
        except Conflict:
            outcomes.append(None)

    threads = [threading.Thread(target=sign_in) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    with db.read() as session:
        user = session.query(User).one()
        assert session.query(UserIdentity).one().user_id == user.id
    assert set(outcomes) <= {user.id, None}
    assert user.id in outcomes
