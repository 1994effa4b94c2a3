"""Suggestions, versions and answers asked for again, on both databases."""

import time
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.base import utcnow
from app.db.tables import Annotation, Assignment, BoundaryPair, PairView, Project, User
from app.errors import Conflict, InvalidInput, NotFound
from app.services import annotations, guidance, projects, queue
from app.services.annotations import Answer
from app.services.answers import effective_answers
from app.services.queue import lease_for
from tests.services.review_factories import add_expert, open_review

LEASE = lease_for({}, 30)


@pytest.fixture
def review(db):
    return open_review(db, items=3, experts=2)


def work(db, review, do, *arguments, **values):
    with db.write() as session:
        return do(session, session.get_one(Project, review.project_id), *arguments, **values)


def answer_next(db, review, expert, label=1):
    def submit(session):
        task = queue.claim(session, review.project_id, expert, lease=LEASE)
        found = session.query(Annotation).count()
        given = Answer(task.assignment_id, label, f"the-key-{found}-{expert}")
        annotations.submit(session, project_id=review.project_id, expert_id=expert, n_labels=2, answer=given)
        return task

    return db.run_write(submit)


def publish(db, review, text="Rule two.", summary="A second rule."):
    return work(db, review, projects.publish_guideline, text=text, examples={}, summary=summary)


def test_a_question_is_asked_once_answered_once_and_seen_by_its_author(db, review):
    one, two = review.experts
    task = answer_next(db, review, one)
    ask = {"key": "ask-it-once", "assignment_id": task.assignment_id}
    row = work(db, review, guidance.suggest, one, "question", "Does it count?", **ask)
    assert work(db, review, guidance.suggest, one, "question", "Does it count?", **ask).id == row.id
    work(db, review, guidance.reply, row.id, "It does.", user_id=two)
    with pytest.raises(Conflict):
        work(db, review, guidance.reply, row.id, "It does not.", user_id=two)
    with db.read() as session:
        (mine,) = guidance.asked(session, review.project_id, author_id=one)
        assert (mine.row.state, mine.row.answer, mine.item_text) == ("answered", "It does.", task.text)
        assert guidance.asked(session, review.project_id, author_id=two) == []
        assert guidance.count_open(session, review.project_id) == 0


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "answer", "text": "x"}, "kind"),
        ({"kind": "question", "text": " "}, "text"),
        ({"kind": "question", "text": "x" * 4001}, "text"),
        ({"kind": "example", "text": "x", "label": 2}, "label"),
        ({"kind": "example", "text": "x", "label": 1}, "kind"),
    ],
)
def test_a_suggestion_that_makes_no_sense_names_its_field(db, review, values, field):
    with pytest.raises(InvalidInput) as caught:
        work(db, review, guidance.suggest, review.experts[0], key="a-key-of-mine", **values)
    assert caught.value.detail["field"] == field


def test_a_colleagues_text_cannot_be_asked_about(db, review):
    task = answer_next(db, review, review.experts[0])
    with pytest.raises(NotFound):
        work(
            db,
            review,
            guidance.suggest,
            review.experts[1],
            "question",
            "x",
            key="a-key",
            assignment_id=task.assignment_id,
        )


def test_a_proposal_that_is_taken_up_is_an_example_of_the_next_version(db, review):
    expert = review.experts[0]
    task = answer_next(db, review, expert)
    values = {"key": "propose-it", "assignment_id": task.assignment_id, "label": 1}
    row = work(db, review, guidance.suggest, expert, "example", "It is telling.", **values)
    with pytest.raises(Conflict, match="have still to answer") as refused:
        work(db, review, guidance.take_up, row.id, user_id=review.experts[1])
    assert refused.value.detail == {"field": "examples"}
    for _ in range(3):
        answer_next(db, review, review.experts[1])
    version = work(db, review, guidance.take_up, row.id, user_id=review.experts[1])
    with db.read() as session:
        project = session.get_one(Project, review.project_id)
        assert guidance.count_affected(session, project) == [0, 2], "the example itself is asked of nobody"
        current = projects.current_guideline(session, project.id)
        assert current.version == version.version
        assert task.text in current.examples[project.labels[1]]
        (entry,) = guidance.asked(session, project.id)
        assert entry.published_version == current.version


