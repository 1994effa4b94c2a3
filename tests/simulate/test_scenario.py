"""Where simulated projects start."""

import numpy as np
import pytest

from app.errors import InvalidInput
from app.simulate.scenario import ScenarioOptions, build_scenario, prevalence_kept
from tests.plane import RUNTIME, built, made_up, prelabelled

__all__ = ["prelabelled"]

pytestmark = pytest.mark.usefixtures("prelabelled")


def test_pool_and_hold_out_have_the_prevalence_and_share_no_text_with_each_other_or_the_examples() -> None:
    found = built(ScenarioOptions(prevalence=0.1))
    assert np.mean(found.pool_truth) == pytest.approx(0.1, abs=0.01)
    assert np.mean(found.hold_out_truth) == pytest.approx(0.1, abs=0.01)
    assert len(found.hold_out_truth) / len(found.data) == pytest.approx(0.3, abs=0.01)
    examples = set(found.examples.texts)
    assert len(examples) == 10
    assert len(set(found.data.texts)) == len(found.data)
    assert not examples & set(found.data.texts)


def test_the_pool_can_be_limited() -> None:
    assert built(ScenarioOptions(prevalence=0.1, pool_limit=300)).n_pool == pytest.approx(300, abs=3)


def test_each_item_is_answered_by_as_many_experts_as_overlap() -> None:
    found = built(ScenarioOptions(experts=4, overlap=3, expert_error=0.2))
    assert found.answers.shape[1] == 4
    assert ((found.answers >= 0).sum(axis=1) == 3).all()
    given = found.answers >= 0
    wrong = (found.answers != found.data.truth[:, None])[given].mean()
    assert wrong == pytest.approx(0.2, abs=0.05)


def test_a_panel_answers_with_its_own_votes_and_slots_are_dealt() -> None:
    panel = built(ScenarioOptions(prevalence=None), votes=5)
    asked = panel.answers >= 0
    assert panel.answers.shape[1] == 5
    assert (panel.answers[asked] == panel.data.votes[asked]).all()
    slots = built(ScenarioOptions(prevalence=None), votes=5, names="s")
    assert slots.answers.shape[1] == 3
    for answers, votes in zip(slots.answers, slots.data.votes, strict=True):
        given = answers[answers >= 0]
        assert len(given) == 2
        assert (given == 1).sum() <= (votes == 1).sum()
        assert (given == 0).sum() <= (votes == 0).sum()


def test_the_same_seed_gives_the_same_scenario_and_another_another() -> None:
    one, same, other = built(), built(), built(seed=1)
    assert one.data.texts == same.data.texts
    assert (one.answers == same.answers).all()
    assert one.data.texts != other.data.texts


def test_data_with_few_positives_keep_their_own_prevalence() -> None:
    data, _ = made_up(200)
    assert prevalence_kept(data, ScenarioOptions()).prevalence is None
    assert prevalence_kept(made_up(4000)[0], ScenarioOptions()).prevalence == 0.05


def test_a_label_without_enough_examples_is_named() -> None:
    data, vectors = made_up(100)
    data.truth[:] = 0
    data.truth[:4] = 1
    with pytest.raises(InvalidInput, match="label 1"):
        build_scenario(data, vectors, ScenarioOptions(), 0, RUNTIME)
