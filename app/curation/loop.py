"""One round of the loop, planned and scored from plain arrays: the worker and the simulator both call these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from app.curation.agreement import (
    alignment_difference,
    alignment_gap,
    alpha,
    expert_pair_kappas,
    internal_alignment,
    model_human_alignment,
    model_percent_agreement,
    percent_agreement,
)
from app.curation.arrays import AnyArray, Floats, Ints, unit_rows
from app.curation.bootstrap import RESAMPLES, Estimate
from app.curation.contrasts import contrast_pairs
from app.curation.control import DOUBTED, EVERY_LABEL, TRUSTED, ControlSlice, draw_control
from app.curation.pairs import Pairs
from app.curation.positions import spread_positions
from app.curation.splits import NEAR_DUPLICATE, merge_groups, near_duplicate_groups
from app.curation.stopping import PLATEAU_ROUNDS, RoundFigures
from app.curation.strategies import PAIRED, Choice, History, Pool, Strategy, no_history, strategy

EVALUATION, CONTROL, FILL = "evaluation", "control", "margin"


@dataclass(frozen=True)
class LoopSettings:
    """What a project may choose about its rounds; shares are between 0 and 1."""

    round_size: int = 100
    control_share: float = 0.15
    evaluation_share: float = 0.38
    strategy: str = "hybrid"
    split_mode: str = "grouped"
    near_duplicate: float = NEAR_DUPLICATE


@dataclass(frozen=True)
class RoundPlan:
    """The items of a round; arrays are (items,) and in the same order, control items last.

    ``items`` are ordinals; ``reasons`` is 'control', the strategy's name or that of its part which chose the item, and
    ``reason_details`` is JSON-able;
    ``propensities`` is nan for a mined item; ``groups`` are keys that the split and the bootstrap never part;
    ``positions`` is a permutation, the order in which experts see the items. ``note`` says in plain words why the
    round is smaller than asked for, or is "".
    """

    items: Ints
    reasons: list[str]
    reason_details: list[dict[str, Any]]
    propensities: Floats
    groups: Ints
    positions: Ints
    pairs: Pairs
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """One evaluation row. ``subject`` is 'experts' or 'model:<id>'; ``slice`` 'evaluation' or 'control';
    ``measure`` 'kappa', 'percent_agreement', 'alpha', 'kappa_gain' (over the model in ``detail``) or 'kappa_gap'
    (model–human less internal alignment); ``detail`` an expert pair 'a-b', 'over:<id>', or ''."""

    subject: str
    slice: str
    measure: str
    detail: str
    estimate: Estimate


def plan_round(
    embeddings: AnyArray,
    labels: ArrayLike,
    scores: AnyArray,
    excluded: ArrayLike,
    settings: LoopSettings,
    rng: np.random.Generator,
    *,
    earlier_items: ArrayLike = (),
    earlier_groups: ArrayLike = (),
    history: History | None = None,
    choose: Strategy | None = None,
) -> RoundPlan:
    """Choose a round's items from all that are not ``excluded`` (n,), which marks those already chosen.

    The control slice is drawn first, from every eligible item, and the rest of the round is mined from what is
    left: so the chance of being drawn does not depend on the mining, and weighting by it is right for the whole
    eligible pool. A near-duplicate of an earlier round's item takes that item's group key; other groups get new
    keys, above all earlier ones. ``choose`` stands in for the named strategy where a benchmark compares another.
    """
    model_labels = np.asarray(labels, dtype=np.int64)
    eligible = ~np.asarray(excluded, dtype=np.bool_)
    size = min(settings.round_size, int(eligible.sum()))
    control = draw_control(model_labels, eligible, _control_size(size, settings), rng, scores)
    eligible[control.items] = False
    pool = Pool(embeddings, model_labels, scores, eligible, history or no_history())
    mined = (choose or strategy(settings.strategy))(pool, size - len(control.items), rng)
    if not len(mined.pairs):
        mined = replace(mined, pairs=contrast_pairs(embeddings, mined.items, model_labels))
    eligible[mined.items] = False
    filled = _fill(pool, size - len(control.items) - len(mined.items), settings.strategy, rng)
    items = np.concatenate([mined.items, filled.items, control.items])
    partners = _partner_positions(mined)
    reasons = mined.reasons or [settings.strategy] * len(mined.items)
    return RoundPlan(
        items=items,
        reasons=reasons + [FILL] * len(filled.items) + [CONTROL] * len(control.items),
        reason_details=mined.details + filled.details + _control_details(control),
        propensities=np.concatenate([np.full(len(mined.items) + len(filled.items), np.nan), control.propensities]),
        groups=_group_keys(embeddings, items, partners, earlier_items, earlier_groups, settings.near_duplicate),
        positions=spread_positions(len(items), partners, rng),
        pairs=mined.pairs,
        note=f"{mined.note} {filled.note}".strip(),
    )


def _fill(pool: Pool, missing: int, chosen_by: str, rng: np.random.Generator) -> Choice:
    """Where there are too few boundary pairs (a model that calls nearly everything the same), the round is filled
    with the items that the model is least sure of: experts' time is booked, and a round of few labels teaches
    nothing. One item short of a pair is no shortage."""
    wanted = missing if chosen_by in PAIRED and missing > 1 else 0
    choice = strategy(FILL)(pool, wanted, rng)
    said = f"{len(choice.items)} items are those that the model is least sure of." if len(choice.items) else ""
    return replace(choice, note=said)


def score_round(
    ratings: ArrayLike,
    groups: ArrayLike,
    in_evaluation: ArrayLike,
    propensities: ArrayLike,
    models: Mapping[int, ArrayLike],
    rng: np.random.Generator,
    *,
    expert_ids: Sequence[int] | None = None,
    resamples: int = RESAMPLES,
) -> list[Figure]:
    """Figures of the experts and of every model version on the cumulative evaluation set and the control slice.

    Rows are labelled items of all rounds so far: ``ratings`` (items, experts) blind answers with -1 missing,
    ``groups`` (items,), ``in_evaluation`` (items,) marks the evaluation split, ``propensities`` (items,) is nan for
    mined items, ``models`` maps ids, oldest first, to labels (items,) with -1 missing.

    Rule: an item of the fine-tuning split counts nowhere, whatever its slice, because the models have seen its
    answer. So the control slice is the control items of the evaluation split, each weighted by 1 / propensity.
    """
    table, keys = np.asarray(ratings, dtype=np.int64), np.asarray(groups, dtype=np.int64)
    chances = np.asarray(propensities, dtype=np.float64)
    evaluation = np.asarray(in_evaluation, dtype=np.bool_)
    labelled = {number: np.asarray(labels, dtype=np.int64) for number, labels in models.items()}
    ids = list(expert_ids) if expert_ids is not None else list(range(table.shape[1]))
    figures: list[Figure] = []
    for name, rows in ((EVALUATION, evaluation), (CONTROL, evaluation & np.isfinite(chances))):
        weights = 1 / chances[rows] if name == CONTROL else None
        part = _Slice(name, table[rows], keys[rows], weights, resamples)
        chosen = {number: labels[rows] for number, labels in labelled.items()}
        figures += _expert_figures(part, ids, rng) + _model_figures(part, chosen, rng)
    return figures


def round_figures(
    number: int, figures: Sequence[Figure], model_ids: Sequence[int], stability: float | None = None
) -> RoundFigures:
    """What the stop advice needs of one round's figures; ``model_ids`` oldest first, the last one is judged.
    ``stability`` is the kappa of that one's labels of the pool with those of the version that it is compared with."""
    found = {(f.subject, f.measure, f.detail): f.estimate for f in figures if f.slice == EVALUATION}
    drawn = {(f.subject, f.measure, f.detail): f.estimate for f in figures if f.slice == CONTROL}
    newest = f"model:{model_ids[-1]}"
    before = compared_version(model_ids)
    return RoundFigures(
        number=number,
        internal=found["experts", "kappa", ""],
        model=found[newest, "kappa", ""],
        gap=found[newest, "kappa_gap", ""],
        gain=found.get((newest, "kappa_gain", f"over:{before}")),
        control_gain=drawn.get((newest, "kappa_gain", f"over:{before}")),
        stability=stability,
    )


