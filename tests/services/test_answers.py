"""Which of an expert's rows count, after undo and revision."""

from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db.engine import Database
from app.db.tables import Annotation, Assignment, GuidelineVersion, Item, Project, Round, User
from app.services.answers import EffectiveAnswer, effective_answers
from tests.factories import make_items, make_project, make_user


@dataclass
class Desk:
    """A round, its items and its experts, and a way to add an expert's rows to it."""

    session: Session
    project: Project
    guideline: GuidelineVersion
    round: Round
    items: list[Item]
    experts: list[User]
    numbers: count = field(default_factory=lambda: count(1))

    def answer(self, expert: int, item: int, *rows: tuple[str, int | None], **extra) -> None:
        where = {"round_id": self.round.id, "item_id": self.items[item].id, "expert_id": self.experts[expert].id}
        assignment = self.session.scalar(select(Assignment).filter_by(**where))
        if assignment is None:
            assignment = Assignment(**where, slot=expert, position=item, state="done")
            self.session.add(assignment)
            self.session.flush()
        for kind, label in rows:
            row = Annotation(
                **where,
                assignment_id=assignment.id,
                kind=kind,
                label=label,
                idempotency_key=f"key-{next(self.numbers)}",
                guideline_version_id=self.guideline.id,
                **extra,
            )
            self.session.add(row)
            self.session.flush()

    def result(self, **options) -> list[EffectiveAnswer]:
        return effective_answers(self.session, [self.round.id], **options)

    def labels(self) -> list[tuple[int | None, int]]:
        return [(row.blind_label, row.final_label) for row in self.result()]


def make_desk(session: Session) -> Desk:
    experts = [make_user(session) for _ in range(2)]
    project = make_project(session, experts=experts)
    guideline = session.scalars(select(GuidelineVersion).filter_by(project_id=project.id)).one()
    round_ = add_round(session, project, guideline, 1, "done")
    return Desk(session, project, guideline, round_, make_items(session, project, 3), experts)


def add_round(session: Session, project: Project, guideline: GuidelineVersion, number: int, state: str) -> Round:
    round_ = Round(
        project_id=project.id, number=number, state=state, settings={}, seed=0, guideline_version_id=guideline.id
    )
    session.add(round_)
    session.flush()
    return round_


@pytest.fixture
def desk(db: Database):
    with db.write() as session:
        yield make_desk(session)


SEQUENCES = [
    ([("blind", 0)], [(0, 0)]),
    ([("blind", 0), ("revised", 1)], [(0, 1)]),
    ([("blind", 0), ("revised", 1), ("revised", 0)], [(0, 0)]),
    ([("blind", 0), ("blind", 1)], [(1, 1)]),
    ([("blind", 0), ("undone", None)], []),
    ([("blind", 0), ("undone", None), ("blind", 1)], [(1, 1)]),
    ([("blind", 0), ("revised", 1), ("undone", None), ("blind", 0)], [(0, 0)]),
    ([("blind", 0), ("revised", 1), ("undone", None)], []),
    ([("blind", 0), ("undone", None), ("revised", 1)], [(None, 1)]),
    ([("blind", 0), ("undone", None), ("blind", 1), ("undone", None)], []),
    ([("blind", 0), ("undone", None), ("blind", 1), ("revised", 0)], [(1, 0)]),
]


@pytest.mark.parametrize(("rows", "expected"), SEQUENCES)
def test_a_sequence_of_answers_undos_and_revisions_counts_as_its_rule_says(desk, rows, expected):
    desk.answer(0, 0, *rows)
    assert desk.labels() == expected


def test_an_undo_touches_neither_the_colleague_nor_the_other_item(desk):
    desk.answer(0, 0, ("blind", 0))
    desk.answer(1, 0, ("blind", 1))
    desk.answer(0, 1, ("blind", 1))
    desk.answer(0, 0, ("undone", None))
    answered = {(row.expert_id, row.item_id) for row in desk.result()}
    first, second = (expert.id for expert in desk.experts)
    assert answered == {(second, desk.items[0].id), (first, desk.items[1].id)}


def test_another_round_of_the_same_item_is_kept_apart(desk):
    desk.answer(0, 0, ("blind", 0))
    first = desk.round
    desk.round = add_round(desk.session, desk.project, desk.guideline, 2, "review")
    desk.answer(0, 0, ("blind", 1), ("undone", None))
    assert desk.labels() == []
    both = effective_answers(desk.session, [first.id, desk.round.id])
    assert [(row.round_id, row.final_label) for row in both] == [(first.id, 0)]


def test_flag_and_note_are_those_of_the_answer_that_counts_last(desk):
    desk.answer(0, 0, ("blind", 0), flagged=True, note="unsure")
    desk.answer(0, 0, ("revised", 1), note="the pair settled it")
    (row,) = desk.result()
    assert (row.flagged, row.note) == (False, "the pair settled it")


def test_rows_come_in_order_and_can_be_narrowed_to_items(desk):
    for item in (2, 0, 1):
        for expert in (1, 0):
            desk.answer(expert, item, ("blind", 1))
    keys = [(row.item_id, row.expert_id) for row in desk.result()]
    assert keys == sorted(keys)
    assert len(keys) == 6
    assert {row.item_id for row in desk.result(item_ids=[desk.items[2].id])} == {desk.items[2].id}
    assert desk.result(item_ids=[]) == []
    assert effective_answers(desk.session, []) == []


def replay(rows: list[tuple[str, int | None]]) -> list[tuple[int | None, int]]:
    """The rule, read row by row."""
    blind = final = None
    for kind, label in rows:
        if kind == "undone":
            blind = final = None
            continue
        final = label
        blind = label if kind == "blind" else blind
    return [] if final is None else [(blind, final)]


ROW = st.one_of(st.tuples(st.sampled_from(["blind", "revised"]), st.integers(0, 3)), st.just(("undone", None)))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, min_size=1, max_size=8))
def test_any_sequence_counts_as_when_read_row_by_row(db, rows):
    with db.write() as session:
        desk = make_desk(session)
        desk.answer(0, 0, *rows)
        assert desk.labels() == replay(rows)
