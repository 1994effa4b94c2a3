"""The comparison of strategies, on a made-up pool whose labels a line in the plane decides."""

import json
from pathlib import Path

import numpy as np
import pytest

from app.curation.agreement import MISSING
from app.errors import InvalidInput
from app.ml.prelabel import Runtime
from app.simulate.compare import Data, compare, read_data


def pool(n: int = 600, seed: int = 0) -> tuple[Data, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    truth = (vectors[:, 0] > 0.45).astype(np.int64)
    return Data([f"text {i}" for i in range(n)], truth, np.stack([truth, truth], axis=1), 2), vectors


def runs(strategies: list[str], **options):
    data, vectors = pool()
    runtime = Runtime(cache_dir=Path("unused"))
    return compare(data, vectors, strategies, rounds=2, seeds=[0], runtime=runtime, round_size=40, **options)


def test_every_strategy_starts_from_the_same_model_and_learns() -> None:
    found = runs(["boundary", "random", "margin"])
    assert [run.strategy for run in found] == ["boundary", "random", "margin"]
    assert len({run.kappas[0] for run in found}) == 1
    for run in found:
        assert len(run.kappas) == 3
        assert run.labels == [40, 40]
        assert run.kappas[-1] > run.kappas[0]
        assert run.kappas[-1] > 0.5


def test_mining_finds_more_positives_than_chance() -> None:
    mined, drawn = runs(["boundary", "random"])
    assert np.mean(mined.positives) > 1.5 * np.mean(drawn.positives)


def test_the_same_seed_gives_the_same_run() -> None:
    assert runs(["margin"]) == runs(["margin"])


def test_votes_are_read_ties_left_out_and_gaps_marked(tmp_path: Path) -> None:
    rows = [{"text": f"t{i}", "label": i % 2, "votes": {"a": i % 2, "b": 1}} for i in range(60)]
    rows += [{"text": "even", "label": 0, "tie": True}, {"text": "alone", "label": 1, "votes": {"a": 1}}]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = read_data(path)
    assert len(data.texts) == 61
    assert data.answers[0].tolist() == [0, 1]
    assert data.answers[-1].tolist() == [1, MISSING]


@pytest.mark.parametrize("line", ["nonsense", '{"text": "t"}', '{"text": "t", "label": -1}', '{"text": 3, "label": 1}'])
def test_a_bad_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "t", "label": 0}\n' + line + "\n")
    with pytest.raises(InvalidInput, match="ine 2"):
        read_data(path)


def test_too_little_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text('{"text": "t", "label": 0}\n')
    with pytest.raises(InvalidInput, match="60"):
        read_data(path)
