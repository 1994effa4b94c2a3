"""The record on both databases: newest first, by project, in pages that neither repeat nor miss a row."""

from app.services import audit
from tests.factories import make_project, make_user


def test_pages_hold_every_event_of_the_project_once_and_no_other(db):
    with db.write() as session:
        user = make_user(session, "Ada Lead")
        mine, other = make_project(session, admin=user), make_project(session, admin=user)
        for number in range(7):
            audit.record(session, "thing.done", user_id=user.id, project_id=mine.id, subject=f"50% of {number}")
            audit.record(session, "thing.hidden", user_id=user.id, project_id=other.id)
        audit.record(session, "round.finished", project_id=mine.id)
    seen, before = [], None
    with db.read() as session:
        while found := audit.entries(session, mine.id, search="", before=before, limit=3):
            seen += [entry.event.id for entry in found]
            before = seen[-1]
        assert seen == sorted(set(seen), reverse=True)
        done = audit.entries(session, mine.id, search="thing.DONE")
        assert [entry.event.subject for entry in done] == [f"50% of {number}" for number in reversed(range(7))]
        assert len(audit.entries(session, mine.id, search="ada lead")) >= 7
        assert len(audit.entries(session, mine.id, search="50% of 3")) == 1
        assert audit.entries(session, mine.id, search="thing.hidden") == []
        assert audit.entries(session, mine.id, search="round.fin")[0].person is None


def test_details_are_searched_in_any_script(db):
    with db.write() as session:
        project = make_project(session)
        audit.record(session, "project.changed", project_id=project.id, name=["Müll", 'Αθήνα "x"'])
        audit.record(session, "member.role_changed", project_id=project.id, saw_model=True)
    with db.read() as session:
        for words, action in (("saw_model", "member"), ("müll", "project"), ("Αθήνα", "project"), ('"x"', "project")):
            (found,) = audit.entries(session, project.id, search=words)
            assert found.event.action.startswith(action), words
        assert audit.entries(session, project.id, search="%") == []


def test_the_installations_record_has_every_project_and_what_belongs_to_none(db):
    with db.write() as session:
        project = make_project(session)
        audit.record(session, "user.created", subject="ana@example.org")
        audit.record(session, "round.done", project_id=project.id)
    with db.read() as session:
        found = audit.entries(session, None)
        told = [(entry.event.action, entry.project) for entry in found]
        assert told == [("round.done", project.slug), ("user.created", None)]
        assert [entry.event.action for entry in audit.entries(session, project.id)] == ["round.done"]
