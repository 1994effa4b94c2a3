"""When to stop: advice from the figures of the rounds so far, each with its reason and its numbers.

The published rule is to stop when model–human alignment matches internal alignment or plateaus. A round's own rise or
fall is mostly noise, and even a paired comparison of versions on the evaluation set cannot see a gain of a few
hundredths before it has several hundred items. How much of the pool a version labels otherwise than an earlier one
needs no labels and has little noise, so it decides first (Bloodgood & Vijay-Shanker 2009: stabilising predictions).
The thresholds were calibrated by simulation: benchmarks/stopping.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from app.curation.bootstrap import Estimate

Kind = Literal["match", "plateau", "continue", "disagree"]

PLATEAU_ROUNDS = 2
STABLE = 0.90
STEADY = 0.80
FLAT_ROUNDS = 3
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
    that on the control slice; ``stability`` is Cohen's kappa of those two versions' labels of the pool, None where it
    is not known. The hard cases of the evaluation set were chosen because older versions erred on them,
    so that ``gain`` favours newer ones; ``control_gain`` does not, but rests on few items.
    """

    number: int
    internal: Estimate
    model: Estimate
    gap: Estimate | None = None
    gain: Estimate | None = None
    control_gain: Estimate | None = None
    stability: float | None = None


@dataclass(frozen=True)
class Advice:
    kind: Kind
    reason: str


def advise(history: Sequence[RoundFigures]) -> Advice:
    """Advice after the last round of ``history`` (oldest first).

    disagree: internal kappa below .4 with an upper bound below .6, at any time, because no model can mend it.
    match (from the second round): the gap is 0 or more and its lower bound is above -.10, on 60 items or more, and the
    model is steady (stability of .80 or more, where it is known): in a model that still changes a match is luck.
    plateau (from the third round): the model is stable (.90 or more) and its gain over two rounds is not shown to be
    above 0; or that gain has been flat after three rounds running. Flat: below .02, not shown to be above 0, and its
    upper bound below .10. Otherwise continue.
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
    if not _unsteady(last) and last.gap and last.gap.n >= MATCH_FEWEST and _at_least(last.gap, 0, -MATCH_MARGIN):
        return Advice(
            "match", f"The model agrees with the experts as well as they with each other: {_both(last)}{remark}."
        )
    if len(history) > PLATEAU_ROUNDS and (reason := _plateau_reason(history)):
        return Advice("plateau", f"{reason}; {_both(last)}{remark}.")
    return Advice("continue", f"{_continue_reason(last)}: {_both(last)}{remark}.")


def _plateau_reason(history: Sequence[RoundFigures]) -> str:
    """Why the model has learnt what it can, or "" if it may still learn."""
    last, gain = history[-1], history[-1].gain
    if last.stability is not None and last.stability >= STABLE and not _shown(gain):
        said = f"; on the evaluation set they changed its kappa by {_signed(gain)}" if gain else ""
        return f"Two rounds hardly changed the model's labels of the pool (kappa {last.stability:.2f}){said}"
    recent = [figures.gain for figures in history[-FLAT_ROUNDS:]]
    if gain is None or len(recent) < FLAT_ROUNDS or not all(one is not None and _flat(one) for one in recent):
        return ""
    return (
        f"After {FLAT_ROUNDS} rounds running the model's gain over two rounds was flat, "
        f"now {_signed(gain)} on the same {gain.n} items{_on_control(last)}"
    )


def _unsteady(last: RoundFigures) -> bool:
    return last.stability is not None and last.stability < STEADY


def _shown(gain: Estimate | None) -> bool:
    return gain is not None and gain.low is not None and gain.low > 0


def _on_control(last: RoundFigures) -> str:
    if last.control_gain is None or last.control_gain.value is None:
        return ""
    return f" and {_signed(last.control_gain)} on the control slice"


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
        why = "it still changes its labels" if _unsteady(last) else "there are too few evaluation items to be sure"
        return f"The model may have reached the experts, but {why}"
    if last.gain and _shown(last.gain):
        return f"The model is still learning ({_signed(last.gain)} kappa over two rounds{_on_control(last)})"
    return "The model is below the experts and may still learn"


def _disagree_reason(internal: Estimate) -> str:
    return (
        f"Experts agree with each other only at kappa {_figure(internal)}, far from the {GOOD_LABELS:.2f} that labels "
        "better than a crowd's needed: mend the guideline before labelling more."
    )


def _label_quality(internal: Estimate) -> str:
    if internal.value is None or round(internal.value, 2) >= GOOD_LABELS:  # as it is shown: never "0.80 is below 0.80"
        return ""
    return f" (experts are below the {GOOD_LABELS:.2f} at which expert labels were seen to beat a crowd's)"


def _both(last: RoundFigures) -> str:
    return f"model–human kappa is {_figure(last.model)}, the experts' own {_figure(last.internal)}"


def _figure(estimate: Estimate) -> str:
    if estimate.value is None:
        return "undefined"
    value = _minus(f"{estimate.value:z.2f}")
    if estimate.low is None or estimate.high is None:
        return f"{value} (no interval, n = {estimate.n})"
    return f"{value} ({_minus(f'{estimate.low:z.2f} to {estimate.high:z.2f}')}, n = {estimate.n})"


def _signed(estimate: Estimate) -> str:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return _figure(estimate)
    return _minus(f"{estimate.value:+z.2f} ({estimate.low:+z.2f} to {estimate.high:+z.2f})")


def _minus(figures: str) -> str:
    """With true minus signs: a hyphen between two figures reads as a range."""
    return figures.replace("-", "\u2212")
