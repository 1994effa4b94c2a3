"""What a round chose is stored whole, or not at all."""

from typing import get_args

import numpy as np
import pytest
from sqlalchemy import func, select, update

from app.curation.loop import LoopSettings, plan_round
from app.curation.strategies import STRATEGIES
from app.db.tables import Assignment, BoundaryPair, ConsensusLabel, Item, Project, Round, RoundItem
from app.errors import Conflict
from app.services import selection
from app.services.predictions import Predictions
from app.services.projects import ProjectSettings
from app.web.project_forms import METHOD
from tests.factories import make_items, make_project
from tests.services.review_factories import add_round

N = 60


@pytest.fixture
def round_id(db) -> int:
    with db.write() as session:
        make_items(session, make_project(session), 7)  # so that ids and ordinals differ
        project = make_project(session)
        make_items(session, project, N)
        round_ = add_round(session, project, [], overlap=2)
        round_.state, round_.settings = "preparing", {"overlap": 3}
        return round_.id


def model() -> Predictions:
    rng = np.random.default_rng(0)
    scores = rng.dirichlet([1, 1], size=N).astype(np.float32)
    return Predictions(scores.argmax(axis=1).astype(np.int16), scores)


def plan(excluded=(), **settings):
    embeddings = np.random.default_rng(1).normal(size=(N, 16))
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    mask = np.zeros(N, dtype=bool)
    mask[list(excluded)] = True
    wanted = LoopSettings(**{"round_size": 20, "control_share": 0.2, **settings})
    return plan_round(embeddings, model().labels, model().scores, mask, wanted, np.random.default_rng(2))


def open_review(db, round_id: int, chosen) -> None:
    with db.write() as session:
        selection.open_review(session, session.get_one(Round, round_id), chosen, model())


def counts(db) -> list[int]:
    with db.read() as session:
        return [session.scalar(select(func.count()).select_from(t)) for t in (RoundItem, BoundaryPair, Assignment)]


def test_items_slots_and_pairs_are_stored_as_planned(db, round_id):
    chosen = plan()
    open_review(db, round_id, chosen)
    assert counts(db) == [20, len(chosen.pairs.left), 60]
    with db.read() as session:
        ordinal = {item.id: item.ordinal for item in session.scalars(select(Item))}
        rows = {ordinal[row.item_id]: row for row in session.scalars(select(RoundItem))}
        slots = session.scalars(select(Assignment)).all()
        pairs = session.scalars(select(BoundaryPair).order_by(BoundaryPair.rank)).all()
        assert session.get_one(Round, round_id).state == "review"
    assert list(rows) == chosen.items.tolist()
    for place, item in enumerate(chosen.items.tolist()):
        row = rows[item]
        assert (row.reason, row.position, row.model_label) == (
            chosen.reasons[place],
            chosen.positions[place],
            model().labels[item],
        )
        assert row.model_score == pytest.approx(model().scores[item].max())
        assert (row.propensity is None) == (row.reason != "control")
    assert {(slot.slot, slot.position) for slot in slots} == {(s, p) for s in range(3) for p in range(20)}
    assert [ordinal[pair.left_item_id] for pair in pairs] == chosen.pairs.left.tolist()
    assert all(pair.left_label != pair.right_label for pair in pairs)


def test_a_review_opens_once(db, round_id):
    open_review(db, round_id, plan())
    before = counts(db)
    with pytest.raises(Conflict, match="not being prepared"):
        open_review(db, round_id, plan())
    assert counts(db) == before


def test_a_cancelled_round_opens_no_review(db, round_id):
    with db.write() as session:
        session.execute(update(Round).values(state="cancelled"))
    with pytest.raises(Conflict):
        open_review(db, round_id, plan())
    assert counts(db) == [0, 0, 0]


def test_a_pool_that_is_used_up_says_so(db, round_id):
    with pytest.raises(Conflict, match="Import more texts"):
        open_review(db, round_id, plan(excluded=range(N)))


def test_items_of_earlier_rounds_are_taken_and_those_of_cancelled_ones_are_not(db, round_id):
    chosen = plan()
    open_review(db, round_id, chosen)
    with db.read() as session:
        project = session.get_one(Round, round_id).project_id
        assert sorted(selection.chosen_before(session, project)) == sorted(chosen.items.tolist())
        others = session.scalars(select(Project.id).where(Project.id != project)).one()
        assert selection.chosen_before(session, others) == []
    with db.write() as session:
        session.execute(update(Round).values(state="cancelled"))
        assert selection.chosen_before(session, project) == []


def test_strategies_see_what_finished_rounds_decided_and_nothing_of_open_or_cancelled_ones(db):
    with db.write() as session:
        other = make_project(session)
        make_items(session, other, 3)
        project = make_project(session)
        items = make_items(session, project, 8)
        wanted = [("done", 1, items[4:8]), ("cancelled", 2, items[2:4]), ("review", 3, items[0:2])]
        for state, number, members in wanted:
            round_ = add_round(session, project, [item.id for item in members], overlap=2, number=number)
            round_.state = state
            session.flush()
            for item in members:
                session.add(ConsensusLabel(round_id=round_.id, item_id=item.id, label=1, source="majority", votes=2))
        done = session.scalars(select(RoundItem).join(Round).where(Round.state == "done")).all()
        done[0].split, done[1].split, done[1].propensity = "train", "evaluation", 0.25
        done[3].split, done[3].propensity = None, 0.5  # drawn for the control slice, and a twin of both sides
        tie = session.scalars(select(ConsensusLabel).where(ConsensusLabel.item_id == items[6].id)).one()
        tie.label, tie.source = None, "tie"
        project_id, other_id = project.id, other.id
    with db.read() as session:
        history = selection.decided_before(session, project_id)
        nothing = selection.decided_before(session, other_id)
    assert history.items.tolist() == [4, 5, 7]
    assert history.labels.tolist() == [1, 1, 1]
    assert history.rounds.tolist() == [1, 1, 1]
    assert history.trained.tolist() == [True, False, False]
    assert list(history.reasons) == ["boundary"] * 3
    np.testing.assert_array_equal(history.propensities, [np.nan, 0.25, np.nan])
    assert len(nothing) == 0
    assert (nothing.items.dtype, nothing.trained.dtype, nothing.propensities.dtype) == (np.int64, np.bool_, np.float64)


def test_a_project_may_choose_every_strategy_that_there_is_and_the_form_offers_them():
    offered = next(field for field in METHOD if field.name == "strategy")
    assert set(get_args(ProjectSettings.model_fields["strategy"].annotation)) == set(STRATEGIES)
    assert {value for value, _ in offered.options} == set(STRATEGIES)
