"""The hybrid, with a share of the round drawn at random that follows what mined labels have been seen to teach."""

from dataclasses import replace

import numpy as np

from app.curation.choosing import RANDOM, Choice, Pool, Strategy, mix
from app.curation.gain import Gain, chance_of_loss, mining_gain

PRIOR_MEAN, PRIOR_ERROR = 0.05, 0.1
"""What is believed of the gain before anything is measured: in simulation on real data it was -.1 to .35."""
LARGEST_SHARE = 0.8


def adapt(pool: Pool, n_items: int, rng: np.random.Generator, *, mined: Strategy, random: Strategy) -> Choice:
    """The random share is .8 times the chance that mined labels teach less than random ones, as in Thompson sampling:
    about a quarter before anything is known, nothing where mining clearly wins, most of the round where it clearly
    loses. What is drawn at random is trained on; the control slice is drawn apart from it."""
    gain = mining_gain(pool.embeddings, pool.history, rng)
    at_random = round(LARGEST_SHARE * chance_of_loss(gain, PRIOR_MEAN, PRIOR_ERROR) * n_items)
    choice = mix(pool, [("mined", mined, n_items - at_random), (RANDOM, random, at_random)], rng)
    drawn = choice.reasons.count(RANDOM)
    said = f"{choice.note} {verdict(gain)} So {drawn} items are drawn at random to train on."
    return replace(choice, note=said.strip())


def verdict(gain: Gain | None) -> str:
    """What the control slice says of mining, in a sentence."""
    if gain is None:
        return "There are too few labels yet to tell whether mined labels teach more than random ones."
    sure = abs(gain.value) > 2 * gain.error
    word = "more" if gain.value > 0 else "less"
    finding = f"teach {word} than" if sure else "are not shown to teach more or less than"
    return (
        f"By {gain.control} control items, mined labels {finding} as many random ones: "
        f"kappa {gain.value:+.2f}, give or take {2 * gain.error:.2f}, with {gain.labels} labels of each."
    )
