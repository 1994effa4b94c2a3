"""Who has been able to see the model's labels."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db.base import utcnow
from app.db.tables import AuditEvent, Item, Membership, Project
from app.errors import Conflict
from app.services import accounts, sight
from tests.factories import make_items, make_project, make_user
from tests.services.review_factories import add_round


@pytest.fixture
def project(db):
    """With a first admin, ``ids`` (project, admin, somebody); no round yet."""
    with db.write() as session:
        admin, somebody = make_user(session), make_user(session)
        project = make_project(session, admin=admin)
        make_items(session, project, 1)
        return project.id, admin.id, somebody.id


def have_a_round(db, project_id):
    with db.write() as session:
        add_round(session, session.get_one(Project, project_id), session.scalars(select(Item.id)).all(), overlap=1)


def become(db, project, role, **more):
    with db.write() as session:
        present = session.scalar(select(Membership).where(Membership.user_id == project[2]))
        if present is None:
            accounts.add_member(session, project[0], project[2], role)
        else:
            accounts.change_role(session, project[0], project[2], role, by_user_id=project[1], **more)


def seen(db, project) -> bool:
    with db.read() as session:
        return project[2] in sight.saw_model(session, project[0], [project[2]])


@pytest.mark.parametrize("role", ["viewer", "lead", "admin"])
def test_whoever_has_seen_the_models_labels_becomes_an_expert_only_if_it_is_confirmed(db, project, role):
    become(db, project, role)
    have_a_round(db, project[0])
    with pytest.raises(Conflict, match="can't answer blind") as refused:
        become(db, project, "expert")
    assert refused.value.detail == {"field": "seen"}
    become(db, project, "expert", although_seen=True)
    with db.read() as session:
        last = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
        assert session.scalar(select(Membership.role).where(Membership.user_id == project[2])) == "expert"
    assert (last.action, last.detail) == (
        "member.role_changed",
        {"member": project[2], "role": "expert", "saw_model": True},
    )
    assert seen(db, project), "for good"


def test_before_there_is_a_model_there_is_nothing_to_see(db, project):
    become(db, project, "viewer")
    become(db, project, "expert")
    have_a_round(db, project[0])
    assert not seen(db, project)
    become(db, project, "viewer")
    assert seen(db, project)


def test_somebody_who_left_and_comes_back_by_a_link_is_let_in_and_marked(db, project):
    have_a_round(db, project[0])
    become(db, project, "viewer")
    with db.write() as session:
        accounts.remove_member(session, project[0], project[2], by_user_id=project[1])
        accounts.add_member(session, project[0], project[2], "expert")
        last = session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc())).first()
    assert last.detail["saw_model"] is True
    assert seen(db, project)


def test_whoever_left_before_the_first_round_has_seen_nothing(db, project):
    become(db, project, "viewer")
    with db.write() as session:
        accounts.remove_member(
            session, project[0], project[2], by_user_id=project[1], now=utcnow() - timedelta(hours=1)
        )
    have_a_round(db, project[0])
    assert not seen(db, project)
    with db.read() as session:
        assert sight.saw_model(session, project[0], []) == set()
        assert sight.saw_model(session, project[0], [999_999]) == set()
