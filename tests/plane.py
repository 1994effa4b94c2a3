"""A made-up pool whose labels a line in the plane decides, for simulated projects."""

from pathlib import Path

import numpy as np
import pytest

from app.ml.prelabel import Runtime
from app.simulate import scenario
from app.simulate.data import Data
from app.simulate.scenario import ScenarioOptions, build_scenario

RUNTIME = Runtime(cache_dir=Path("unused"))


def made_up(n: int = 1200, votes: int = 0, names: str = "e") -> tuple[Data, np.ndarray]:
    """Texts in the plane; what lies to the right is positive, and annotator k errs with every (k + 7)th text."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    truth = (vectors[:, 0] > 0.3).astype(np.int64)
    said = [truth ^ (np.arange(n) % (k + 7) == 0) for k in range(votes)]
    table = np.stack(said, axis=1) if votes else np.zeros((n, 0), dtype=np.int64)
    people = [f"{names}{k + 1}" for k in range(votes)]
    return Data("plane", [f"text {i}" for i in range(n)], truth, table, people, 2), vectors


@pytest.fixture
def prelabelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Made-up texts mean nothing to an encoder, so the pre-labels come from the plane too."""

    def by_place(data, embeddings, examples, runtime):
        score = 1 / (1 + np.exp(-8 * (embeddings[:, 0] - 0.5)))
        return np.column_stack([1 - score, score]).astype(np.float32)

    monkeypatch.setattr(scenario, "_prelabel", by_place)


def built(options: ScenarioOptions | None = None, seed: int = 0, **how) -> scenario.Scenario:
    data, vectors = made_up(**how)
    return build_scenario(data, vectors, options or ScenarioOptions(), seed, RUNTIME)