def test_answers_under_an_earlier_version_are_asked_for_again_from_the_same_expert(db, review):
    one, two = review.experts
    first = answer_next(db, review, one, label=1)
    answer_next(db, review, one, label=0)
    publish(db, review)
    later = answer_next(db, review, two, label=1)  # under the new version: stands
    assert work(db, review, guidance.queue_again, [1], user_id=two) == 1
    assert work(db, review, guidance.queue_again, [1], user_id=two) == 0
    with db.read() as session:
        assert guidance.returned(session, review.project_id, one) == {first.assignment_id}
        standing = {(a.item_id, a.expert_id) for a in effective_answers(session, [review.round_id])}
        assert (first.item_id, one) not in standing
        assert (later.item_id, two) in standing
        assert session.query(Annotation).filter_by(kind="blind").count() == 3, "earlier answers stay stored"
    assert answer_next(db, review, one, label=0).assignment_id == first.assignment_id
    with db.read() as session:
        assert guidance.returned(session, review.project_id, one) == set()


def test_what_was_seen_beside_its_contrast_is_not_asked_again(db, review):
    one = review.experts[0]
    for _ in range(2):
        answer_next(db, review, one)
    with db.write() as session:
        done = session.query(Assignment).filter_by(expert_id=one, state="done").all()
        pair = BoundaryPair(
            round_id=review.round_id,
            rank=0,
            left_item_id=done[0].item_id,
            right_item_id=done[1].item_id,
            left_label=0,
            right_label=1,
            similarity=0.9,
            left_cluster=0,
            right_cluster=0,
        )
        session.add(pair)
        session.flush()
        session.add(PairView(pair_id=pair.id, expert_id=one))
    publish(db, review)
    assert work(db, review, guidance.queue_again, [0, 1], user_id=one) == 0


def test_only_labels_that_exist_can_be_asked_for_again(db, review):
    for labels in ([], [2], [-1]):
        with pytest.raises(InvalidInput):
            work(db, review, guidance.queue_again, labels, user_id=review.experts[0])


def test_whoever_worked_with_an_earlier_version_is_told_once(db, review):
    one, two = review.experts

    def told(expert):
        with db.read() as session:
            found = guidance.news(session, review.project_id, session.get_one(User, expert))
            return found and found.summary

    answer_next(db, review, one)
    assert told(one) is None
    publish(db, review)
    assert (told(one), told(two)) == ("A second rule.", None)
    with db.write() as session:
        guidance.note_seen(session, review.project_id, session.get_one(User, one))
    assert told(one) is None
    publish(db, review, text="Rule three.", summary="A third.")
    assert told(one) == "A third."
    work(db, review, guidance.queue_again, [0, 1], user_id=two)
    assert told(one) == "A third."  # answers taken back for them are not work of theirs


def test_an_item_kept_too_long_goes_to_a_colleague(db, review):
    one, two = review.experts
    first = answer_next(db, review, one)
    publish(db, review)
    past = utcnow() - guidance.QUEUED_AGAIN_FOR - timedelta(hours=1)
    work(db, review, guidance.queue_again, [1], user_id=two, now=past)
    with db.write() as session:
        assert session.get_one(Assignment, first.assignment_id).lease_expires_at < utcnow()


@pytest.mark.parametrize("opens", ["ahead", "one"])
def test_what_is_asked_again_is_kept_for_its_expert_who_opens_the_page_and_leaves(db, review, opens):
    one, two = review.experts
    third = add_expert(db, review)
    asked, _ = (answer_next(db, review, expert).item_id for expert in (one, two))
    publish(db, review)
    assert work(db, review, guidance.queue_again, [1], user_id=two) == 2
    hold = {"project_id": review.project_id, "expert_id": one}
    with db.write() as session:
        if opens == "ahead":
            held = [task.item_id for task in queue.claim_ahead(session, **hold, lease=LEASE, unanswered=99)]
        else:
            held = [queue.claim(session, **hold, lease=LEASE).item_id]
    assert held[0] == asked
    released = db.run_write(lambda session: queue.release(session, **hold))
    assert released == len(held) - 1, "the rest goes back"
    later = utcnow() + timedelta(hours=23)
    other = db.run_write(lambda s: queue.claim(s, review.project_id, third, lease=LEASE, now=later))
    assert other.item_id != asked
    with db.read() as session:
        assert len(guidance.returned(session, review.project_id, one)) == 1
    after = utcnow() + guidance.QUEUED_AGAIN_FOR + timedelta(minutes=1)
    with db.write() as session:
        queue.release(session, review.project_id, third)
        assert queue.claim(session, review.project_id, third, lease=LEASE, now=after).item_id == asked


