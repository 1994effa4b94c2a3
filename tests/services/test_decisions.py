"""Consensus labels, splits and what a model is trained on."""

from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import pytest
from sqlalchemy import select, update

from app.db.engine import Database
from app.db.tables import Annotation, Assignment, BoundaryPair, ConsensusLabel, Project, Round, RoundItem
from app.services import decisions, rounds
from tests.factories import make_items, make_project, make_user
from tests.services.review_factories import add_round


@dataclass
class Table:
    """A project whose texts lie at right angles, unless a test moves their embeddings."""

    db: Database
    project_id: int
    experts: list[int]
    items: list[int]
    embeddings: np.ndarray

    def deal(self, places, *, control=(), pairs=(), **settings) -> int:
        """A round of these items, in review; the ones before it are over."""
        with self.db.write() as session:
            session.execute(update(Round).where(Round.state == "review").values(state="done"))
            number = len(rounds.list_rounds(session, self.project_id)) + 1
            project = session.get_one(Project, self.project_id)
            round_ = add_round(session, project, [self.items[i] for i in places], overlap=3, number=number)
            round_.settings = {"evaluation_share": 0.38, "split_mode": "grouped", **settings}
            for row in session.scalars(select(RoundItem).where(RoundItem.round_id == round_.id)):
                row.reason = "control" if row.item_id in [self.items[i] for i in control] else "boundary"
            for rank, (left, right) in enumerate(pairs):
                sides = {"left_item_id": self.items[left], "right_item_id": self.items[right]}
                numbers = {"left_label": 0, "right_label": 1, "left_cluster": 0, "right_cluster": 0, "similarity": 0.8}
                session.add(BoundaryPair(round_id=round_.id, rank=rank, **sides, **numbers))
            return round_.id

    def twins(self, *places: int) -> None:
        """The later ones are near-duplicates of the first: cosine above 0.98 among all of them."""
        for place in places[1:]:
            self.embeddings[place] = self.embeddings[places[0]] + 0.1 * self.embeddings[place]
            self.embeddings[place] /= np.linalg.norm(self.embeddings[place])

    def answer(self, round_id: int, place: int, expert: int, label: int | None, kind: str = "blind") -> None:
        with self.db.write() as session:
            slot = session.scalar(
                select(Assignment).where(
                    Assignment.round_id == round_id,
                    Assignment.item_id == self.items[place],
                    Assignment.slot == expert,
                )
            )
            slot.state, slot.expert_id = "done", self.experts[expert]
            session.add(
                Annotation(
                    round_id=round_id,
                    item_id=slot.item_id,
                    assignment_id=slot.id,
                    expert_id=slot.expert_id,
                    kind=kind,
                    label=label,
                    idempotency_key=uuid4().hex,
                    guideline_version_id=session.get_one(Round, round_id).guideline_version_id,
                )
            )

    def decide(self, round_id: int) -> int:
        with self.db.write() as session:
            return decisions.decide(session, session.get_one(Round, round_id), 2)

    def labels(self, round_id: int) -> dict[int, tuple]:
        with self.db.read() as session:
            rows = session.scalars(select(ConsensusLabel).where(ConsensusLabel.round_id == round_id))
            return {self.items.index(row.item_id): (row.source, row.label, row.votes) for row in rows}

    def split(self, round_id: int) -> decisions.SplitResult:
        with self.db.write() as session:
            return decisions.assign_splits(session, session.get_one(Round, round_id), self.embeddings)

    def splits(self) -> dict[int, str | None]:
        with self.db.read() as session:
            return {self.items.index(row.item_id): row.split for row in session.scalars(select(RoundItem))}

    def groups(self) -> dict[int, int]:
        with self.db.read() as session:
            return {self.items.index(row.item_id): row.group_key for row in session.scalars(select(RoundItem))}

    def fix(self, **splits: str) -> None:
        """Write an earlier round's splits by hand: ``_3="train"``."""
        with self.db.write() as session:
            for place, split in splits.items():
                item = self.items[int(place[1:])]
                session.execute(update(RoundItem).where(RoundItem.item_id == item).values(split=split))


