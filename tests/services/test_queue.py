"""The queue and the answers: who is given what, and that nothing is lost or doubled."""

import threading
from collections import Counter
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from app.db.base import utcnow
from app.db.tables import Annotation, Assignment, GuidelineVersion, Project, Round, User
from app.errors import Conflict, InvalidInput, NotFound
from app.services import annotations, guidance, practice, queue
from app.services.annotations import Answer
from app.services.answers import effective_answers
from app.services.pool import history
from tests.services.review_factories import Review, add_expert, open_review

LEASE = timedelta(minutes=30)


def claim(db, review: Review, expert: int, **kwargs):
    return db.run_write(lambda s: queue.claim(s, review.project_id, expert, lease=LEASE, **kwargs))


def answer(db, review: Review, expert: int, task, label: int = 1, key: str | None = None, **kwargs):
    given = Answer(task.assignment_id, label, key or uuid4().hex, **kwargs)
    return db.run_write(
        lambda s: annotations.submit(s, project_id=review.project_id, expert_id=expert, n_labels=2, answer=given)
    )


def skip(db, review: Review, expert: int, task, reason: str = "", key: str | None = None):
    return db.run_write(
        lambda s: annotations.skip(
            s,
            project_id=review.project_id,
            expert_id=expert,
            assignment_id=task.assignment_id,
            reason=reason,
            key=key,
        )
    )


def undo(db, review: Review, expert: int, key: str | None = None, assignment: int | None = None) -> int | None:
    return db.run_write(
        lambda s: annotations.undo(
            s,
            project_id=review.project_id,
            expert_id=expert,
            key=key or uuid4().hex,
            lease=LEASE,
            assignment_id=assignment,
        )
    )


def answer_everything(db, review: Review, expert: int) -> int:
    given = 0
    while (task := claim(db, review, expert)) is not None:
        answer(db, review, expert, task)
        given += 1
    return given


def count(db, table, *where) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(table).where(*where))


def test_an_expert_gets_each_item_once_in_the_order_of_positions(db):
    review = open_review(db, items=4, experts=2, overlap=2)
    seen = []
    while (task := claim(db, review, review.experts[0])) is not None:
        seen.append(task.item_id)
        answer(db, review, review.experts[0], task)
    assert seen == review.items


def test_a_reload_gives_the_item_that_the_expert_already_holds(db):
    review = open_review(db)
    first = claim(db, review, review.experts[0])
    assert claim(db, review, review.experts[0]) == first
    assert count(db, Assignment, Assignment.state == "claimed") == 1


def test_no_item_is_given_to_more_experts_than_the_overlap(db):
    review = open_review(db, items=3, experts=3, overlap=2)
    given = sum(answer_everything(db, review, expert) for expert in review.experts)
    assert given == 6
    assert claim(db, review, review.experts[2]) is None


def test_an_expired_lease_is_taken_by_the_next_claim_and_a_live_one_is_not(db):
    review = open_review(db, items=1, experts=2, overlap=1)
    first, second = review.experts
    task = claim(db, review, first)
    assert claim(db, review, second) is None
    later = utcnow() + LEASE + timedelta(seconds=1)
    taken = claim(db, review, second, now=later)
    assert taken.assignment_id == task.assignment_id


def test_an_answer_after_the_lease_ran_out_counts_while_nobody_has_taken_the_slot(db):
    review = open_review(db, items=1, overlap=1)
    task = claim(db, review, review.experts[0], now=utcnow() - 2 * LEASE)
    assert not answer(db, review, review.experts[0], task).replayed


def test_an_answer_to_a_slot_lost_to_a_colleague_is_kept_in_another_free_slot(db):
    review = open_review(db, items=1, experts=3, overlap=2)
    slow, quick, third = review.experts
    task = claim(db, review, slow, now=utcnow() - 2 * LEASE)
    others = {claim(db, review, expert).assignment_id: expert for expert in (quick, third)}
    gives_back = next(expert for assignment, expert in others.items() if assignment != task.assignment_id)
    assert task.assignment_id in others
    db.run_write(lambda s: queue.release(s, review.project_id, gives_back))
    answer(db, review, slow, task)
    assert count(db, Annotation, Annotation.expert_id == slow) == 1


def test_an_answer_that_colleagues_have_made_superfluous_is_refused_with_the_reason(db):
    review = open_review(db, items=1, experts=2, overlap=1)
    slow, quick = review.experts
    task = claim(db, review, slow, now=utcnow() - 2 * LEASE)
    answer(db, review, quick, claim(db, review, quick))
    with pytest.raises(Conflict) as refused:
        answer(db, review, slow, task)
    assert refused.value.detail["reason"] in ("taken", "closed")


