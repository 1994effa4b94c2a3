"""The figures of a hand-made round, against scikit-learn's."""

from itertools import combinations
from uuid import uuid4

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import select

from app.db.tables import (
    Annotation,
    Assignment,
    Baseline,
    BaselineLabel,
    Evaluation,
    GuidelineVersion,
    ModelVersion,
    Prediction,
    Project,
    Round,
    RoundItem,
)
from app.services import evaluation
from tests.factories import make_items, make_project, make_user
from tests.services.review_factories import add_round

N, EXPERTS = 40, 3


class Case:
    """Forty items, three experts, a pre-labeller and a trained model; the last ten items are for fine-tuning."""

    def __init__(self, db, *, constant: bool = False) -> None:
        self.db, rng = db, np.random.default_rng(3)
        truth = rng.integers(0, 2, N)
        noisy = np.where(rng.random((N, EXPERTS)) < 0.2, 1 - truth[:, None], truth[:, None])
        self.ratings = np.zeros_like(noisy) if constant else noisy
        self.models = [np.where(rng.random(N) < error, 1 - truth, truth) for error in (0.4, 0.1)]
        self.scored = np.arange(N) < 30
        with db.write() as session:
            self._write(session)

    def _write(self, session) -> None:
        people = [make_user(session) for _ in range(EXPERTS)]
        self.experts = [person.id for person in people]
        project = make_project(session, experts=people)
        self.items = [item.id for item in make_items(session, project, N)]
        self.round_id = add_round(session, project, self.items, overlap=EXPERTS).id
        for place, row in enumerate(session.scalars(select(RoundItem).order_by(RoundItem.id))):
            row.split = "evaluation" if self.scored[place] else "train"
            row.propensity = 0.25 if 20 <= place < 35 else None
        round_ = session.get_one(Round, self.round_id)
        round_.state = "concluding"
        for slot in session.scalars(select(Assignment)):
            self._answer(session, round_, slot)
        self.versions = [self._model(session, project.id, number, labels) for number, labels in enumerate(self.models)]

    def _answer(self, session, round_, slot) -> None:
        slot.state, slot.expert_id = "done", self.experts[slot.slot]
        label = int(self.ratings[self.items.index(slot.item_id), slot.slot])
        for kind, value in (("blind", label), ("revised", 1 - label)):  # only the blind answer may count
            session.add(
                Annotation(
                    round_id=round_.id,
                    item_id=slot.item_id,
                    assignment_id=slot.id,
                    expert_id=slot.expert_id,
                    kind=kind,
                    label=value,
                    idempotency_key=uuid4().hex,
                    guideline_version_id=session.scalar(select(GuidelineVersion.id)),
                )
            )
            session.flush()

    def _model(self, session, project_id: int, number: int, labels) -> int:
        version = ModelVersion(
            project_id=project_id,
            round_id=self.round_id if number else None,
            version=number,
            kind="trained" if number else "prelabel",
            engine="linear",
            config={},
            state="ready",
        )
        session.add(version)
        session.flush()
        for item_id, label in zip(self.items, labels, strict=True):
            session.add(
                Prediction(model_version_id=version.id, item_id=item_id, label=int(label), score=1.0, scores=b"\0" * 8)
            )
        return version.id

    def evaluate(self) -> None:
        with self.db.read() as session:
            scored = evaluation.score(session, session.get_one(Round, self.round_id))
        with self.db.write() as session:
            evaluation.store(session, session.get_one(Round, self.round_id), scored)

    def figure(self, subject: str, slice_: str, measure: str = "kappa", detail: str = "") -> Evaluation:
        with self.db.read() as session:
            return session.scalars(
                select(Evaluation).where(
                    Evaluation.subject == subject,
                    Evaluation.slice == slice_,
                    Evaluation.measure == measure,
                    Evaluation.detail == detail,
                )
            ).one()

    def rows(self) -> list[tuple]:
        with self.db.read() as session:
            return sorted(
                (f.subject, f.slice, f.measure, f.detail, str(f.value), str(f.low), str(f.high), f.n)
                for f in session.scalars(select(Evaluation))
            )


@pytest.fixture
def case(db) -> Case:
    case = Case(db)
    case.evaluate()
    return case


def test_each_pair_of_experts_and_their_mean_agree_with_scikit_learn(case):
    table, kappas = case.ratings[case.scored], []
    for first, second in combinations(range(EXPERTS), 2):
        kappas.append(cohen_kappa_score(table[:, first], table[:, second]))
        detail = f"{case.experts[first]}-{case.experts[second]}"
        assert case.figure("experts", "evaluation", detail=detail).value == pytest.approx(kappas[-1])
    overall = case.figure("experts", "evaluation")
    assert overall.value == pytest.approx(np.mean(kappas))
    assert overall.n == 30
    assert overall.low < overall.value < overall.high


