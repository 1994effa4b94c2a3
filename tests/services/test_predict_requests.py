"""Requests wait in order, are a person's own, and are soon forgotten."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.db.base import utcnow
from app.db.tables import ModelVersion, PredictRequest, Project
from app.errors import InvalidInput, NotFound, TooManyRequests
from app.services import models
from app.services import predict_requests as requests
from tests.factories import make_user
from tests.services.alignment_factories import make_history


@pytest.fixture
def project_id(db):
    made = make_history(db, rounds=1)
    with db.write() as session:
        session.scalars(select(ModelVersion).where(ModelVersion.kind == "trained")).one().artifact_key = "models/1"
    return made.project_id


@pytest.fixture
def person(db):
    with db.write() as session:
        return make_user(session).id


def ask(db, project_id, person, texts=("a text",)):
    with db.write() as session:
        project = session.get_one(Project, project_id)
        model = models.trained_model(session, project)
        return requests.request(session, project, model, texts, user_id=person).id


def claim(db, **values):
    with db.write() as session:
        return requests.claim(session, **values)


def state(db, request_id):
    with db.read() as session:
        return session.get_one(PredictRequest, request_id).state


def test_requests_are_answered_in_order_and_each_once(db, project_id, person):
    first, second = ask(db, project_id, person, ["one", "two"]), ask(db, project_id, person)
    taken = claim(db)
    assert (taken.id, taken.texts) == (first, ["one", "two"])
    assert claim(db).id == second
    assert claim(db) is None
    with db.write() as session:
        requests.finish(session, first, [{"label": 1, "scores": [0.25, 0.75]}, {"label": 0, "scores": [0.5, 0.5]}])
    with db.read() as session:
        found = requests.get_request(session, project_id, person, first)
        said = requests.answers(found, ["benign", "clickbait"])
    assert found.state == "done"
    assert [answer.label for answer in said] == ["clickbait", "benign"]
    assert said[0].score == 0.75
    assert said[0].scores == {"benign": 0.25, "clickbait": 0.75}


def test_nobody_else_reads_them(db, project_id, person):
    asked = ask(db, project_id, person)
    with db.write() as session:
        other = make_user(session).id
    with db.read() as session:
        for owner, project in ((other, project_id), (person, project_id + 1)):
            with pytest.raises(NotFound):
                requests.get_request(session, project, owner, asked)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "at least one"),
        (["x"] * 101, "At most 100"),
        (["fine", "  \n"], "Text 2 is empty"),
        (["x" * 20_001], "20,001 characters"),
        (["a\0b"], "can't be stored"),
        (["\ud800"], "can't be stored"),
    ],
)
def test_what_is_too_much_or_no_text_is_refused_by_its_row(db, project_id, person, texts, said):
    with pytest.raises(InvalidInput, match=said):
        ask(db, project_id, person, texts)


def test_the_largest_request_is_taken(db, project_id, person):
    ask(db, project_id, person, ["🙂" * 20_000] * 100)
    assert len(claim(db).texts) == 100


def test_a_project_can_only_have_so_many_waiting(db, project_id, person):
    for _ in range(requests.MOST_WAITING):
        last = ask(db, project_id, person)
    with pytest.raises(TooManyRequests):
        ask(db, project_id, person)
    taken = claim(db)
    with db.write() as session:
        requests.fail(session, taken.id, "no")
    assert ask(db, project_id, person) > last


def test_one_whose_worker_died_is_taken_over_once_and_then_given_up(db, project_id, person):
    asked, now = ask(db, project_id, person), utcnow()
    claim(db, now=now)
    assert claim(db, now=now + timedelta(minutes=9)) is None
    assert claim(db, now=now + timedelta(minutes=11)).id == asked
    assert claim(db, now=now + timedelta(minutes=22)) is None
    assert state(db, asked) == "failed"


def test_an_answer_that_comes_after_it_was_given_up_or_forgotten_changes_nothing(db, project_id, person):
    asked = ask(db, project_id, person)
    claim(db)
    with db.write() as session:
        requests.fail(session, asked, "gone")
        requests.finish(session, asked, [{"label": 0, "scores": [1.0, 0.0]}])
        requests.finish(session, 999, [])
    assert state(db, asked) == "failed"


def test_texts_are_forgotten_after_a_day(db, project_id, person):
    old = ask(db, project_id, person)
    with db.write() as session:
        session.get_one(PredictRequest, old).created_at = utcnow() - timedelta(hours=25)
    young = ask(db, project_id, person)
    with db.write() as session:
        assert requests.is_waiting(session)
        requests.sweep(session)
    with db.read() as session:
        assert list(session.scalars(select(PredictRequest.id))) == [young]


def test_a_look_says_whether_there_is_work(db, project_id, person):
    def waiting(**values):
        with db.read() as session:
            return requests.is_waiting(session, **values)

    assert not waiting()
    asked = ask(db, project_id, person)
    assert waiting()
    claim(db)
    assert not waiting()
    assert waiting(now=utcnow() + timedelta(minutes=11))
    with db.write() as session:
        requests.forget(session, asked)
        assert session.scalar(select(func.count()).select_from(PredictRequest)) == 0
