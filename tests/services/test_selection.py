"""What a round chose is stored whole, or not at all."""

import numpy as np
import pytest
from sqlalchemy import func, select, update

from app.curation.loop import LoopSettings, plan_round
from app.db.tables import Assignment, BoundaryPair, Item, Project, Round, RoundItem
from app.errors import Conflict
from app.services import selection
from app.services.predictions import Predictions
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
