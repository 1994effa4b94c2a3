import re

import pytest

from app.curation.bootstrap import Estimate
from app.curation.stopping import RoundFigures, advise


def figure(value, half=0.05, n=200):
    return Estimate(value, value - half, value + half, n, None)


def figures(internal=0.8, model=0.6, gap=None, gain=None, half=0.05, number=1, **others):
    return RoundFigures(
        number,
        figure(internal),
        figure(model),
        figure(model - internal if gap is None else gap, half),
        None if gain is None else figure(gain, half),
        **others,
    )


def test_one_round_is_never_enough_for_match_or_plateau():
    assert advise([figures(model=0.9, gain=0.0)]).kind == "continue"
    assert advise([]).kind == "continue"


def test_a_model_as_good_as_the_experts_matches_and_the_reason_has_the_numbers():
    advice = advise([figures(), figures(model=0.82)])
    assert advice.kind == "match"
    assert "0.82" in advice.reason
    assert "n = 200" in advice.reason


def test_a_match_on_too_few_items_is_not_believed():
    advice = advise([figures(), figures(model=0.82, half=0.25)])
    assert advice.kind == "continue"
    assert "too few" in advice.reason


def test_flat_gains_are_a_plateau_only_three_times_running_and_if_a_gain_is_ruled_out():
    flat = figures(gain=0.0)
    assert advise([flat, flat, flat]).kind == "plateau"
    assert advise([figures(), flat, flat]).kind == "continue"
    assert advise([flat, figures(gain=0.08), flat]).kind == "continue"
    assert advise([flat, flat, figures(gain=0.0, half=0.2)]).kind == "continue"
    assert advise([flat, flat, figures(gain=None)]).kind == "continue"
    assert "still learning" in advise([flat, flat, figures(gain=0.1)]).reason


def test_a_model_that_hardly_changes_the_pools_labels_is_on_a_plateau_unless_a_gain_is_shown():
    def third(**others):
        return advise([figures(), figures(), figures(**others)])

    stable = third(gain=0.03, half=0.2, stability=0.93)
    assert stable.kind == "plateau"
    assert "kappa 0.93" in stable.reason
    assert third(gain=0.03, half=0.2, stability=0.87).kind == "continue"
    assert third(gain=0.10, stability=0.93).kind == "continue"
    assert third(stability=0.93).kind == "plateau"
    assert advise([figures(), figures(stability=0.93)]).kind == "continue"


def test_a_model_that_still_changes_its_labels_does_not_match():
    advice = advise([figures(), figures(model=0.82, stability=0.7)])
    assert advice.kind == "continue"
    assert "still changes" in advice.reason
    assert advise([figures(), figures(model=0.82, stability=0.8)]).kind == "match"


def test_the_gain_on_the_control_slice_is_told_beside_that_on_the_hard_cases():
    flat = figures(gain=0.0, control_gain=figure(0.013, 0.3))
    assert "+0.01 (\u22120.29 to +0.31) on the control slice" in advise([flat, flat, flat]).reason
    learning = figures(gain=0.2, control_gain=figure(0.1, 0.3))
    assert "+0.10 (\u22120.20 to +0.40) on the control slice" in advise([flat, flat, learning]).reason


def test_experts_who_clearly_disagree_are_told_so_at_once():
    assert advise([figures(internal=0.2, model=0.1)]).kind == "disagree"
    unsure = RoundFigures(1, figure(0.35, 0.3), figure(0.1))
    assert advise([unsure]).kind == "continue"


@pytest.mark.parametrize(("internal", "said"), [(0.6, True), (0.794, True), (0.796, False), (0.85, False)])
def test_label_quality_below_the_published_bar_is_mentioned(internal, said):
    advice = advise([figures(internal=internal, model=0.5), figures(internal=internal, model=0.5)])
    assert advice.kind == "continue"
    assert ("below the 0.80" in advice.reason) is said


def test_an_undefined_figure_is_named():
    nothing = Estimate(None, None, None, 0, "There are no answers to compare yet.")
    assert "no answers" in advise([RoundFigures(1, nothing, nothing)]).reason
    assert "no answers" in advise([RoundFigures(1, figure(0.8), nothing)]).reason


def test_no_reason_speaks_of_minus_nought():
    advice = advise([figures(model=-0.001, gap=-0.3, gain=-0.001)] * 3)
    assert advice.kind == "plateau"
    assert "+0.00" in advice.reason
    assert "\u22120.00" not in advice.reason


@pytest.mark.parametrize(("gain", "half"), [(0.0, 0.05), (0.3, 0.1), (-0.3, 0.1)])
def test_no_reason_has_a_hyphen_where_a_minus_belongs(gain, half):
    reason = advise([figures(model=-0.12, gap=-0.4, gain=gain, half=half)] * 3).reason
    assert "kappa is \u22120.12 (\u22120.17 to \u22120.07" in reason
    assert not re.search(r"-\d", reason), reason


def test_a_match_on_few_items_is_not_believed():
    few = Estimate(0.02, 0.0, 0.05, 40, None)
    rounds = [figures(), RoundFigures(2, figure(0.8), figure(0.82), gap=few)]
    assert advise(rounds).kind == "continue"
    enough = Estimate(0.02, 0.0, 0.05, 60, None)
    assert advise([figures(), RoundFigures(2, figure(0.8), figure(0.82), gap=enough)]).kind == "match"