@pytest.fixture
def table(db) -> Table:
    with db.write() as session:
        people = [make_user(session) for _ in range(3)]
        project = make_project(session, experts=people)
        items = [item.id for item in make_items(session, project, 40)]
        return Table(db, project.id, [p.id for p in people], items, np.eye(40, dtype=np.float16))


def test_consensus_names_how_it_came_about_and_a_tie_waits(table):
    round_id = table.deal(range(5))
    for place, answers in enumerate(([1, 1, 1], [1, 0, 1], [0], [0, 1], [])):
        for expert, label in enumerate(answers):
            table.answer(round_id, place, expert, label)
    assert table.decide(round_id) == 1
    assert table.labels(round_id) == {
        0: ("unanimous", 1, 3),
        1: ("majority", 1, 3),
        2: ("single", 0, 1),
        3: ("tie", None, 2),
    }


def test_what_was_taken_back_does_not_count_and_the_revised_answer_does(table):
    round_id = table.deal(range(2))
    table.answer(round_id, 0, 0, 1)
    table.answer(round_id, 0, 0, None, "undone")
    table.answer(round_id, 0, 1, 0)
    table.answer(round_id, 1, 0, 1)
    table.answer(round_id, 1, 0, 0, "revised")
    assert table.decide(round_id) == 0
    assert table.labels(round_id) == {0: ("single", 0, 1), 1: ("single", 0, 1)}


def test_blind_answers_count_for_agreement_and_final_ones_for_training(table):
    round_id = table.deal(range(1))
    table.answer(round_id, 0, 0, 1)
    table.answer(round_id, 0, 0, 0, "revised")
    with table.db.read() as session:
        blind = decisions.ratings_of(session, [round_id], table.items[:2], blind=True)
        final = decisions.ratings_of(session, [round_id], table.items[:2], blind=False)
    assert (blind.labels.tolist(), final.labels.tolist()) == ([[1], [-1]], [[0], [-1]])
    assert blind.expert_ids == table.experts[:1]


def test_what_a_person_has_decided_survives_a_second_decision(table):
    round_id = table.deal(range(2))
    for place in range(2):
        table.answer(round_id, place, 0, 0)
        table.answer(round_id, place, 1, 1)
    assert table.decide(round_id) == 2
    with table.db.write() as session:
        round_ = session.get_one(Round, round_id)
        round_.state = "adjudicating"
        session.flush()
        assert rounds.adjudicate(session, round_, table.items[0], 1, n_labels=2, reason="x") == 1
    assert table.decide(round_id) == 1
    assert table.labels(round_id) == {0: ("adjudicated", 1, 2), 1: ("tie", None, 2)}


def test_pairs_and_twins_are_never_parted(table):
    table.twins(0, 10, 11)
    table.twins(4, 12)
    pairs = [(0, 1), (2, 3), (4, 5), (6, 7)]
    result = table.split(table.deal(range(20), pairs=pairs))
    splits = table.splits()
    assert all(splits[left] == splits[right] for left, right in [*pairs, (0, 10), (0, 11), (4, 12)])
    assert (result.train + result.evaluation, result.left_out) == (20, 0)
    assert abs(result.evaluation - 0.38 * 20) <= 2


def test_a_twin_of_an_earlier_item_follows_it_round_after_round(table):
    table.twins(0, 10, 20)
    table.twins(1, 11, 21)
    table.twins(2, 12, 22)
    for start in (0, 10, 20):
        table.split(table.deal(range(start, start + 10)))
    splits, groups = table.splits(), table.groups()
    for first in (0, 1, 2):
        assert splits[first] == splits[first + 10] == splits[first + 20]
        assert groups[first] == groups[first + 10] == groups[first + 20] == table.items[first]


def test_an_earlier_items_split_never_changes(table):
    table.split(table.deal(range(10)))
    before = table.splits()
    table.split(table.deal(range(10, 20), pairs=[(10, 11)]))
    assert {place: table.splits()[place] for place in before} == before


