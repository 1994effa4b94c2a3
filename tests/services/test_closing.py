"""The review's close against what makes an answered slot wait again, and against answers: each pair of transactions in
both orders, on Postgres, where they run side by side."""

import threading
import time
from contextlib import ExitStack
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from app.db.tables import Assignment, Project, Round
from app.services import annotations, guidance, projects, queue, rounds
from app.services.annotations import Answer
from app.services.answers import effective_answers
from tests.services.review_factories import open_review
from tests.services.test_queue import LEASE, answer, claim, skip

pytestmark = pytest.mark.postgres_only


@pytest.fixture
def review(db):
    """The first expert has skipped one text and answered the others; the second has the last text before them."""
    review = open_review(db, items=3, experts=2, overlap=2)
    one, two = review.experts
    skip(db, review, one, claim(db, review, one))
    for expert, answers in ((one, 2), (two, 2)):
        for _ in range(answers):
            answer(db, review, expert, claim(db, review, expert))
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        projects.publish_guideline(session, project, text="two", examples={}, summary="x", user_id=None)
    return review


def undo(session, review, **what):
    expert = review.experts[0]
    key = uuid4().hex
    return annotations.undo(
        session, project_id=review.project_id, expert_id=expert, key=key, lease=LEASE, keep_claims=True, **what
    )


def undo_skip(session, review):
    return undo(session, review, assignment_id=slot_of(session, review, "skipped"))


def undo_answer(session, review):
    return undo(session, review, assignment_id=slot_of(session, review, "done"))


def ask_again(session, review):
    project = session.get_one(Project, review.project_id)
    return guidance.queue_again(session, project, [1], user_id=review.experts[0])


def slot_of(session, review, state):
    mine = (Assignment.expert_id == review.experts[0], Assignment.state == state)
    return session.scalar(select(Assignment.id).where(*mine).order_by(Assignment.id))


def give_last_answer(session, review, slot) -> bool:
    given = Answer(slot.assignment_id, 1, uuid4().hex)
    annotations.submit(session, project_id=review.project_id, expert_id=review.experts[1], n_labels=2, answer=given)
    return queue.close_if_answered(session, review.round_id)


def impatient(db, opened: ExitStack):
    session = opened.enter_context(db.write())
    session.execute(text("SET LOCAL lock_timeout = '5s'"))
    return session


def standing(db, review) -> tuple[str, list[str], int]:
    with db.read() as session:
        states = sorted(session.scalars(select(Assignment.state).where(Assignment.round_id == review.round_id)))
        given = len(effective_answers(session, [review.round_id]))
        return session.get_one(Round, review.round_id).state, states, given


TAKE_BACK = pytest.mark.parametrize("take_back", [ask_again, undo_answer, undo_skip])


@TAKE_BACK
def test_a_review_in_which_an_answer_is_being_taken_back_stays_open(db, review, take_back):
    last = claim(db, review, review.experts[1])
    with ExitStack() as opened:
        first = impatient(db, opened)
        assert take_back(first, review)
        with ExitStack() as meanwhile:
            assert not give_last_answer(impatient(db, meanwhile), review, last), "and it did not wait either"
    state, states, _given = standing(db, review)
    assert (state, "claimed" in states) == ("review", True)
    assert not db.run_write(lambda session: queue.close_if_answered(session, review.round_id))


@TAKE_BACK
def test_what_is_taken_back_while_the_review_closes_comes_too_late(db, review, take_back):
    last, taken_back = claim(db, review, review.experts[1]), []

    def late() -> None:
        taken_back.append(db.run_write(lambda session: take_back(session, review)))

    thread = threading.Thread(target=late)
    with ExitStack() as opened:
        assert give_last_answer(impatient(db, opened), review, last)
        thread.start()
        wait_until(lambda: taken_back or somebody_waits(db))
    thread.join(timeout=30)
    assert (bool(taken_back), any(taken_back)) == (True, False)
    assert standing(db, review) == ("concluding", ["done"] * 5 + ["skipped"], 5)


def somebody_waits(db) -> bool:
    ours = "datname = current_database() AND wait_event_type = 'Lock'"
    with db.read() as session:
        return bool(session.scalar(text(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}")))


def wait_until(holds) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("by", ["ask_again", "pause"])
def test_an_answer_waits_for_nobody_who_holds_the_round(db, review, by):
    last = claim(db, review, review.experts[1])
    with ExitStack() as opened:
        first = impatient(db, opened)
        if by == "pause":
            rounds.pause(first, session_round(first, review))
        else:
            assert ask_again(first, review)
        with ExitStack() as meanwhile:
            give_last_answer(impatient(db, meanwhile), review, last)
    assert standing(db, review)[0] == "review"


def session_round(session, review) -> Round:
    return session.get_one(Round, review.round_id)


def test_a_review_closed_early_and_an_answer_do_not_wait_for_each_other_in_a_circle(db, review):
    last, failed = claim(db, review, review.experts[1]), []

    def close_early() -> None:
        try:
            db.run_write(lambda session: rounds.close_review(session, session_round(session, review)))
        except Exception as error:  # noqa: BLE001 - looked at below
            failed.append(error)

    given = Answer(last.assignment_id, 1, uuid4().hex)
    thread = threading.Thread(target=close_early)
    with ExitStack() as opened:
        session = impatient(db, opened)
        values = {"slot": last.assignment_id, "expert": review.experts[1], "project": review.project_id}
        values |= {"key": given.key, "now": rounds.utcnow()}
        assert session.connection().execute(annotations._FINISH_SLOT, values).first()
        thread.start()
        wait_until(lambda: somebody_waits(db))  # for this slot, with the round in its hands
        values |= {"round": review.round_id, "item": last.item_id, "label": 1}
        session.connection().execute(annotations._ADD_BLIND, values | {"flagged": False, "note": None, "seconds": None})
        assert not queue.close_if_answered(session, review.round_id)
    thread.join(timeout=30)
    assert failed == []
    assert standing(db, review) == ("concluding", ["done"] * 5 + ["skipped"], 5)
