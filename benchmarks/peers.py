"""Other libraries' active-learning strategies as strategies of ours, on the same embeddings and the same model.

Each adapter calls the library's own class with its defaults; nothing is implemented again here. Only benchmarks need
the libraries, so the group `peers` is installed beside the environment and not into it (small-text brings a package
named `tests`, which would hide ours):

    make peers
    PYTHONPATH=.make/peers python -m benchmarks.peers
    PYTHONPATH=.make/peers python -m app.cli simulate --strategy-module benchmarks.peers --strategies smalltext:badge …

Candidates are the eligible items, and labelled items those of the fine-tuning split; items of the evaluation split are
shown to no library. Where a library asks a classifier, it gets the scores of the pool's model, in the first round the
pre-labeller's, and unit embeddings. Run as a script, this prints the time of each strategy on one pool.
"""

import argparse
import importlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np

from app.curation.arrays import Floats, Floats32, Ints, unit_rows
from app.curation.choosing import Choice, History, Pool, Strategy
from app.curation.pairs import no_pairs
from app.errors import InvalidInput

SUBSAMPLE = 4096
"""Candidates drawn at random for a strategy whose cost grows with the square of the pool or worse; the default of
small-text's SubsamplingQueryStrategy."""


@dataclass(frozen=True)
class _View:
    """A pool as a library sees it, candidates first and then the labelled items: ``items`` (m + l,) are ordinals,
    ``labels`` (l,) those of the labelled, ``embeddings`` (m + l, dim) unit rows, ``scores`` (m + l, labels)."""

    items: Ints
    labels: Ints
    embeddings: Floats32
    scores: Floats
    seed: int

    @property
    def candidates(self) -> Ints:
        return np.arange(len(self.items) - len(self.labels))

    @property
    def labelled(self) -> Ints:
        return np.arange(len(self.items) - len(self.labels), len(self.items))


Query = Callable[[_View, int], Ints]
"""Positions in the view of n of its candidates, of which there are more than n."""


def _adapt(query: Query) -> Strategy:
    def choose(pool: Pool, n_items: int, rng: np.random.Generator) -> Choice:
        view = _view(pool, rng)
        some = 0 < n_items < len(view.candidates)
        chosen = np.asarray(query(view, n_items), dtype=np.int64) if some else view.candidates[:n_items]
        chosen = chosen[np.sort(np.unique(chosen, return_index=True)[1])]
        if np.setdiff1d(chosen, view.candidates).size:
            raise RuntimeError("The library chose items that are not candidates.")
        note = f"Only {len(chosen)} of {n_items} items were chosen." if len(chosen) < n_items else ""
        return Choice(view.items[chosen], [{} for _ in chosen], no_pairs(), note)

    return choose


def _view(pool: Pool, rng: np.random.Generator) -> _View:
    if pool.scores.ndim != 2:
        raise InvalidInput("Other libraries' strategies need the scores of every label.")
    trained = pool.history.trained
    items = np.concatenate([np.flatnonzero(pool.eligible), pool.history.items[trained]])
    scores = np.asarray(pool.scores[items], dtype=np.float64)
    rows = unit_rows(pool.embeddings[items])
    return _View(items, pool.history.labels[trained], rows, scores, int(rng.integers(2**31)))


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"{name.partition('.')[0]} is not installed: see the first lines of benchmarks/peers.py."
        raise InvalidInput(message, field="strategies") from error


class _SmallTextClassifier:
    """What small-text asks of a fitted classifier; a dataset's features are positions in the view."""

    def __init__(self, view: _View) -> None:
        self._view = view

    def predict_proba(self, dataset: Any) -> Floats:
        scores: Floats = self._view.scores[dataset.x[:, 0]]
        return scores

    def embed(self, dataset: Any, return_proba: bool = False, pbar: str | None = None) -> Any:
        rows = self._view.embeddings[dataset.x[:, 0]]
        return (rows, self.predict_proba(dataset)) if return_proba else rows


def _small_text(build: Callable[[Any, int], Any], needs_labelled: bool = False) -> Strategy:
    """``build`` makes the library's strategy for a number of labels. One that ``needs_labelled`` items starts by the
    library's random_initialization, the one of its initialisations that needs no labels either."""

    def query(view: _View, n: int) -> Ints:
        library = _library("small_text")
        labels = np.full(len(view.items), library.LABEL_UNLABELED)
        labels[view.labelled] = view.labels
        targets = np.arange(view.scores.shape[1])
        dataset = library.SklearnDataset(np.arange(len(view.items))[:, None], labels, target_labels=targets)
        with _small_text_seed(view.seed):
            if needs_labelled and not len(view.labels):
                return np.asarray(library.random_initialization(dataset, n_samples=n))
            strategy, classifier = build(library, len(targets)), _SmallTextClassifier(view)
            known = (view.labelled, view.labels)
            return np.asarray(strategy.query(classifier, dataset, view.candidates, *known, n=n))

    return _adapt(query)


@contextmanager
def _small_text_seed(seed: int) -> Iterator[None]:
    """small-text draws from NumPy's global state, which is put back afterwards, and its BADGE from a new state that
    the system seeds: that one is given the seed instead."""
    badge = _library("small_text.integrations.pytorch.query_strategies.strategies")
    original, state = badge.init_kmeans_plusplus_safe, np.random.get_state()

    def seeded(x: Any, n_clusters: int, **options: Any) -> Any:
        return original(x, n_clusters, **(options | {"random_state": seed}))

    np.random.seed(seed)
    try:
        with patch.object(badge, "init_kmeans_plusplus_safe", seeded):
            yield
    finally:
        np.random.set_state(state)