def test_the_same_key_twice_is_one_answer(db):
    review = open_review(db)
    task = claim(db, review, review.experts[0])
    first = answer(db, review, review.experts[0], task, key="k" * 16)
    again = answer(db, review, review.experts[0], task, key="k" * 16)
    assert again.replayed
    assert again.annotation_id == first.annotation_id
    assert count(db, Annotation) == 1


def test_an_answer_that_comes_again_after_it_was_taken_back_stays_taken_back(db):
    review = open_review(db)
    expert = review.experts[0]
    task = claim(db, review, expert)
    first = answer(db, review, expert, task, key="sent-twice-key")
    assert undo(db, review, expert)
    late = answer(db, review, expert, task, key="sent-twice-key")
    assert (late.annotation_id, late.replayed) == (first.annotation_id, True)
    assert claim(db, review, expert) == task
    assert not answer(db, review, expert, task, key="another-key").replayed


def test_the_same_key_with_another_label_is_a_conflict(db):
    review = open_review(db)
    task = claim(db, review, review.experts[0])
    answer(db, review, review.experts[0], task, label=1, key="k" * 16)
    with pytest.raises(Conflict):
        answer(db, review, review.experts[0], task, label=0, key="k" * 16)


def test_a_second_tab_cannot_answer_the_same_item_again(db):
    review = open_review(db)
    task = claim(db, review, review.experts[0])
    answer(db, review, review.experts[0], task)
    with pytest.raises(Conflict):
        answer(db, review, review.experts[0], task)
    assert count(db, Annotation) == 1


def test_an_expert_cannot_answer_a_colleagues_slot_or_another_projects(db):
    review, other = open_review(db, items=1, overlap=1), open_review(db)
    task = claim(db, review, review.experts[0])
    with pytest.raises(Conflict):
        answer(db, review, review.experts[1], task)
    with pytest.raises(NotFound):
        answer(db, other, other.experts[0], task)
    assert count(db, Annotation) == 0


@pytest.mark.parametrize(
    "wrong", [{"label": 2}, {"label": -1}, {"key": "short"}, {"note": "x" * 4001}, {"seconds": -1.0}]
)
def test_a_bad_answer_is_refused_and_changes_nothing(db, wrong):
    review = open_review(db)
    task = claim(db, review, review.experts[0])
    with pytest.raises(InvalidInput):
        answer(db, review, review.experts[0], task, **wrong)
    assert count(db, Annotation) == 0
    assert claim(db, review, review.experts[0]) == task


def test_an_answer_stores_the_newest_guideline_flag_note_and_time(db):
    review = open_review(db)
    with db.write() as session:
        session.add(GuidelineVersion(project_id=review.project_id, version=2, text="new", examples={}))
    task = claim(db, review, review.experts[0])
    answer(db, review, review.experts[0], task, flagged=True, note=" odd ", seconds=2.5)
    with db.read() as session:
        row = session.scalars(select(Annotation)).one()
        version = session.get_one(GuidelineVersion, row.guideline_version_id).version
    assert (version, row.flagged, row.note, row.seconds, row.kind) == (2, True, "odd", 2.5, "blind")


def test_a_skipped_item_goes_to_a_colleague_and_never_comes_back(db):
    review = open_review(db, items=1, experts=2, overlap=1)
    first, second = review.experts
    skip(db, review, first, claim(db, review, first), "not my field")
    assert claim(db, review, first) is None
    answer(db, review, second, claim(db, review, second))
    assert count(db, Annotation) == 1


def test_an_item_that_everybody_skips_does_not_hold_the_review_open(db):
    review = open_review(db, items=1, experts=2, overlap=2)
    for expert in review.experts:
        skip(db, review, expert, claim(db, review, expert))
    assert db.run_write(lambda s: queue.close_if_answered(s, review.round_id))


def test_a_repeated_skip_changes_nothing(db):
    review = open_review(db, items=2, experts=3, overlap=1)
    task = claim(db, review, review.experts[0])
    skip(db, review, review.experts[0], task)
    before = count(db, Assignment)
    skip(db, review, review.experts[0], task)
    assert count(db, Assignment) == before == 3


@pytest.mark.parametrize("overlap", [1, 2])
def test_a_skip_is_taken_back_while_no_colleague_has_its_item(db, overlap):
    review = open_review(db, items=1, experts=2, overlap=overlap)
    first, second = review.experts
    task = claim(db, review, first)
    before = count(db, Assignment)
    skip(db, review, first, task, "not my field")
    for _ in range(2):
        assert undo(db, review, first, key="u" * 16, assignment=task.assignment_id) == task.assignment_id
    assert count(db, Assignment) == before, "the slot that the skip opened is gone"
    assert claim(db, review, first) == task
    answer(db, review, first, task)
    assert (claim(db, review, second) is None) == (overlap == 1)
    with db.read() as session:
        assert session.get_one(Assignment, task.assignment_id).skip_reason is None


