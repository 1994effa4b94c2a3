"""Rulings on both databases: who settles a disagreement, and what becomes of it."""

import pytest

from app.db.tables import AdjudicationVote, Annotation, ConsensusLabel, Item, Project, Round
from app.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.services import overview, projects, rounds, rulings
from tests.services.review_factories import open_review

GUIDELINE = "# Clickbait\n\nText.\n\n## Prices *hidden*\n\n```\n# not a heading\n```\n\nOdd one\n-------\n"


@pytest.fixture
def review(db):
    """Item 0 is a tie, item 1 a majority for label 1, item 2 unanimous; the round waits for decisions."""
    review = open_review(db, items=3, experts=3, overlap=3)
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        round_.state = "adjudicating"
        round_.settings = round_.settings | {"adjudicators": "two_experts"}
        for item, source, label in zip(review.items, ("tie", "majority", "unanimous"), (None, 1, 1), strict=True):
            session.add(ConsensusLabel(round_id=round_.id, item_id=item, source=source, label=label, votes=3))
    return review


def in_round(db, review, work, *arguments, **values):
    with db.write() as session:
        return work(session, session.get_one(Round, review.round_id), *arguments, n_labels=2, **values)


def row(db, review, place):
    with db.read() as session:
        return session.query(ConsensusLabel).filter_by(item_id=review.items[place]).one()


def vote(db, review, expert, label, reason="rule 1", place=0):
    item, user = review.items[place], review.experts[expert]
    return in_round(db, review, rulings.vote, item, label, reason=reason, user_id=user)


def test_two_agreeing_votes_settle_and_the_round_goes_on(db, review):
    assert not vote(db, review, 0, 1, "the price is hidden")
    assert not vote(db, review, 1, 0)
    assert row(db, review, 0).source == "tie"
    assert vote(db, review, 2, 1, "as rule 2 says")
    settled = row(db, review, 0)
    assert (settled.source, settled.label, settled.reason) == (
        "adjudicated",
        1,
        "the price is hidden\nas rule 2 says",
    )
    with db.read() as session:
        assert session.get_one(Round, review.round_id).state == "concluding"
        assert session.query(AdjudicationVote).count() == 3
        assert session.query(Annotation).count() == 0


def test_one_person_has_one_vote_and_may_change_it(db, review):
    assert not vote(db, review, 0, 1)
    assert not vote(db, review, 0, 1)
    assert not vote(db, review, 0, 0)
    assert vote(db, review, 1, 0)
    assert row(db, review, 0).label == 0


def test_a_vote_needs_a_reason_a_label_and_a_project_that_lets_experts_decide(db, review):
    for label, reason in ((1, " "), (2, "x")):
        with pytest.raises(InvalidInput):
            vote(db, review, 0, label, reason)
    with pytest.raises(Conflict):
        vote(db, review, 0, 1, place=1)  # settled by most
    with pytest.raises(NotFound):
        vote(db, review, 0, 1, place=2)  # nobody disagrees
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        round_.settings = round_.settings | {"adjudicators": "lead"}
    with pytest.raises(Forbidden):
        vote(db, review, 0, 1)


def test_a_majority_is_overruled_or_where_the_project_says_so_waits_for_a_decision(db, review):
    decide = {"reason": "the guideline says so", "clause": "Prices"}
    assert in_round(db, review, rounds.adjudicate, review.items[1], 0, **decide) == 1
    overruled = row(db, review, 1)
    assert (overruled.source, overruled.label, overruled.clause) == ("adjudicated", 0, "Prices")
    with pytest.raises(NotFound):
        in_round(db, review, rounds.adjudicate, review.items[2], 0, **decide)


def test_with_disagreements_to_decide_a_majority_waits_as_a_tie_does(db, review):
    with db.write() as session:
        round_ = session.get_one(Round, review.round_id)
        round_.settings = round_.settings | {"adjudicate": "disagreements"}
        session.flush()
        assert rounds.ties_left(session, round_) == 2
        assert [tie.majority for tie in overview.ties(session, round_).waiting] == [None, 1]


def test_a_ruling_becomes_an_example_once(db, review):
    in_round(db, review, rounds.adjudicate, review.items[0], 1, reason="Rule % 7", user_id=review.experts[0])
    with db.write() as session:
        project = session.get_one(Project, review.project_id)
        version = rulings.make_example(session, project, review.items[0], user_id=review.experts[0])
        text = session.get_one(Item, review.items[0]).text
        assert text in version.examples[project.labels[1]]
        assert version.version == projects.current_guideline(session, project.id).version
        with pytest.raises(Conflict):
            rulings.make_example(session, project, review.items[0], user_id=review.experts[0])
        with pytest.raises(Conflict, match="Nobody"):
            rulings.make_example(session, project, review.items[2], user_id=review.experts[0])
        with pytest.raises(NotFound):
            rulings.make_example(session, project, 999, user_id=review.experts[0])


def test_rulings_are_found_by_reason_and_text_and_wildcards_are_letters(db, review):
    in_round(db, review, rounds.adjudicate, review.items[1], 0, reason="else")
    in_round(db, review, rounds.adjudicate, review.items[0], 1, reason="Rule % 7", clause="Prices")
    for search, count in (("", 2), ("rule %", 1), ("%", 1), ("_", 0), ("PRICES", 1), ("nothing", 0)):
        with db.read() as session:
            assert len(rulings.rulings(session, review.project_id, search=search)) == count, search


def test_clauses_are_the_headings():
    assert rulings.clauses_of(GUIDELINE) == ["Clickbait", "Prices *hidden*", "Odd one"]
