"""When the next round starts by itself, and when a budget, an advice or a person keeps it from starting."""

import pytest
from sqlalchemy import select

from app.db.tables import Assignment, AuditEvent, GuidelineVersion, ModelVersion, Project, Round
from app.errors import Conflict
from app.services import automation
from tests.factories import make_items, make_project, make_user

LABELS = ("no", "yes")


@pytest.fixture
def project_id(db) -> int:
    """A project with a finished round whose advice is to go on, and ten answers given."""
    with db.write() as session:
        experts = [make_user(session), make_user(session)]
        project = make_project(session, experts=experts, settings={"next_round": "itself", "round_size": 10})
        items = make_items(session, project, 30)
        guideline = session.scalars(select(GuidelineVersion).where(GuidelineVersion.project_id == project.id)).one()
        round_ = Round(
            project_id=project.id,
            number=1,
            state="done",
            settings={},
            seed=0,
            guideline_version_id=guideline.id,
            advice="continue",
        )
        session.add(round_)
        session.flush()
        for slot, item in enumerate(items[:10]):
            session.add(
                Assignment(
                    round_id=round_.id, item_id=item.id, slot=0, position=slot, state="done", expert_id=experts[0].id
                )
            )
        version = ModelVersion(
            project_id=project.id,
            round_id=round_.id,
            version=1,
            kind="trained",
            engine="linear",
            config={},
            state="ready",
            metrics={"usage": {"cost": 1.5}},
        )
        session.add(version)
        return project.id


def set_(db, project_id: int, **settings) -> None:
    with db.write() as session:
        project = session.get_one(Project, project_id)
        project.settings = {**project.settings, **settings}


def start(db, project_id: int) -> int | None:
    return db.run_write(lambda session: automation.start_if_due(session, project_id))


def reason(db, project_id: int) -> str:
    with db.read() as session:
        return automation.outlook(session, session.get_one(Project, project_id)).reason


def test_it_starts_once_and_the_record_says_so(db, project_id):
    with db.read() as session:
        assert automation.wanting(session) == [project_id]
    assert start(db, project_id) == 2
    with db.read() as session:
        assert automation.wanting(session) == []
        assert "round.started_by_itself" in session.scalars(select(AuditEvent.action)).all()
    assert start(db, project_id) is None
    assert "when this one is done" in reason(db, project_id)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"next_round": "asked"}, "An admin starts each round"),
        ({"most_rounds": 1}, "budget of 1 rounds"),
        ({"most_answers": 29}, "10 of the budget of 29 answers are given, and the next round needs 20"),
        ({"most_cost": 1.5}, "budget of 1.50 is spent"),
        ({"overlap": 3}, "can't start by itself: Each item is to be answered by 3"),
    ],
)
def test_a_budget_or_an_obstacle_keeps_it_from_starting(db, project_id, settings, said):
    set_(db, project_id, **settings)
    assert said in reason(db, project_id)
    assert start(db, project_id) is None


def test_a_budget_that_is_just_enough_does_not(db, project_id):
    set_(db, project_id, most_answers=30, most_rounds=2, most_cost=1.51)
    assert start(db, project_id) == 2


@pytest.mark.parametrize("advice", ["match", "plateau", "disagree", None])
def test_any_other_advice_stops_it(db, project_id, advice):
    with db.write() as session:
        session.scalars(select(Round)).one().advice = advice
    assert start(db, project_id) is None
    assert "not to go on" in reason(db, project_id)


def test_a_cancelled_round_leaves_the_next_one_to_a_person(db, project_id):
    assert start(db, project_id) == 2
    with db.write() as session:
        session.scalars(select(Round).where(Round.number == 2)).one().state = "cancelled"
    assert start(db, project_id) is None
    assert "was cancelled" in reason(db, project_id)


def test_the_first_round_is_a_person_s(db):
    with db.write() as session:
        project = make_project(session, settings={"next_round": "itself"})
        project_id = project.id
    assert start(db, project_id) is None
    assert "first round" in reason(db, project_id)


def test_two_workers_that_see_it_at_the_same_time_start_one(db, project_id, monkeypatch):
    outlook = automation.outlook

    def seen(session, project):
        found = outlook(session, project)
        monkeypatch.setattr(automation, "outlook", lambda *_: found)  # the second looked before the first wrote
        return found

    monkeypatch.setattr(automation, "outlook", seen)
    assert start(db, project_id) == 2
    with pytest.raises(Conflict):
        start(db, project_id)
