"""Simulated experts and the sample they answer on."""

import numpy as np

from app.curation.agreement import cohen_kappa
from app.simulate import sample
from app.simulate.experts import SimulatedExpert, panel


def test_the_sample_has_the_shares_that_the_documentation_gives() -> None:
    degrees = np.array([ad.degree for ad in sample.read_ads()])
    assert len(degrees) == 1500
    assert (int((degrees < 1).sum()), int((degrees >= 2).sum())) == (1122, 120)


def test_no_example_and_no_line_of_the_guideline_is_an_ad_of_the_pool() -> None:
    pool = {ad.text for ad in sample.read_ads()}
    assert not pool & {text for texts in sample.EXAMPLES.values() for text in texts}
    assert sorted(sample.EXAMPLES) == sorted(sample.LABELS)
    assert not [text for text in pool if text in sample.guideline()]


def test_an_answer_depends_on_seed_expert_and_item_and_on_nothing_else() -> None:
    ads = sample.read_ads()[:400]
    ada = panel(3)[0]
    there = [ada.answer(ad.id, ad.degree) for ad in ads]
    back = [ada.answer(ad.id, ad.degree) for ad in reversed(ads)][::-1]
    assert there == back
    near = [ad.id for ad in ads]
    other_seed = SimulatedExpert("Ada", 1, 1.3, seed=4)
    assert [ada.answer(id_, 1.3) for id_ in near] != [other_seed.answer(id_, 1.3) for id_ in near]
    assert [panel(3)[0].answer(id_, 1.3) for id_ in near] != [
        SimulatedExpert("Bruno", 2, 1.3, seed=3).answer(id_, 1.3) for id_ in near
    ]


def test_experts_agree_on_clear_ads_and_differ_on_arguable_ones() -> None:
    ads = sample.read_ads()
    answers = {expert.name: np.array([expert.answer(ad.id, ad.degree) for ad in ads]) for expert in panel(0)}
    degrees = np.array([ad.degree for ad in ads])
    clear = (degrees < 0.8) | (degrees > 2.3)
    ada, chidi = answers["Ada"], answers["Chidi"]
    assert (ada[clear] == chidi[clear]).all()
    assert 0.05 < (ada[~clear] != chidi[~clear]).mean() < 0.6
    assert 0.5 < cohen_kappa(ada, chidi) < 0.95
    assert ada.sum() > chidi.sum()
