"""A deleted project is out of everybody's reach and comes back whole; a purged one leaves nothing of itself."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from app.db.base import utcnow
from app.db.tables import AuditEvent, Project, Round, User
from app.errors import Conflict, InvalidInput, NotFound
from app.services import accounts, audit, automation, deletion, projects
from tests.factories import make_member, make_project, make_user
from tests.services.alignment_factories import make_history
from tests.services.review_factories import open_review


def test_its_round_is_paused_and_undo_brings_it_back_to_its_admins_only(db):
    review = open_review(db)
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        admin, outsider = make_user(session, "Admin"), make_user(session, "Outsider")
        make_member(session, project, admin, "admin")
        with pytest.raises(InvalidInput):
            deletion.delete_project(session, project, confirm="something else")
        deletion.delete_project(session, project, confirm=f" {project.name} ", user_id=admin.id)
        slug = project.slug
    with db.write() as session:
        assert session.get_one(Round, review.round_id).paused_at is not None
        with pytest.raises(NotFound):
            projects.get_project(session, slug)
        assert accounts.projects_of(session, session.get_one(User, admin.id)) == []
        with pytest.raises(NotFound):
            deletion.undo_by(session, session.get_one(User, outsider.id), slug, 30)
        late = utcnow() + timedelta(days=31)
        assert deletion.deleted_projects(session, session.get_one(User, admin.id), 30, now=late) == []
        deletion.undo_by(session, session.get_one(User, admin.id), slug, 30)
        assert projects.get_project(session, slug).id == review.project_id
        assert session.get_one(Round, review.round_id).paused_at is not None
        actions = [entry.event.action for entry in audit.entries(session, review.project_id)]
        assert actions[:2] == ["project.restored", "project.deleted"]
        with pytest.raises(Conflict):
            deletion.purge(session, projects.get_project(session, slug))


def test_no_round_starts_by_itself_in_a_deleted_project(db):
    with db.write() as session:
        project = make_project(session, settings={"next_round": "itself"})
        assert automation.wanting(session) == [project.id]
        deletion.delete_project(session, project, confirm=project.name)
        assert automation.wanting(session) == []


def test_a_purge_leaves_nothing_of_it_and_everything_of_the_others(db):
    mine, other = make_history(db, rounds=2), make_history(db, rounds=1)
    with db.write() as session:
        project = session.get_one(Project, mine.project_id)
        deletion.delete_project(session, project, confirm=project.name)
    with db.write() as session:
        before = deletion.rows_left(session, other.project_id)
        gone = deletion.purge(session, session.get_one(Project, mine.project_id))
        assert gone["rounds"] == 2
    with db.read() as session:
        assert deletion.rows_left(session, mine.project_id) == 0
        assert deletion.rows_left(session, other.project_id) == before > 10
        purged = session.scalars(select(AuditEvent).where(AuditEvent.action == "project.purged")).one()
        assert purged.project_id is None