def test_a_skip_stays_once_a_colleague_has_its_item_or_the_review_has_closed(db):
    review = open_review(db, items=1, experts=2, overlap=1)
    first, second = review.experts
    task = claim(db, review, first)
    skip(db, review, first, task)
    taken = claim(db, review, second)
    with pytest.raises(Conflict) as refused:
        undo(db, review, first, assignment=task.assignment_id)
    assert refused.value.detail == {"reason": "given_on"}
    assert undo(db, review, second, assignment=task.assignment_id) is None, "another's skip"
    answer(db, review, second, taken)
    assert db.run_write(lambda s: queue.close_if_answered(s, review.round_id))
    assert undo(db, review, first, assignment=task.assignment_id) is None


def given(db, review) -> dict[int, int]:
    with db.read() as session:
        return {a.item_id: a.final_label for a in effective_answers(session, [review.round_id])}


def test_a_skip_that_comes_again_after_it_was_taken_back_changes_nothing(db):
    review = open_review(db, items=2, experts=3, overlap=1)
    expert, key = review.experts[0], "s" * 16
    task = claim(db, review, expert)
    assert skip(db, review, expert, task, key=key) == review.round_id
    undo(db, review, expert, assignment=task.assignment_id)
    before = count(db, Assignment)
    assert skip(db, review, expert, task, key=key) == review.round_id
    assert (count(db, Assignment), count(db, Assignment, Assignment.state == "skipped")) == (before, 0)
    answer(db, review, expert, task, 1)
    assert skip(db, review, expert, task, key=key) == review.round_id, "nor after the answer"
    assert given(db, review) == {task.item_id: 1}
    undo(db, review, expert, assignment=task.assignment_id)
    skip(db, review, expert, task, key="t" * 16)
    assert (given(db, review), count(db, Assignment, Assignment.state == "skipped")) == ({}, 1), "a new one does"


@pytest.mark.parametrize("came", [True, False])
def test_taking_a_skip_back_that_comes_again_after_the_answer_leaves_the_answer(db, came):
    review = open_review(db, items=2, experts=3, overlap=2)
    expert, key = review.experts[0], "u" * 16
    task = claim(db, review, expert)
    if came:  # else the skip is lost, and its taking back comes alone
        skip(db, review, expert, task, key="s" * 16)
    assert undo(db, review, expert, key=key, assignment=task.assignment_id) == task.assignment_id
    answer(db, review, expert, task, 1)
    assert undo(db, review, expert, key=key, assignment=task.assignment_id) == task.assignment_id
    assert given(db, review) == {task.item_id: 1}
    with db.read() as session:
        assert session.get_one(Assignment, task.assignment_id).state == "done"


def test_what_a_skip_leaves_in_the_record_is_no_answer_anywhere(db):
    review = open_review(db, items=2, experts=3, overlap=2)
    expert = review.experts[0]
    task = claim(db, review, expert)
    skip(db, review, expert, task, key="s" * 16)
    undo(db, review, expert, assignment=task.assignment_id)
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        practice.add(session, project, "a text to practise", 1, user_id=None)
        assert practice.is_offered(session, project, expert), "a newcomer still"
        guidance.publish(session, project, text="two", examples={}, summary="New.", user_id=expert)
        assert guidance.news(session, project.id, session.get_one(User, expert)) is None
        assert history.item_history(session, project, task.item_id).rounds[0].answers == ()
    answer(db, review, expert, task, 1)
    undo(db, review, expert)
    skip(db, review, expert, task, key="t" * 16)
    with db.read() as session:
        (part,) = history.item_history(session, session.get_one(Project, review.project_id), task.item_id).rounds
    assert [row.kind for row in part.answers] == ["blind", "undone"]


def test_undo_gives_the_last_item_back_and_then_the_one_before(db):
    review = open_review(db, items=3)
    expert = review.experts[0]
    tasks = []
    for _ in range(2):
        tasks.append(claim(db, review, expert))
        answer(db, review, expert, tasks[-1])
    held = claim(db, review, expert)
    assert undo(db, review, expert)
    assert claim(db, review, expert) == tasks[1]
    assert undo(db, review, expert)
    assert claim(db, review, expert) == tasks[0]
    assert not undo(db, review, expert)
    answer(db, review, expert, tasks[0], label=0)
    assert claim(db, review, expert).item_id == tasks[1].item_id
    assert held.item_id not in (tasks[0].item_id, tasks[1].item_id)
    kinds = Counter()
    with db.read() as session:
        kinds.update(session.scalars(select(Annotation.kind)))
    assert kinds == {"blind": 3, "undone": 2}


