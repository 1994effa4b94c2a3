"""The contrast card on both databases: due only when both sides are answered, and what it fixes."""

from functools import partial

import pytest
from sqlalchemy import update

from app.db.base import utcnow
from app.db.tables import BoundaryPair, Membership, Round
from app.errors import InvalidInput, NotFound
from app.services import annotations, contrast, queue
from app.services.annotations import Answer
from app.services.answers import effective_answers
from app.services.queue import lease_for
from tests.services.review_factories import open_review

LEASE = lease_for({}, 30)


@pytest.fixture
def review(db):
    review = open_review(db, items=3, experts=2)
    with db.write() as session:
        session.add(
            BoundaryPair(
                round_id=review.round_id,
                rank=0,
                left_item_id=review.items[0],
                right_item_id=review.items[2],
                left_label=0,
                right_label=1,
                similarity=0.8,
                left_cluster=0,
                right_cluster=0,
            )
        )
    return review


def answer_next(db, review, expert, label=1):
    def work(session):
        task = queue.claim(session, review.project_id, expert, lease=LEASE)
        given = Answer(task.assignment_id, label, f"the-key-{task.assignment_id}-{expert}")
        return annotations.submit(
            session, project_id=review.project_id, expert_id=expert, n_labels=2, answer=given
        ), task

    return db.run_write(work)


def due(db, review, expert):
    with db.read() as session:
        return contrast.due(session, review.project_id, expert)


def test_a_pair_is_due_once_both_sides_are_answered_and_for_that_expert_only(db, review):
    first, second = review.experts
    answer_next(db, review, first)
    answer_next(db, review, first)
    assert due(db, review, first) is None
    answer_next(db, review, first, label=0)
    found = due(db, review, first)
    assert (found.left.item_id, found.right.item_id) == (review.items[0], review.items[2])
    assert (found.left.label, found.right.label) == (1, 0)
    assert due(db, review, second) is None
    with db.read() as session:
        assert [contrast.waiting(session, review.project_id, who) for who in (first, second)] == [1, 0]


def test_which_text_comes_first_does_not_tell_what_the_model_says_of_it(db, review):
    expert = review.experts[0]
    for _ in range(3):
        answer_next(db, review, expert)
    before = due(db, review, expert)
    with db.write() as session:
        pair = session.get_one(BoundaryPair, before.pair_id)
        pair.left_item_id, pair.right_item_id = pair.right_item_id, pair.left_item_id
    assert due(db, review, expert) == before


def test_confirming_settles_the_pair_and_confirming_again_changes_nothing(db, review):
    expert = review.experts[0]
    for _ in range(3):
        answer_next(db, review, expert)
    with pytest.raises(NotFound):
        db.run_write(lambda s: contrast.confirm(s, review.project_id, expert, due(db, review, expert).pair_id))
    pair = db.run_write(lambda s: contrast.show(s, review.project_id, expert)).pair_id
    for _ in range(2):
        db.run_write(lambda s: contrast.confirm(s, review.project_id, expert, pair))
    assert due(db, review, expert) is None


def test_a_revision_needs_a_reason_and_leaves_the_blind_answer_for_agreement(db, review):
    expert = review.experts[0]
    for _ in range(3):
        answer_next(db, review, expert)
    found = db.run_write(lambda s: contrast.show(s, review.project_id, expert))

    def revise(reason, assignment):
        given = Answer(assignment, 0, "revision-1", note=reason)
        return db.run_write(lambda s: contrast.revise(s, review.project_id, expert, found.pair_id, given, n_labels=2))

    with pytest.raises(InvalidInput):
        revise("", found.left.assignment_id)
    receipt = revise("the other one is worse", found.left.assignment_id)
    assert revise("the other one is worse", found.left.assignment_id).annotation_id == receipt.annotation_id
    with db.read() as session:
        rows = effective_answers(session, [review.round_id], item_ids=[found.left.item_id])
    assert [(row.blind_label, row.final_label) for row in rows] == [(1, 0)]
    assert due(db, review, expert) is None


def test_a_colleague_cannot_settle_it(db, review):
    expert, colleague = review.experts
    for _ in range(3):
        answer_next(db, review, expert)
    pair = db.run_write(lambda s: contrast.show(s, review.project_id, expert)).pair_id
    with pytest.raises(NotFound):
        db.run_write(lambda s: contrast.confirm(s, review.project_id, colleague, pair))


def test_shown_at_the_end_the_review_waits_until_every_pair_is_settled(db, review):
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        round_.settings = round_.settings | {"reveal": "end"}
    for expert in review.experts:
        for _ in range(3):
            answer_next(db, review, expert)
    close = partial(queue.close_if_answered, round_id=review.round_id)
    assert not db.run_write(close)
    pair = due(db, review, review.experts[0]).pair_id
    for expert in review.experts:
        with db.read() as session:
            assert session.get_one(Round, review.round_id).state == "review"
        db.run_write(lambda session, expert=expert: contrast.show(session, review.project_id, expert))
        db.run_write(lambda session, expert=expert: contrast.confirm(session, review.project_id, expert, pair))
    with db.read() as session:
        assert session.get_one(Round, review.round_id).state == "concluding"


def test_a_pair_of_somebody_who_has_left_holds_no_review_open(db, review):
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        round_.settings = round_.settings | {"reveal": "end"}
    for expert in review.experts:
        for _ in range(3):
            answer_next(db, review, expert)
    with db.write() as session:
        session.execute(update(Membership).where(Membership.user_id.in_(review.experts)).values(removed_at=utcnow()))
    assert db.run_write(partial(queue.close_if_answered, round_id=review.round_id))
