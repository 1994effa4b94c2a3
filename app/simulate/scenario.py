"""What a simulated project starts from: a pool at a chosen prevalence, a hold-out, pre-labels and experts' answers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.curation.arrays import MISSING
from app.errors import InvalidInput
from app.ml.classifiers import Examples
from app.ml.prelabel import Runtime, build_prelabeller
from app.simulate.data import Data

Ints = NDArray[np.int64]

EXAMPLES_PER_LABEL = 5
FEWEST_POSITIVES = 100
"""With fewer positives than this at the prevalence asked for, the data keep their own: a hold-out of a dozen
positives measures nothing."""


@dataclass(frozen=True)
class ScenarioOptions:
    """``prevalence`` of label 1 of two (None: as in the data); ``hold_out`` share; ``pool_limit`` items kept at most
    (0: all); ``experts`` and ``expert_error`` (chance of a wrong answer) where the data have no panel of their own."""

    prevalence: float | None = 0.05
    hold_out: float = 0.3
    pool_limit: int = 0
    experts: int = 3
    overlap: int = 2
    expert_error: float = 0.05


@dataclass(frozen=True)
class Scenario:
    """Rows 0 … n_pool − 1 are the pool, the rest the hold-out, which no selection and no threshold sees.

    ``answers`` (rows, experts) are what the experts say when asked, -1 for those who are not; ``prelabels`` (rows,)
    and ``prescores`` (rows, labels) are the pre-labeller's, which has seen ``EXAMPLES_PER_LABEL`` texts of each label
    that are in neither part.
    """

    data: Data
    embeddings: NDArray[np.floating[Any]]
    n_pool: int
    answers: Ints
    prelabels: Ints
    prescores: NDArray[np.float32]
    examples: Examples

    @property
    def pool_truth(self) -> Ints:
        return self.data.truth[: self.n_pool]

    @property
    def hold_out_truth(self) -> Ints:
        return self.data.truth[self.n_pool :]


def build_scenario(
    data: Data, embeddings: NDArray[np.floating[Any]], options: ScenarioOptions, seed: int, runtime: Runtime
) -> Scenario:
    """The same for every strategy and engine with the same seed. ``embeddings`` (n, dim) belong to ``data``."""
    rng = np.random.default_rng([seed, 0])
    examples, rest = _examples(data, rng)
    rows = _at_prevalence(data.truth, rest, options, rng)
    pool, held_out = _hold_out(data.truth, rows, options.hold_out, rng)
    chosen = np.concatenate([pool, held_out])
    part, vectors = data.take(chosen), np.asarray(embeddings[chosen], dtype=np.float32)
    shown = np.concatenate(list(examples.values()))
    known = Examples([data.texts[row] for row in shown], np.asarray(embeddings[shown], np.float32), data.truth[shown])
    scores = _prelabel(part, vectors, known, runtime)
    answers = _answers(part, options, rng)
    labels = scores.argmax(axis=1).astype(np.int64)
    return Scenario(part, vectors, len(pool), answers, labels, scores, known)


def prevalence_kept(data: Data, options: ScenarioOptions) -> ScenarioOptions:
    """The options with the prevalence that these data allow: their own, where they have more than two labels or where
    fewer than ``FEWEST_POSITIVES`` would be left."""
    if options.prevalence is None or data.n_labels > 2:
        return replace(options, prevalence=None)
    positive = int((data.truth == 1).sum())
    negative = len(data) - positive
    left = min(positive, round(negative * options.prevalence / (1 - options.prevalence)))
    return options if left >= FEWEST_POSITIVES else replace(options, prevalence=None)


def _examples(data: Data, rng: np.random.Generator) -> tuple[dict[int, Ints], Ints]:
    """Texts of each label, as an admin would put them into the guideline, and all other rows in random order."""
    order = rng.permutation(len(data))
    examples = {label: order[data.truth[order] == label][:EXAMPLES_PER_LABEL] for label in range(data.n_labels)}
    if missing := [label for label, rows in examples.items() if len(rows) < EXAMPLES_PER_LABEL]:
        raise InvalidInput(f"{data.name} has fewer than {EXAMPLES_PER_LABEL} texts with label {missing[0]}.")
    shown = {data.texts[row] for rows in examples.values() for row in rows}
    return examples, np.array([row for row in order if data.texts[row] not in shown], dtype=np.int64)


def _at_prevalence(truth: Ints, rows: Ints, options: ScenarioOptions, rng: np.random.Generator) -> Ints:
    """Rows left when one label is thinned to the prevalence, at most ``pool_limit`` for pool and hold-out."""
    positive, negative = rows[truth[rows] == 1], rows[truth[rows] != 1]
    if options.prevalence is not None:
        odds = options.prevalence / (1 - options.prevalence)
        positive = positive[: round(len(negative) * odds)]
        negative = negative[: round(len(positive) / odds)]
    kept = rng.permutation(np.concatenate([positive, negative]))
    limit = round(options.pool_limit / (1 - options.hold_out))
    return kept[:limit] if limit else kept


def _hold_out(truth: Ints, rows: Ints, share: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Pool and hold-out rows; each label gives the same share, so that runs differ less by luck."""
    parts = [rows[truth[rows] == label] for label in np.unique(truth[rows])]
    held_out = np.concatenate([part[: round(share * len(part))] for part in parts])
    pool = np.concatenate([part[round(share * len(part)) :] for part in parts])
    return rng.permutation(pool), rng.permutation(held_out)


def _prelabel(data: Data, embeddings: NDArray[np.float32], examples: Examples, runtime: Runtime) -> NDArray[np.float32]:
    names = [str(label) for label in range(data.n_labels)]
    pairs = list(zip(examples.texts, examples.labels.tolist(), strict=True))
    shown = {str(label): [text for text, own in pairs if own == label] for label in range(data.n_labels)}
    prelabeller = build_prelabeller({"provider": "few_shot"}, names, "", shown, runtime)
    scores = prelabeller.score(data.texts, embeddings=embeddings)
    return np.stack([np.asarray(score.scores, dtype=np.float32) for score in scores])


def _answers(data: Data, options: ScenarioOptions, rng: np.random.Generator) -> Ints:
    """(rows, experts): answers of ``overlap`` experts to each item, drawn from those who could answer."""
    table = _possible_answers(data, options, rng)
    order = np.argsort(np.where(table == MISSING, 2.0, rng.random(table.shape)), axis=1)
    asked = np.zeros(table.shape, dtype=np.bool_)
    np.put_along_axis(asked, order[:, : options.overlap], True, axis=1)
    return np.where(asked, table, MISSING)


def _possible_answers(data: Data, options: ScenarioOptions, rng: np.random.Generator) -> Ints:
    if data.has_panel:
        return data.votes
    if data.votes.shape[1]:
        # A crowd's votes, dealt to the experts in random order: each expert is then a random member of the crowd.
        keys = np.where(data.votes == MISSING, 2.0, rng.random(data.votes.shape))
        dealt = np.take_along_axis(data.votes, np.argsort(keys, axis=1), axis=1)[:, : options.experts]
        return np.asarray(rng.permuted(dealt, axis=1))
    shape = (len(data), options.experts)
    other = (data.truth[:, None] + rng.integers(1, data.n_labels, shape)) % data.n_labels
    return np.where(rng.random(shape) < options.expert_error, other, data.truth[:, None])