def test_an_item_that_bridges_a_training_and_an_evaluation_group_is_in_neither(table):
    table.split(table.deal(range(10)))
    table.fix(_0="train", _1="evaluation")
    table.twins(0, 10)
    table.twins(1, 11)
    round_id = table.deal(range(10, 20), pairs=[(10, 11)])
    result = table.split(round_id)
    assert (table.splits()[10], table.splits()[11]) == (None, None)
    assert (result.left_out, result.train + result.evaluation) == (2, 8)
    for place in range(10, 20):
        table.answer(round_id, place, 0, 1)
    table.decide(round_id)
    assert not {table.items[10], table.items[11]} & set(trained(table, round_id))


def test_the_control_slice_is_evaluated_and_counts_towards_the_share(table):
    result = table.split(table.deal(range(20), control=range(6), evaluation_share=0.5))
    splits = table.splits()
    assert {splits[place] for place in range(6)} == {"evaluation"}
    assert result.evaluation == 10


def test_a_control_item_whose_twin_was_trained_on_is_not_evaluated(table):
    table.split(table.deal(range(10)))
    table.fix(_0="train")
    table.twins(0, 10)
    table.split(table.deal(range(10, 20), control=[10, 11]))
    assert (table.splits()[10], table.splits()[11]) == ("train", "evaluation")


def test_paper_mode_splits_item_by_item(table):
    result = table.split(table.deal(range(20), control=range(20), split_mode="paper"))
    assert (result.evaluation, result.train) == (8, 12)


def test_a_cancelled_rounds_items_and_pairs_join_nothing(table):
    cancelled = table.deal(range(4), pairs=[(0, 1)])
    with table.db.write() as session:
        session.execute(update(Round).where(Round.id == cancelled).values(state="cancelled"))
    round_id = table.deal(range(10))
    table.split(round_id)
    with table.db.read() as session:
        keys = session.scalars(select(RoundItem.group_key).where(RoundItem.round_id == round_id)).all()
        before = session.scalars(select(RoundItem.split).where(RoundItem.round_id == cancelled)).all()
    assert len(set(keys)) == 10
    assert set(before) == {None}


def trained(table: Table, round_id: int) -> list[int]:
    with table.db.read() as session:
        return [item.item_id for item in decisions.training_items(session, session.get_one(Round, round_id), 2)]


def test_training_uses_every_decided_fine_tuning_item_so_far_in_the_pools_order(table):
    first = table.deal([3, 1, 2, 0])
    for place in (0, 1, 2):
        table.answer(first, place, 0, place % 2)
    table.answer(first, 3, 0, 0)
    table.answer(first, 3, 1, 1)
    table.decide(first)
    table.fix(_0="train", _1="evaluation", _2="train", _3="train")
    second = table.deal([5, 4])
    for place in (4, 5):
        table.answer(second, place, 0, 1)
    table.decide(second)
    table.fix(_4="train", _5="train")
    assert trained(table, first) == [table.items[i] for i in (0, 2)]
    assert trained(table, second) == [table.items[i] for i in (0, 2, 4, 5)]


def test_training_items_say_how_the_experts_were_divided_unless_a_person_has_decided(table):
    first = table.deal([0, 1, 2])
    for place, answers in {0: (1, 1), 1: (0, 1), 2: (0, 0)}.items():
        for expert, label in enumerate(answers):
            table.answer(first, place, expert, label)
    table.decide(first)
    table.fix(_0="train", _1="train", _2="train")
    with table.db.write() as session:
        tie = session.scalars(select(ConsensusLabel).where(ConsensusLabel.item_id == table.items[1])).one()
        tie.label, tie.source = 1, "majority"
    with table.db.read() as session:
        round_ = session.get_one(Round, first)
        assert [item.shares for item in decisions.training_items(session, round_, 2)] == [(0, 1), (0.5, 0.5), (1, 0)]
    with table.db.write() as session:
        session.execute(update(ConsensusLabel).where(ConsensusLabel.source == "majority").values(source="adjudicated"))
    with table.db.read() as session:
        round_ = session.get_one(Round, first)
        assert [item.shares for item in decisions.training_items(session, round_, 2)] == [(0, 1), (0, 1), (1, 0)]
