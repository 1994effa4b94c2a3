import signal
import subprocess
import sys
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidInput, NotFound
from app.ml import embedding_store
from app.ml.artifacts import ArtifactStore
from app.ml.embedding_store import load, missing_shards, shard_bounds, write_shard


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(str(tmp_path / "artifacts"))


def rows(n, dim=4, seed=0):
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


@given(n=st.integers(0, 200), size=st.integers(1, 50), start=st.integers(0, 200))
def test_bounds_cover_every_row_once_in_order(n, size, start):
    bounds = shard_bounds(n, size, start)
    assert [row for first, last in bounds for row in range(first, last)] == list(range(start, n))
    assert all(last - first <= size for first, last in bounds)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 15)), max_size=6), st.integers(1, 50), st.integers(1, 20))
def test_what_is_missing_and_what_is_written_together_cover_the_pool(written, n, size):
    store = ArtifactStore(f"memory://{uuid.uuid4().hex}")
    everything = rows(60)
    covered = set()
    for start, count in written:
        write_shard(store, "p1", "enc", start, everything[start : start + count])
        covered |= set(range(start, start + count))
    missing = [row for first, last in missing_shards(store, "p1", "enc", n, size) for row in range(first, last)]
    assert missing == [row for row in range(n) if row not in covered]


def test_embedding_goes_on_where_it_broke_off_and_appended_items_get_new_shards(store, tmp_path):
    everything = rows(25)
    assert missing_shards(store, "p1", "enc", 10, 4) == [(0, 4), (4, 8), (8, 10)]
    write_shard(store, "p1", "enc", 0, everything[0:4])
    write_shard(store, "p1", "enc", 8, everything[8:10])
    assert missing_shards(store, "p1", "enc", 10, 4) == [(4, 8)]
    with pytest.raises(NotFound, match="4–7"):
        load(store, "p1", "enc", 10, tmp_path / "cache")
    write_shard(store, "p1", "enc", 4, everything[4:8])
    before = store.list()
    assert np.array_equal(load(store, "p1", "enc", 10, tmp_path / "cache"), everything[:10].astype(np.float16))
    for start, stop in missing_shards(store, "p1", "enc", 25, 4):
        write_shard(store, "p1", "enc", start, everything[start:stop])
    assert set(before) < set(store.list())
    whole = load(store, "p1", "enc", 25, tmp_path / "cache")
    assert isinstance(whole, np.memmap)
    assert whole.dtype == np.float16
    assert not whole.flags.writeable
    assert np.array_equal(whole, everything.astype(np.float16))


def test_a_second_load_reads_no_shard(store, tmp_path, monkeypatch):
    write_shard(store, "p1", "enc", 0, rows(5))
    load(store, "p1", "enc", 5, tmp_path / "cache")
    monkeypatch.setattr(embedding_store, "_assemble", None)
    assert load(store, "p1", "enc", 5, tmp_path / "cache").shape == (5, 4)


def test_the_cache_never_answers_for_a_store_that_was_filled_anew(store, tmp_path):
    write_shard(store, "p1", "enc", 0, rows(5))
    load(store, "p1", "enc", 5, tmp_path / "cache")
    for path in (tmp_path / "artifacts").rglob("*.npy"):
        path.unlink()
    write_shard(store, "p1", "enc", 0, rows(5, seed=1))
    assert np.array_equal(load(store, "p1", "enc", 5, tmp_path / "cache"), rows(5, seed=1).astype(np.float16))


def test_a_repeated_or_overlapping_step_does_no_harm(store, tmp_path):
    everything = rows(12)
    for start, stop in [(0, 8), (0, 8), (4, 12)]:
        write_shard(store, "p1", "enc", start, everything[start:stop])
    assert len(store.list()) == 2
    assert np.array_equal(load(store, "p1", "enc", 12, tmp_path / "cache"), everything.astype(np.float16))
    assert np.array_equal(load(store, "p1", "enc", 7, tmp_path / "cache"), everything[:7].astype(np.float16))


def test_projects_and_encoders_are_kept_apart(store):
    write_shard(store, "p1", "enc", 0, rows(5))
    assert missing_shards(store, "p1", "enc", 5) == []
    assert missing_shards(store, "p2", "enc", 5) == missing_shards(store, "p1", "other", 5) == [(0, 5)]


@pytest.mark.parametrize("array", [np.zeros((0, 4)), np.zeros(4), np.full((2, 4), np.nan), np.full((2, 4), 1e6)])
def test_an_array_that_is_no_embedding_is_refused(store, array):
    with pytest.raises(InvalidInput):
        write_shard(store, "p1", "enc", 0, array)


def test_shards_of_different_width_are_refused(store, tmp_path):
    write_shard(store, "p1", "enc", 0, rows(5))
    write_shard(store, "p1", "enc", 5, rows(5, dim=3))
    with pytest.raises(InvalidInput, match="shape"):
        load(store, "p1", "enc", 10, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.part")) == []


EMBEDDER = """
import os, pathlib, signal, sys
import numpy as np
from app.ml import artifacts
from app.ml.embedding_store import load, missing_shards, write_shard

folder, deadly, moment = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
store = artifacts.ArtifactStore(str(folder / "artifacts"))
everything = np.load(folder / "rows.npy")
for start, stop in missing_shards(store, "p1", "enc", len(everything), 4):
    with (folder / "computed").open("a") as log:
        log.write(f"{start}\\n")
    if start == deadly and moment == "while":
        os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
        pathlib.Path.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
    write_shard(store, "p1", "enc", start, everything[start:stop])
    if start == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
assert np.array_equal(load(store, "p1", "enc", len(everything), folder / "cache"), everything)
"""


@pytest.mark.parametrize(("moment", "again"), [("after", []), ("while", [8])])
def test_after_a_kill_in_the_middle_no_stored_shard_is_computed_again(tmp_path, moment, again):
    np.save(tmp_path / "rows.npy", rows(22).astype(np.float16))
    command = [sys.executable, "-c", EMBEDDER, str(tmp_path)]
    killed = subprocess.run([*command, "8", moment], check=False)
    assert killed.returncode == -signal.SIGKILL
    subprocess.run([*command, "-1", moment], check=True)
    computed = [int(line) for line in (tmp_path / "computed").read_text().split()]
    assert computed == [0, 4, 8, *again, 12, 16, 20]
