"""Do a crowd's errors depend on the text? The real crowd's, beside those that ``linecall simulate`` makes up.

    python -m benchmarks.crowd_errors --data $DATA/babe_expert_sg1.jsonl.gz --crowd $DATA/mbic_crowd.jsonl.gz

Among the texts with the same true label, the area under the ROC curve with which the errors are told from the crowd's
right labels: by the score of a model of the true labels (how much a text looks like the other label), and by a model
of the errors themselves, both cross-validated. .5 is an error that does not depend on the text. A made-up crowd has
as many errors of each label as the real one. Means over ``--seeds`` splits.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from app.config import Settings
from app.ml.prelabel import Runtime
from app.simulate.conditions import StudyOptions, data_embeddings, load_data
from app.simulate.crowd import chance, hardness, knows_texts, likeness, real_crowd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def told_apart(x: NDArray[np.floating], truth: Ints, wrong: Bools, seed: int) -> list[float]:
    """AUC by the score of true label 0 and 1, then by a model of the errors."""
    p, own = chance(x, truth, seed), [truth == label for label in (0, 1)]
    by_score = [roc_auc_score(wrong[own[0]], p[own[0]]), roc_auc_score(wrong[own[1]], -p[own[1]])]
    by_errors = [
        roc_auc_score(wrong[part], chance(x[part], wrong[part].astype(np.int64), seed, folds=5)) for part in own
    ]
    return [*by_score, *by_errors]


def made_up(truth: Ints, wrong: Bools, weights: Floats, rng: np.random.Generator) -> Bools:
    """As many errors of each label as in ``wrong``, drawn by ``weights`` without replacement."""
    drawn = np.zeros(len(truth), dtype=np.bool_)
    for label in (0, 1):
        own = np.flatnonzero(truth == label)
        share = weights[own] / weights[own].sum()
        drawn[rng.choice(own, int(wrong[own].sum()), replace=False, p=share)] = True
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--crowd", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    given = parser.parse_args()
    data = load_data(given.data)
    machine = Runtime(cache_dir=Settings().resolved_cache_dir, threads=0)
    theirs = load_data(given.crowd)
    if not knows_texts(theirs, data):
        parser.error(f"{Path(given.crowd).name} does not hold the texts of {data.name}")
    crowd = real_crowd(theirs, data)
    known = crowd.labels >= 0
    x = np.asarray(data_embeddings(data, StudyOptions.encoder, machine), dtype=np.float32)[known]
    truth, wrong = data.truth[known], crowd.labels[known] != data.truth[known]
    weights: dict[str, Callable[[Floats], Floats]] = {
        "anywhere": np.ones_like, "alike": lambda p: likeness(p, truth), "hard": hardness,
    }  # fmt: skip
    print(f"{len(truth):,} texts, kappa {crowd.kappa:.2f}, wrong where the label is 0, 1: "
          f"{wrong[truth == 0].mean():.0%}, {wrong[truth == 1].mean():.0%}")  # fmt: skip
    print(f"{'errors':<12}{'by score, 0':>12}{'1':>7}{'by errors, 0':>14}{'1':>7}")
    found = {"real": [told_apart(x, truth, wrong, seed) for seed in range(given.seeds)]}
    for name, weigh in weights.items():
        # Made up by another split's scores than they are judged by, as the real crowd knows neither.
        scores = [chance(x, truth, 1000 + seed) for seed in range(given.seeds)]
        drawn = [made_up(truth, wrong, weigh(p), np.random.default_rng(seed)) for seed, p in enumerate(scores)]
        found[name] = [told_apart(x, truth, errors, seed) for seed, errors in enumerate(drawn)]
    for name, rows in found.items():
        a, b, c, d = np.mean(rows, axis=0)
        print(f"{name:<12}{a:>12.2f}{b:>7.2f}{c:>14.2f}{d:>7.2f}")


if __name__ == "__main__":
    main()
