"""Items of the pool that the guideline shows as examples."""

import pytest

from app.db.tables import Project
from app.errors import Conflict
from app.services import example_items, projects
from tests.factories import make_items, make_project
from tests.services.review_factories import add_round


@pytest.fixture
def project_id(db) -> int:
    with db.write() as session:
        project = make_project(session)
        make_items(session, make_project(session), ["One and two"])  # another project's item is none of it
        items = make_items(session, project, ["Zero", "One  and\ntwo", "Three", "Four"])
        add_round(session, project, [items[2].id], overlap=1)
        return project.id


def publish(session, project_id, *texts):
    project = session.get_one(Project, project_id)
    examples = {project.labels[0]: list(texts), project.labels[1]: []}
    return projects.publish_guideline(session, project, text="Rule.", examples=examples)


def test_they_are_found_by_their_text_whatever_its_white_space(db, project_id):
    with db.read() as session:
        assert example_items.ordinals_on_show(session, project_id) == []
    with db.write() as session:
        publish(session, project_id, "Zero", "One and two", "Not of the pool")
    with db.read() as session:
        assert sorted(example_items.ordinals_on_show(session, project_id)) == [0, 1]
    with db.write() as session:
        publish(session, project_id, "One and two")
    with db.read() as session:
        assert example_items.ordinals_on_show(session, project_id) == [1], "the present version's only"


def test_a_text_that_waits_for_an_answer_is_no_example_yet(db, project_id):
    with db.write() as session, pytest.raises(Conflict, match="“Three”"):
        publish(session, project_id, "Zero", "Three")
    with db.read() as session:
        assert example_items.on_show(session, project_id) == set()


def test_a_project_without_a_guideline_shows_nothing(db):
    with db.read() as session:
        assert example_items.on_show(session, 12345) == set()
