"""The report says what the newest finished round's rows say, and nothing else."""

import pytest

from app.db.engine import Database
from app.errors import NotFound
from app.services.alignment import CONTROL, EVALUATION, Figure, alignment
from tests.services.alignment_factories import make_history


def test_a_project_without_a_finished_round_has_an_empty_report(db: Database) -> None:
    history = make_history(db, rounds=0)
    with db.read() as session:
        report = alignment(session, history.project_id)
    assert (report.round_number, report.points, report.internal, report.pairs, report.advice) == (
        None,
        (),
        (),
        (),
        None,
    )
    assert report.labels.total == 0
    assert report.labels.share_positive is None


def test_every_version_has_the_newest_finished_rounds_figures(db: Database) -> None:
    history = make_history(db, rounds=3)
    with db.read() as session:
        report = alignment(session, history.project_id)
    assert report.round_number == 3
    assert [(p.version, p.round_number) for p in report.series(EVALUATION)] == [(0, 0), (1, 1), (2, 2), (3, 3)]
    assert [p.kappa for p in report.series(EVALUATION)] == [history.kappa(3, v, EVALUATION) for v in range(4)]
    assert [p.kappa for p in report.series(CONTROL)] == [history.kappa(3, v, CONTROL) for v in range(4)]
    assert report.newest().kappa == history.kappa(3, 3, EVALUATION)


def test_a_gain_is_over_the_version_before_and_the_first_has_none(db: Database) -> None:
    history = make_history(db, rounds=2)
    with db.read() as session:
        points = alignment(session, history.project_id).series(EVALUATION)
    assert points[0].gain is None
    assert [p.gain.value for p in points[1:]] == [0.05, 0.05]


def test_the_newest_versions_gain_over_the_pre_labeller_is_told(db: Database) -> None:
    history = make_history(db, rounds=3)
    with db.read() as session:
        points = alignment(session, history.project_id).series(EVALUATION)
    first = Figure(0.05, -0.1, 0.2, 126, None)  # the first version's is its gain over the version before
    assert [p.gain_over_prelabeller for p in points] == [None, first, None, history.gain_over_prelabeller]


def test_an_undefined_figure_keeps_its_reason(db: Database) -> None:
    history = make_history(db, rounds=1, undefined_control="There are no answers to compare yet.")
    with db.read() as session:
        report = alignment(session, history.project_id)
    assert {p.kappa for p in report.series(CONTROL)} == {
        Figure(None, None, None, 0, "There are no answers to compare yet.")
    }


def test_expert_pairs_carry_names_and_the_experts_own_alignment_is_apart(db: Database) -> None:
    history = make_history(db, rounds=2)
    with db.read() as session:
        report = alignment(session, history.project_id)
    assert [(p.first, p.second, p.kappa.value) for p in report.pairs_on(EVALUATION)] == [("Noor", "Wei", 0.66)]
    assert report.ceiling(EVALUATION).kappa == Figure(0.82, 0.7, 0.9, 84, None)


def test_advice_is_the_newest_rounds_and_the_history_keeps_the_others(db: Database) -> None:
    history = make_history(db, rounds=2)
    with db.read() as session:
        report = alignment(session, history.project_id)
    assert report.advice.reason == "Advice after round 2."
    assert [advice.round_number for advice in report.history] == [1, 2]


def test_an_open_and_a_cancelled_round_change_nothing(db: Database) -> None:
    history = make_history(db, rounds=2)
    with db.read() as session:
        before = alignment(session, history.project_id)
    history.add_unfinished(db, number=3, state="cancelled")
    history.add_unfinished(db, number=4, state="review")
    with db.read() as session:
        assert alignment(session, history.project_id) == before


def test_labels_are_counted_by_label_and_by_split(db: Database) -> None:
    history = make_history(db, rounds=2)
    with db.read() as session:
        labels = alignment(session, history.project_id).labels
    assert (labels.total, labels.counts, labels.undecided) == (8, (6, 2), 2)
    assert (labels.fine_tuning, labels.evaluation) == (6, 2)
    assert labels.share_positive == 0.25


def test_another_project_is_not_in_the_report(db: Database) -> None:
    mine, other = make_history(db, rounds=1), make_history(db, rounds=3)
    with db.read() as session:
        assert alignment(session, mine.project_id).round_number == 1
        assert alignment(session, other.project_id).round_number == 3
        with pytest.raises(NotFound):
            alignment(session, 10**6)