def compared_version(model_ids: Sequence[int]) -> int | None:
    """The version that the newest of ``model_ids``, oldest first, is judged by; None while there are too few."""
    return model_ids[-1 - PLATEAU_ROUNDS] if len(model_ids) > PLATEAU_ROUNDS else None


@dataclass(frozen=True)
class _Slice:
    name: str
    ratings: Ints
    groups: Ints
    weights: Floats | None
    resamples: int

    def options(self) -> dict[str, Any]:
        return {"weights": self.weights, "resamples": self.resamples}

    def by_label(self) -> list[tuple[int, Ints]]:
        """Each label that experts gave, and the ratings of it against all others; none of two labels, for which it
        would be the same figure twice."""
        given = np.unique(self.ratings[self.ratings >= 0]).tolist()
        return [(label, one_against_rest(self.ratings, label)) for label in given] if len(given) > 2 else []


def one_against_rest(labels: Ints, label: int) -> Ints:
    """1 where ``labels`` is that label, 0 where it is another, and -1 where it is missing."""
    return np.where(labels < 0, -1, labels == label).astype(np.int64)


def _expert_figures(part: _Slice, ids: Sequence[int], rng: np.random.Generator) -> list[Figure]:
    given = (part.ratings, part.groups, rng)
    overall = {
        "kappa": internal_alignment(*given, **part.options()),
        "percent_agreement": percent_agreement(*given, **part.options()),
        "alpha": alpha(*given, **part.options()),
    }
    pairs = [
        Figure("experts", part.name, "kappa", f"{ids[pair.first]}-{ids[pair.second]}", pair.estimate)
        for pair in expert_pair_kappas(*given, **part.options())
    ]
    named = [
        Figure(
            "experts", part.name, "label_kappa", f"label:{label}", internal_alignment(own, *given[1:], **part.options())
        )
        for label, own in part.by_label()
    ]
    return [Figure("experts", part.name, measure, "", value) for measure, value in overall.items()] + pairs + named