def _small_text_coreset(library: Any, _: int) -> Any:
    """It computes every distance again for every item that it adds, hence the library's own subsampling."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Default distance metric has changed", UserWarning)
        return library.SubsamplingQueryStrategy(library.GreedyCoreset(), subsample_size=SUBSAMPLE)


def _small_text_badge(library: Any, n_labels: int) -> Any:
    """For two labels it spreads over plain embeddings: the gradients count only for three or more."""
    return library.integrations.pytorch.query_strategies.BADGE(n_labels)


def _scores_of(view: _View, with_embeddings: bool) -> Any:
    """A fitted classifier for scikit-activeml, whose features are positions in the view."""
    base = _library("skactiveml.base").SkactivemlClassifier

    class Scores(base):  # type: ignore[misc, valid-type]
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            raise NotImplementedError("The pool's model is fitted already.")

        def predict_proba(self, X: Any) -> Any:
            rows = X[:, 0].astype(np.int64)
            return (view.scores[rows], view.embeddings[rows]) if with_embeddings else view.scores[rows]

    return Scores(classes=np.arange(view.scores.shape[1]))


def _scikit_activeml(build: Callable[[Any, _View], Any], reads: str, model: str = "clf") -> Strategy:
    """``build`` makes the library's strategy, which ``reads`` 'embeddings', 'scores' or 'both'; ``model`` is what it
    calls the classifier."""

    def query(view: _View, n: int) -> Ints:
        strategy = build(_library("skactiveml.pool"), view)
        labels = np.full(len(view.items), np.nan)
        labels[view.labelled] = view.labels
        if reads == "embeddings":
            return np.asarray(strategy.query(view.embeddings, labels, batch_size=n))
        classifier = _scores_of(view, with_embeddings=reads == "both")
        positions = np.arange(len(view.items), dtype=np.float64)[:, None]
        fitted = {model: classifier, f"fit_{model}": False}
        return np.asarray(strategy.query(positions, labels, **fitted, batch_size=n))

    return _adapt(query)


def _clue(library: Any, view: _View) -> Any:
    """It does not hand its seed on to the clustering."""
    return library.Clue(cluster_algo_dict={"random_state": view.seed}, random_state=view.seed)


def _prob_cover(library: Any, view: _View) -> Any:
    """It keeps all pairs' distances, hence the library's own subsampling."""
    inner = library.ProbCover(n_classes=view.scores.shape[1], random_state=view.seed)
    options: dict[str, Any] = {"max_candidates": SUBSAMPLE, "exclude_non_subsample": True, "random_state": view.seed}
    return library.SubSamplingWrapper(inner, **options)


PEERS: dict[str, Strategy] = {
    "smalltext:breaking_ties": _small_text(lambda library, _: library.BreakingTies()),
    "smalltext:contrastive": _small_text(lambda library, _: library.ContrastiveActiveLearning(pbar=None)),
    "smalltext:badge": _small_text(_small_text_badge),
    "smalltext:coreset": _small_text(_small_text_coreset, needs_labelled=True),
    "skactiveml:uncertainty": _scikit_activeml(
        lambda library, view: library.UncertaintySampling("margin_sampling", random_state=view.seed), "scores"
    ),
    "skactiveml:contrastive": _scikit_activeml(
        lambda library, view: library.ContrastiveAL(random_state=view.seed), "both"
    ),
    "skactiveml:badge": _scikit_activeml(lambda library, view: library.Badge(random_state=view.seed), "both"),
    "skactiveml:clue": _scikit_activeml(_clue, "both", model="estimator"),
    "skactiveml:falcun": _scikit_activeml(lambda library, view: library.Falcun(random_state=view.seed), "scores"),
    "skactiveml:coreset": _scikit_activeml(lambda library, view: library.CoreSet(random_state=view.seed), "embeddings"),
    "skactiveml:typiclust": _scikit_activeml(
        lambda library, view: library.TypiClust(random_state=view.seed), "embeddings"
    ),
    "skactiveml:probcover": _scikit_activeml(_prob_cover, "embeddings"),
}
STRATEGIES = PEERS
"""The name that the simulator looks for in a module of further strategies."""


def _timed_pool(n: int, dim: int, n_labelled: int, rng: np.random.Generator) -> Pool:
    """Items around 60 topics, the model's scores low for most, and as many labelled items as a late round has."""
    topics = unit_rows(rng.normal(size=(60, dim)))
    rows = unit_rows(topics[rng.integers(60, size=n)] + rng.normal(size=(n, dim)) / dim**0.5)
    positive = rng.beta(0.5, 5, n)
    known = rng.choice(n, n_labelled, replace=False)
    eligible = np.ones(n, dtype=np.bool_)
    eligible[known] = False
    labels = (positive[known] > 0.5).astype(np.int64)
    past = History(known, labels, np.ones_like(known), np.ones(n_labelled, np.bool_), np.full(n_labelled, np.nan))
    scores = np.column_stack([1 - positive, positive]).astype(np.float32)
    return Pool(rows, (positive > 0.5).astype(np.int64), scores, eligible, past)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--budget", type=int, default=94)
    parser.add_argument("--labelled", type=int, default=340)
    given = parser.parse_args()
    pool = _timed_pool(given.items, given.dim, given.labelled, np.random.default_rng(0))
    print(f"{given.budget} of {given.items:,} items × {given.dim}, {given.labelled} labelled")
    for name, strategy in PEERS.items():
        try:
            strategy(pool, 1, np.random.default_rng(0))  # imports
        except InvalidInput as error:
            print(f"{name:24} skipped: {error}")
            continue
        start = time.perf_counter()
        chosen = strategy(pool, given.budget, np.random.default_rng(0))
        print(f"{name:24} {time.perf_counter() - start:7.2f} s, {len(chosen.items)} items")


if __name__ == "__main__":
    main()
