import pytest

from app.curation.bootstrap import Estimate
from app.curation.stopping import RoundFigures, advise


def figure(value, half=0.05, n=200):
    return Estimate(value, value - half, value + half, n, None)


def figures(internal=0.8, model=0.6, gap=None, gain=None, half=0.05, number=1):
    return RoundFigures(
        number,
        figure(internal),
        figure(model),
        figure(model - internal if gap is None else gap, half),
        None if gain is None else figure(gain, half),
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


def test_no_gain_over_two_rounds_is_a_plateau_only_if_a_gain_is_ruled_out():
    rounds = [figures(), figures()]
    assert advise([*rounds, figures(gain=0.0)]).kind == "plateau"
    assert advise([*rounds, figures(gain=0.0, half=0.2)]).kind == "continue"
    assert advise([*rounds, figures(gain=0.08)]).kind == "continue"
    assert advise([*rounds, figures(gain=None)]).kind == "continue"
    assert "still learning" in advise([*rounds, figures(gain=0.1)]).reason


def test_experts_who_clearly_disagree_are_told_so_at_once():
    assert advise([figures(internal=0.2, model=0.1)]).kind == "disagree"
    unsure = RoundFigures(1, figure(0.35, 0.3), figure(0.1))
    assert advise([unsure]).kind == "continue"


@pytest.mark.parametrize(("internal", "said"), [(0.6, True), (0.85, False)])
def test_label_quality_below_the_published_bar_is_mentioned(internal, said):
    advice = advise([figures(internal=internal, model=0.5), figures(internal=internal, model=0.5)])
    assert advice.kind == "continue"
    assert ("below the 0.80" in advice.reason) is said


def test_an_undefined_figure_is_named():
    nothing = Estimate(None, None, None, 0, "There are no answers to compare yet.")
    assert "no answers" in advise([RoundFigures(1, nothing, nothing)]).reason
    assert "no answers" in advise([RoundFigures(1, figure(0.8), nothing)]).reason


def test_no_reason_speaks_of_minus_nought():
    rounds = [figures(), figures(), figures(model=-0.001, gap=-0.3, gain=-0.001)]
    advice = advise(rounds)
    assert advice.kind == "plateau"
    assert "+0.00" in advice.reason
    assert "-0.00" not in advice.reason


def test_a_match_on_few_items_is_not_believed():
    few = Estimate(0.02, 0.0, 0.05, 40, None)
    rounds = [figures(), RoundFigures(2, figure(0.8), figure(0.82), gap=few)]
    assert advise(rounds).kind == "continue"
    enough = Estimate(0.02, 0.0, 0.05, 60, None)
    assert advise([figures(), RoundFigures(2, figure(0.8), figure(0.82), gap=enough)]).kind == "match"
