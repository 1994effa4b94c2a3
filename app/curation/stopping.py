"""When to stop: advice from the figures of the rounds so far, each with its reason and its numbers.

The published rule is to stop when model–human alignment matches internal alignment or plateaus. A round's own
rise or fall is mostly noise, so both are judged by paired comparisons on the cumulative evaluation set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.curation.bootstrap import Estimate

Kind = Literal["match", "plateau", "continue", "disagree"]

PLATEAU_ROUNDS = 2
MATCH_MARGIN = 0.10
MATCH_FEWEST = 60
PLATEAU_GAIN = 0.02
PLATEAU_CEILING = 0.10
DISAGREE_BELOW = 0.40
DISAGREE_CEILING = 0.60
GOOD_LABELS = 0.80


@dataclass(frozen=True)
class RoundFigures:
    """One round's figures on the evaluation set as it stood then.

    ``internal`` and ``model`` are kappas; ``gap`` is model less internal, paired; ``gain`` is the newest version
    less the one PLATEAU_ROUNDS before it, paired on the same items, or None while there is none; ``control_gain`` is
    that on the control slice. The hard cases of the evaluation set were chosen because older versions erred on them,
    so that ``gain`` favours newer ones; ``control_gain`` does not, but rests on few items.
    """

    number: int
    internal: Estimate
    model: Estimate
    gap: Estimate | None = None
    gain: Estimate | None = None
    control_gain: Estimate | None = None


@dataclass(frozen=True)
class Advice:
    kind: Kind
    reason: str


def advise(history: Sequence[RoundFigures]) -> Advice:
    """Advice after the last round of ``history`` (oldest first).

    disagree: internal kappa below .4 with an upper bound below .6, at any time, because no model can mend it.
    match (from the second round): the gap is 0 or more and its lower bound is above -.10, on 60 items or more, because
    intervals of fewer are too narrow (coverage of 84 to 89 % at n = 40 in simulation).
    plateau (from the third): the gain over two rounds is below .02, not shown to be above 0, and its upper bound is
    below .10, so that a gain worth another round is ruled out. Otherwise continue.
    """
    if not history:
        return Advice("continue", "No round has been finished yet.")
    last = history[-1]
    if _experts_disagree(last.internal):
        return Advice("disagree", _disagree_reason(last.internal))
    if last.internal.value is None:
        return Advice("continue", f"Agreement between experts is not known yet: {last.internal.undefined}")
    if last.model.value is None:
        return Advice("continue", f"The model's agreement with experts is not known yet: {last.model.undefined}")
    remark = _label_quality(last.internal)
    if len(history) < 2:
        return Advice("continue", f"One round is too little to judge by: {_both(last)}{remark}.")
    if last.gap and last.gap.n >= MATCH_FEWEST and _at_least(last.gap, 0, -MATCH_MARGIN):
        return Advice(
            "match", f"The model agrees with the experts as well as they with each other: {_both(last)}{remark}."
        )
    if len(history) > PLATEAU_ROUNDS and last.gain and _flat(last.gain):
        reason = f"Two rounds changed the model's kappa by only {_signed(last.gain)} on the same {last.gain.n} items"
        return Advice("plateau", f"{reason}; {_both(last)}{remark}.")
    return Advice("continue", f"{_continue_reason(last)}: {_both(last)}{remark}.")


def _experts_disagree(internal: Estimate) -> bool:
    low_value = internal.value is not None and internal.value < DISAGREE_BELOW
    return low_value and internal.high is not None and internal.high < DISAGREE_CEILING


def _at_least(estimate: Estimate, value: float, low: float) -> bool:
    return estimate.value is not None and estimate.value >= value and estimate.low is not None and estimate.low > low


def _flat(gain: Estimate) -> bool:
    if gain.value is None or gain.low is None or gain.high is None:
        return False
    return gain.value < PLATEAU_GAIN and gain.low <= 0 and gain.high < PLATEAU_CEILING


def _continue_reason(last: RoundFigures) -> str:
    if last.gap and last.gap.value is not None and last.gap.value >= 0:
        return "The model may have reached the experts, but there are too few evaluation items to be sure"
    if last.gain and last.gain.value is not None and last.gain.low is not None and last.gain.low > 0:
        return f"The model is still learning ({_signed(last.gain)} kappa over two rounds)"
    return "The model is below the experts and may still learn"


def _disagree_reason(internal: Estimate) -> str:
    return (
        f"Experts agree with each other only at kappa {_figure(internal)}, far from the {GOOD_LABELS:.2f} that labels "
        "better than a crowd's needed: mend the guideline before labelling more."
    )


def _label_quality(internal: Estimate) -> str:
    if internal.value is None or internal.value >= GOOD_LABELS:
        return ""
    return f" (experts are below the {GOOD_LABELS:.2f} at which expert labels were seen to beat a crowd's)"


def _both(last: RoundFigures) -> str:
    return f"model–human kappa is {_figure(last.model)}, the experts' own {_figure(last.internal)}"


def _figure(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:z.2f} (no interval, n = {estimate.n})"
    return f"{estimate.value:z.2f} ({estimate.low:z.2f} to {estimate.high:z.2f}, n = {estimate.n})"


def _signed(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return _figure(estimate)
    return f"{estimate.value:+z.2f} ({estimate.low:+z.2f} to {estimate.high:+z.2f})"