def test_the_same_undo_sent_twice_takes_back_one_answer(db):
    review = open_review(db, items=3)
    expert = review.experts[0]
    for _ in range(2):
        answer(db, review, expert, claim(db, review, expert))
    assert undo(db, review, expert, key="u" * 16)
    assert undo(db, review, expert, key="u" * 16)
    assert count(db, Annotation, Annotation.kind == "undone") == 1


def test_the_last_answer_closes_the_review_and_nothing_can_be_undone_after(db):
    review = open_review(db, items=2, experts=2, overlap=2)
    for expert in review.experts:
        answer_everything(db, review, expert)
    assert db.run_write(lambda s: queue.close_if_answered(s, review.round_id))
    assert not db.run_write(lambda s: queue.close_if_answered(s, review.round_id))
    assert not undo(db, review, review.experts[0])
    with db.read() as session:
        assert session.get_one(Round, review.round_id).state == "concluding"


def test_a_review_with_an_unanswered_slot_stays_open(db):
    review = open_review(db, items=2, experts=2, overlap=2)
    answer_everything(db, review, review.experts[0])
    assert not db.run_write(lambda s: queue.close_if_answered(s, review.round_id))


def test_progress_counts_own_answers_and_bounds_what_is_left(db):
    review = open_review(db, items=4, experts=2, overlap=2)
    expert = review.experts[0]
    answer(db, review, expert, claim(db, review, expert))
    skip(db, review, expert, claim(db, review, expert))
    with db.read() as session:
        assert queue.progress(session, review.project_id, expert) == queue.Progress(1, 1, 2, unanswered=6)


def test_an_empty_queue_says_why(db):
    review = open_review(db, items=1, experts=2, overlap=2)

    def reason() -> str:
        with db.read() as session:
            return queue.explain_empty(session, review.project_id).reason

    answer_everything(db, review, review.experts[0])
    assert reason() == "waiting_for_colleagues"
    for state, expected in [
        *(("preparing", "preparing"), ("concluding", "round_answered"), ("done", "round_finished")),
        *(("adjudicating", "deciding"), ("failed", "held_up"), ("cancelled", "round_finished")),
    ]:
        with db.write() as session:
            session.execute(update(Round).where(Round.id == review.round_id).values(state=state))
        assert reason() == expected
    experts_decide = {"state": "adjudicating", "settings": {"adjudicators": "two_experts"}}
    with db.write() as session:
        session.execute(update(Round).where(Round.id == review.round_id).values(experts_decide))
    assert reason() == "votes_wanted"


def test_a_round_that_is_not_in_review_gives_nothing_out(db):
    review = open_review(db)
    with db.write() as session:
        session.execute(update(Round).where(Round.id == review.round_id).values(state="preparing"))
    assert claim(db, review, review.experts[0]) is None


def test_32_threads_claim_and_submit_without_a_double_a_surplus_or_a_loss(db):
    """Sixteen experts with two tabs each, every tab claiming and answering as fast as it can."""
    items, experts, overlap = 40, 16, 3
    review = open_review(db, items=items, experts=experts, overlap=overlap)
    receipts: list[int] = []
    failures: list[BaseException] = []

    def tab(expert: int) -> None:
        try:
            while (task := claim(db, review, expert)) is not None:
                try:
                    receipts.append(answer(db, review, expert, task).annotation_id)
                except Conflict as lost_to_other_tab:
                    if lost_to_other_tab.detail["reason"] not in ("answered", "taken", "closed"):
                        raise
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=tab, args=(expert,)) for expert in review.experts for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert not failures
    with db.read() as session:
        rows = session.execute(select(Annotation.item_id, Annotation.expert_id)).all()
    assert len(receipts) == len(set(receipts)) == len(rows) == items * overlap
    assert max(Counter(rows).values()) == 1
    assert set(Counter(item for item, _ in rows).values()) == {overlap}
    assert count(db, Assignment, Assignment.state != "done") == 0


def test_threads_that_skip_at_once_make_one_slot_each(db):
    review = open_review(db, items=1, experts=4, overlap=4)
    late = [add_expert(db, review) for _ in range(4)]
    tasks = {expert: claim(db, review, expert) for expert in review.experts}
    threads = [threading.Thread(target=skip, args=(db, review, e, tasks[e])) for e in review.experts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert count(db, Assignment, Assignment.state == "open") == len(late)
