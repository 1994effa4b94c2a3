"""Not a benchmark: what ``answering --train`` runs beside the server. Fine-tunes an encoder again and again."""

import os
import tempfile
from pathlib import Path

import numpy as np

from app.config import Settings
from app.ml.classifiers import TrainingSet, engine
from app.ml.prelabel import Runtime


def main() -> None:
    settings = Settings()
    os.nice(settings.worker_nice)
    rng = np.random.default_rng(0)
    texts = [f"A short text about thing number {n}, as long as such texts usually are." for n in range(300)]
    labels = rng.integers(0, 2, len(texts))
    data = TrainingSet(texts, rng.normal(size=(len(texts), 384)).astype(np.float32), labels, np.arange(len(texts)))
    with tempfile.TemporaryDirectory() as folder:
        runtime = Runtime(cache_dir=Path(folder), threads=settings.worker_threads)
        for seed in range(1_000_000):
            engine("encoder").fit(data, 2, {}, seed, runtime)


if __name__ == "__main__":
    main()