def test_a_models_alignment_is_its_mean_kappa_with_each_expert(case):
    table = case.ratings[case.scored]
    for version, labels in zip(case.versions, case.models, strict=True):
        kappas = [cohen_kappa_score(labels[case.scored], table[:, expert]) for expert in range(EXPERTS)]
        figure = case.figure(f"model:{version}", "evaluation")
        assert figure.value == pytest.approx(np.mean(kappas))
        assert figure.model_version_id == version
        gap = case.figure(f"model:{version}", "evaluation", "kappa_gap")
        assert gap.value == pytest.approx(np.mean(kappas) - case.figure("experts", "evaluation").value)


def test_the_control_slice_holds_its_evaluation_items_only(case):
    rows = slice(20, 30)
    kappas = [cohen_kappa_score(case.models[1][rows], case.ratings[rows, expert]) for expert in range(EXPERTS)]
    figure = case.figure(f"model:{case.versions[1]}", "control")
    assert figure.value == pytest.approx(np.mean(kappas)), "equal propensities weigh alike"
    assert figure.n == 10


def test_the_gain_over_the_model_before_is_stored_with_its_interval(case):
    older, newer = case.versions
    gain = case.figure(f"model:{newer}", "evaluation", "kappa_gain", f"over:{older}")
    values = [case.figure(f"model:{version}", "evaluation").value for version in (older, newer)]
    assert gain.value == pytest.approx(values[1] - values[0])
    assert gain.low < gain.value < gain.high


def test_evaluating_again_gives_the_same_rows(case):
    first = case.rows()
    case.evaluate()
    assert case.rows() == first


def test_an_undefined_kappa_is_stored_with_its_reason_and_never_as_a_number(db):
    case = Case(db, constant=True)
    case.evaluate()
    figure = case.figure("experts", "evaluation")
    assert (figure.value, figure.low, figure.high) == (None, None, None)
    assert figure.undefined_reason
    with db.read() as session:
        assert session.get_one(Round, case.round_id).advice_reason


def test_a_model_of_a_cancelled_round_is_not_scored(case):
    with case.db.write() as session:
        session.get_one(Round, case.round_id).state = "cancelled"
        session.flush()
        project = session.scalars(select(Project)).one()
        new = add_round(session, project, [], overlap=1, number=2)
        assert [v.version for v in evaluation.model_versions(session, new)] == [0]
        assert evaluation.items_so_far(session, new) == []


def test_the_newest_versions_labels_of_the_pool_are_compared_with_those_two_versions_before(case):
    stability = evaluation._stability
    with case.db.read() as session:
        assert stability(session, case.versions) is None
        found = stability(session, [case.versions[0], 999, case.versions[1]])
        assert found == pytest.approx(cohen_kappa_score(*case.models))
        assert stability(session, [999, 998, case.versions[1]]) is None


def test_a_baseline_is_scored_like_a_model_on_the_items_that_it_labels(case):
    labels = case.models[0].copy()
    with case.db.write() as session:
        round_ = session.get_one(Round, case.round_id)
        baseline = Baseline(
            project_id=round_.project_id, filename="crowd.csv", format="csv", storage_key="k", mapping={}, state="done"
        )
        baseline.items_labelled = len(case.items) - 5
        session.add(baseline)
        session.flush()
        for item_id, label in list(zip(case.items, labels, strict=True))[5:]:
            row = BaselineLabel(baseline_id=baseline.id, item_id=item_id, label=int(label), votes=1, votes_total=1)
            session.add(row)
    before = case.rows()
    with case.db.write() as session:
        round_ = session.get_one(Round, case.round_id)
        round_.state = "done"
        assert evaluation.newest_finished(session, round_.project_id) is round_
        evaluation.store_baseline(session, round_, evaluation.baseline_figures(session, round_))
    figure = case.figure("baseline", "evaluation")
    kappas = [cohen_kappa_score(labels[5:30], case.ratings[5:30, expert]) for expert in range(EXPERTS)]
    assert figure.value == pytest.approx(np.mean(kappas))
    assert figure.n == 25
    assert case.figure("baseline", "control").n == 10
    after = case.rows()
    case.evaluate()
    assert case.rows() == after, "a round that is evaluated with it says the same"
    assert [row for row in after if row[0] != "baseline"] == before