def test_a_text_asked_again_stays_so_when_its_skip_is_taken_back_and_is_free_once_answered(db, review):
    one, two = review.experts
    first = answer_next(db, review, one)
    publish(db, review)
    work(db, review, guidance.queue_again, [1], user_id=two)
    who = {"project_id": review.project_id, "expert_id": one}

    def undo(session, key):
        slot = first.assignment_id
        return annotations.undo(session, **who, key=key, lease=LEASE, assignment_id=slot, keep_claims=True)

    with db.write() as session:
        annotations.skip(session, **who, assignment_id=first.assignment_id, key="s" * 16)
        assert undo(session, "u" * 16) == first.assignment_id
        assert guidance.returned(session, **who) == {first.assignment_id}
        assert queue.release(session, **who) == 0
    assert answer_next(db, review, one).assignment_id == first.assignment_id
    with db.write() as session:
        undo(session, "v" * 16)
        assert guidance.returned(session, **who) == set()
        assert queue.release(session, **who) == 1


lines = st.lists(st.text("ab", max_size=3), max_size=6)


@given(lines, lines)
def test_a_comparison_holds_every_changed_line(before, after):
    shown = guidance.compare(before, after, around=100)
    assert [line.text for line in shown if line.kind != "removed"] == (after if before != after else [])
    assert [line.text for line in shown if line.kind != "added"] == (before if before != after else [])


def test_unchanged_lines_far_away_are_left_out():
    before = [f"line {n}" for n in range(9)]
    shown = guidance.compare(before, [*before[:4], "new", *before[4:]])
    assert [line.text for line in shown] == ["line 3", "new", "line 4", "…"]


def test_a_guideline_that_is_wholly_rewritten_is_compared_at_once():
    before, after = ([f"{word} {n} " + "abc " * 30 for n in range(2000)] for word in ("the rule", "a law"))
    started = time.process_time()
    shown = guidance.compare(before, after)
    assert time.process_time() - started < 2
    assert len(shown) == 4000


def test_a_version_needs_a_sentence_and_undoes_nobodys_work(db, review):
    values = {"text": "Rule two.", "examples": {}, "user_id": review.experts[0]}
    with pytest.raises(InvalidInput) as caught:
        work(db, review, guidance.publish, summary=" \n", **values)
    assert caught.value.detail["field"] == "summary"
    version = work(db, review, guidance.publish, summary="Two\nrules.", based_on=1, **values)
    assert (version.version, version.summary) == (2, "Two rules.")
    with pytest.raises(Conflict):
        work(db, review, guidance.publish, summary="Mine.", based_on=1, **values)


def test_a_draft_is_compared_with_the_current_version(db, review):
    labels = ("benign", "clickbait")
    changes = work(db, review, guidance.draft_changes, "Label what the text is.\nNew.", {labels[1]: ["You won't"]})
    assert [(line.kind, line.text) for line in changes] == [
        ("same", "Label what the text is."),
        ("added", "New."),
        ("added", "clickbait: You won't"),
    ]


def test_single_items_can_be_asked_for_again_and_no_more_than_was_confirmed(db, review):
    one, two = review.experts
    first, second = answer_next(db, review, one, label=1), answer_next(db, review, one, label=0)
    assert work(db, review, guidance.count_affected) == [0, 0]
    assert work(db, review, guidance.count_affected, by_next_version=True) == [1, 1]
    publish(db, review)
    assert work(db, review, guidance.count_affected) == [1, 1]
    items = work(db, review, guidance.affected_items)
    assert [(i.item_id, i.answers) for i in items] == [(first.item_id, {1: 1}), (second.item_id, {0: 1})]
    with pytest.raises(Conflict):
        work(db, review, guidance.queue_again, [0, 1], user_id=two, expected=1)
    assert work(db, review, guidance.queue_again, [], [second.item_id], user_id=two, expected=1) == 1
    with db.read() as session:
        assert guidance.returned(session, review.project_id, one) == {second.assignment_id}