def _model_figures(part: _Slice, models: Mapping[int, Ints], rng: np.random.Generator) -> list[Figure]:
    figures: list[Figure] = []
    rest = (part.ratings, part.groups, rng)
    for number, labels in models.items():
        values = {
            "kappa": model_human_alignment(labels, *rest, **part.options()),
            "percent_agreement": model_percent_agreement(labels, *rest, **part.options()),
            "kappa_gap": alignment_gap(labels, *rest, **part.options()),
        }
        figures += [Figure(f"model:{number}", part.name, measure, "", value) for measure, value in values.items()]
        for label, own in part.by_label():
            value = model_human_alignment(one_against_rest(labels, label), own, *rest[1:], **part.options())
            figures.append(Figure(f"model:{number}", part.name, "label_kappa", f"label:{label}", value))
    for older, newer in _compared_versions(list(models)):
        gain = alignment_difference(models[newer], models[older], *rest, **part.options())
        figures.append(Figure(f"model:{newer}", part.name, "kappa_gain", f"over:{older}", gain))
    return figures


def _compared_versions(ids: list[int]) -> list[tuple[int, int]]:
    """(older, newer): each version with the one before; the newest also with the one that a plateau is judged by and
    with the first, the pre-labeller."""
    steps = list(pairwise(ids))
    before = compared_version(ids)
    further = [(older, ids[-1]) for older in (before, *ids[:1]) if older is not None and older != ids[-1]]
    return list(dict.fromkeys([*steps, *further]))


def _control_size(size: int, settings: LoopSettings) -> int:
    """The control share, and the item that is left over when the rest must be whole pairs."""
    wanted = round(settings.control_share * size)
    return wanted + (size - wanted) % 2 if wanted and settings.strategy in PAIRED else wanted


def _control_details(control: ControlSlice) -> list[dict[str, Any]]:
    halves = {DOUBTED: {"half": "doubted"}, TRUSTED: {"half": "trusted"}}
    rows = zip(control.strata, control.halves, control.drawn, control.sizes, control.propensities, strict=True)
    return [
        {
            "stratum": None if label == EVERY_LABEL else int(label),
            **halves.get(int(half), {}),
            "drawn": int(drawn),
            "stratum_size": int(size),
            "propensity": float(chance),
        }
        for label, half, drawn, size, chance in rows
    ]


def _partner_positions(mined: Choice) -> list[tuple[int, int]]:
    """Positions in the plan of each pair's members."""
    where = {int(item): k for k, item in enumerate(mined.items)}
    return [(where[int(a)], where[int(b)]) for a, b in zip(mined.pairs.left, mined.pairs.right, strict=True)]


def _group_keys(
    embeddings: AnyArray,
    items: Ints,
    partners: list[tuple[int, int]],
    earlier_items: ArrayLike,
    earlier_groups: ArrayLike,
    threshold: float,
) -> Ints:
    """Keys (items,) that join pairs and near-duplicates, and hand an earlier twin's key on.

    A group with twins in several earlier groups takes the lowest of their keys: whichever it takes, one of them
    may lie in the other split.
    """
    old_items, old_keys = np.asarray(earlier_items, dtype=np.int64), np.asarray(earlier_groups, dtype=np.int64)
    n, fresh = len(items), int(old_keys.max(initial=-1)) + 1
    every = np.concatenate([items, old_items])
    if not n:
        return np.zeros(0, dtype=np.int64)
    rows = unit_rows(embeddings[every])
    merged = merge_groups(n, partners, near_duplicate_groups(rows[:n], threshold))
    inherited = np.full(int(merged.max()) + 1, np.iinfo(np.int64).max)
    twin, source = np.nonzero(rows[:n] @ rows[n:].T >= threshold)
    np.minimum.at(inherited, merged[twin], old_keys[source])
    keys: Ints = np.where(inherited[merged] < np.iinfo(np.int64).max, inherited[merged], merged + fresh)
    return keys
