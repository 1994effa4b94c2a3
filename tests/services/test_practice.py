"""The practice on both databases: the first answer counts, and a pass opens the queue."""

import pytest

from app.db.tables import Membership, PracticeAnswer, Project
from app.errors import Conflict, InvalidInput, NotFound
from app.services import practice, projects
from tests.factories import make_project
from tests.services.review_factories import open_review


@pytest.fixture
def review(db):
    """Four texts, right answers 0, 1, 0, 1; three quarters must be right."""
    review = open_review(db, items=1, experts=2)
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        project.settings = project.settings | {"practice_pass_share": 0.75}
        for place in range(4):
            practice.add(session, project, f"practice {place}", place % 2, f"Rule {place}.", user_id=review.experts[0])
    return review


def work(db, review, do, *arguments, **values):
    with db.write() as session:
        return do(session, session.get_one(Project, review.project_id), *arguments, **values)


def take(db, review, expert, labels, number=1):
    for item, label in zip(work(db, review, practice.attempt, expert).items, labels, strict=True):
        result = work(db, review, practice.answer, expert, item.id, label, number=number)
    return result


def test_three_of_four_pass_and_only_for_that_expert(db, review):
    one, two = review.experts
    assert work(db, review, practice.is_required, one)
    result = take(db, review, one, [0, 1, 0, 0])
    assert (result.correct, result.is_complete, result.passes) == (3, True, True)
    assert result.passed_at is not None
    assert not work(db, review, practice.is_required, one)
    assert work(db, review, practice.is_required, two)
    with db.read() as session:
        passed = session.query(Membership.user_id).filter(Membership.practice_passed_at.is_not(None)).all()
        assert [user_id for (user_id,) in passed] == [one]


def test_the_first_answer_counts_and_a_new_attempt_begins_with_none(db, review):
    one = review.experts[0]
    first = work(db, review, practice.attempt, one).items[0]
    for label in (1, 0):
        result = work(db, review, practice.answer, one, first.id, label)
    assert (result.given, result.passed_at) == ({first.id: 1}, None)
    with pytest.raises(Conflict):
        work(db, review, practice.answer, one, first.id, 0, number=2)
    take(db, review, one, [1, 0, 1, 0])
    assert work(db, review, practice.is_required, one)
    again = work(db, review, practice.attempt, one, again=True)
    assert (again.number, again.given) == (2, {})
    assert take(db, review, one, [0, 1, 0, 1], number=2).passes
    assert not work(db, review, practice.is_required, one)
    with db.read() as session:
        assert session.query(PracticeAnswer).filter_by(attempt=1).count() == 4, "earlier attempts stay stored"


def test_without_a_required_share_or_without_texts_nobody_must(db, review):
    one = review.experts[0]
    for item in work(db, review, practice.attempt, one).items:
        with db.write() as session:
            practice.retire(session, review.project_id, item.id, user_id=one)
    assert not work(db, review, practice.is_required, one)
    assert not work(db, review, practice.is_offered, one)


def test_what_makes_no_sense_names_its_field(db, review):
    one = review.experts[0]
    for text, label in ((" ", 0), ("x", 2), ("x" * 20_001, 0)):
        with pytest.raises(InvalidInput):
            work(db, review, practice.add, text, label, user_id=one)
    with pytest.raises(Conflict):
        work(db, review, practice.add, " practice 0 ", 0, user_id=one)
    item = work(db, review, practice.attempt, one).items[0]
    with pytest.raises(InvalidInput):
        work(db, review, practice.answer, one, item.id, 2)
    with pytest.raises(NotFound):
        work(db, review, practice.answer, one, 9999, 0)
    with pytest.raises(NotFound), db.write() as session:
        practice.retire(session, review.project_id + 1, item.id, user_id=one)


def test_examples_of_the_guideline_are_taken_once(db, review):
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        examples = {project.labels[0]: ["practice 0", "plain"], project.labels[1]: ["telling"]}
        projects.publish_guideline(session, project, text="x", examples=examples)
    for count in (2, 0):
        assert work(db, review, practice.add_examples, user_id=review.experts[0]) == count
    assert [item.label for item in work(db, review, practice.attempt, review.experts[0]).items][-2:] == [0, 1]


@pytest.mark.parametrize(
    ("labels", "fits"),
    [
        (["no", "yes", "maybe"], True),
        (["never", "yes"], True),
        (["yes", "no"], False),
        (["no", "maybe", "yes"], True),
        (["maybe", "no"], False),
    ],
)
def test_labels_of_a_text_to_practise_may_get_another_name_but_no_other_place(db, labels, fits):
    with db.write() as session:
        project = make_project(session, labels=["no", "yes"])
        practice.add(session, project, "clearly no", 0, "", user_id=None)
        if fits:
            projects.update_project(session, project, labels=labels)
        else:
            with pytest.raises(Conflict, match="label 'no': take it out"):
                projects.update_project(session, project, labels=labels)
        assert project.labels == (labels if fits else ["no", "yes"])
