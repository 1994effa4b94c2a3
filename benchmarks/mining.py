"""Time and recall of mining boundary pairs, beside an exact search by scikit-learn in the same run.

    python benchmarks/mining.py --items 100000 --dim 384 --positive 0.05 --pairs 42

The pool is drawn from Gaussian topics on the sphere, and the labels follow a plane with noise, so that the two sides
touch in some topics and not in others. Recall is measured against brute force over all items: how many of the chosen
pairs are an exact nearest opposite-label neighbour of one of their members, and how many of the pairs found inside
overlapping clusters reach the exact nearest cosine.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

from app.curation.arrays import unit_rows
from app.curation.clustering import cluster_side, overlapping
from app.curation.pairs import mine_pairs


def make_pool(
    n: int, dim: int, positive: float, topics: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    centres = unit_rows(rng.normal(size=(topics, dim)))
    rows = np.empty((n, dim), dtype=np.float16)
    topic = rng.integers(0, topics, n)
    for start in range(0, n, 8192):
        part = topic[start : start + 8192]
        rows[start : start + 8192] = unit_rows(centres[part] + 0.8 * rng.normal(size=(len(part), dim)) / dim**0.5)
    lean = np.concatenate([rows[start : start + 8192] @ centres[0].astype(np.float16) for start in range(0, n, 8192)])
    score = lean.astype(np.float32) + 0.1 * rng.normal(size=n)
    return rows, (score > np.quantile(score, 1 - positive)).astype(np.int64)


def exact(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For every positive item: its ordinal, its nearest negative's ordinal and their cosine."""
    negative, positive = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    index = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine").fit(unit_rows(rows[negative]))
    distance, nearest = index.kneighbors(unit_rows(rows[positive]))
    return positive, negative[nearest[:, 0]], 1 - distance[:, 0]


def coverage(rows: np.ndarray, labels: np.ndarray, positive: np.ndarray, nearest: np.ndarray, seed: int) -> float:
    """Share of the exact nearest pairs whose two clusters overlap, so that the confined search can find them."""
    rng = np.random.default_rng(seed)
    sides = [cluster_side(rows, np.flatnonzero(labels == k), rng) for k in (0, 1)]
    found = overlapping(rows, *sides)
    cells = np.zeros((len(sides[0].members), len(sides[1].members)), dtype=bool)
    cells[found.left, found.right] = True
    home = np.empty(len(labels), dtype=np.int64)
    for side in sides:
        for number, members in enumerate(side.members):
            home[members] = number
    print(f"overlapping cluster pairs: {cells.sum()} of {cells.size}")
    return float(cells[home[nearest], home[positive]].mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--positive", type=float, default=0.05)
    parser.add_argument("--topics", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=42)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    made, labels = make_pool(options.items, options.dim, options.positive, options.topics, rng)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "rows.npy", made)
        rows = np.load(Path(folder) / "rows.npy", mmap_mode="r")
        start = time.perf_counter()
        pairs = mine_pairs(rows, labels, np.ones(len(labels), bool), options.pairs, rng)
        print(f"mine_pairs, {options.items} x {options.dim} float16 map: {time.perf_counter() - start:.2f} s")
        start = time.perf_counter()
        positive, nearest, cosine = exact(rows, labels)
        print(f"scikit-learn brute force, positives against negatives: {time.perf_counter() - start:.2f} s")
        share = coverage(rows, labels, positive, nearest, options.seed)
    best = dict(zip(positive.tolist(), cosine.tolist(), strict=True))
    hits = sum(
        similarity >= best[int(item)] - 1e-3 for item, similarity in zip(pairs.right, pairs.similarity, strict=True)
    )
    print(f"pairs chosen: {len(pairs)} of {options.pairs} {pairs.note}")
    print(
        f"recall: chosen pairs whose positive item has no nearer negative in the pool: {hits / max(1, len(pairs)):.3f}"
    )
    print(f"recall: exact nearest pairs that lie in overlapping clusters: {share:.3f}")
    print(f"mean cosine of chosen pairs {pairs.similarity.mean():.3f}, of all exact nearest pairs {cosine.mean():.3f}")


if __name__ == "__main__":
    main()
