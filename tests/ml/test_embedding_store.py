import hashlib
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


class Pool:
    """A pool of that many texts, whose vectors are these; ``name`` is what its texts say."""

    def __init__(self, everything, name="a"):
        self.everything, self.name, self.asked = everything, name, []

    def digest(self, start, stop):
        if stop > len(self.everything):
            return None
        return hashlib.sha256(f"{self.name} {start} {stop}".encode()).hexdigest()[:16]

    def embedded(self, rows):
        self.asked += rows
        return self.everything[rows]


def put(store, pool, start, stop, project="p1"):
    return write_shard(store, project, "enc", start, pool.everything[start:stop], pool.digest(start, stop))


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
    pool = Pool(rows(60))
    covered = set()
    for start, count in written:
        put(store, pool, start, start + count)
        covered |= set(range(start, start + count))
    missing = [row for first, last in missing_shards(store, "p1", "enc", n, pool, size) for row in range(first, last)]
    assert missing == [row for row in range(n) if row not in covered]


def test_embedding_goes_on_where_it_broke_off_and_appended_items_get_new_shards(store, tmp_path):
    everything = rows(25)
    pool = Pool(everything)
    assert missing_shards(store, "p1", "enc", 10, pool, 4) == [(0, 4), (4, 8), (8, 10)]
    put(store, pool, 0, 4)
    put(store, pool, 8, 10)
    assert missing_shards(store, "p1", "enc", 10, pool, 4) == [(4, 8)]
    with pytest.raises(NotFound, match="4–7"):
        load(store, "p1", "enc", 10, pool, tmp_path / "cache")
    put(store, pool, 4, 8)
    before = store.list()
    assert np.array_equal(load(store, "p1", "enc", 10, pool, tmp_path / "cache"), everything[:10].astype(np.float16))
    for start, stop in missing_shards(store, "p1", "enc", 25, pool, 4):
        put(store, pool, start, stop)
    assert set(before) < set(store.list())
    whole = load(store, "p1", "enc", 25, pool, tmp_path / "cache")
    assert isinstance(whole, np.memmap)
    assert whole.dtype == np.float16
    assert not whole.flags.writeable
    assert np.array_equal(whole, everything.astype(np.float16))


def test_a_second_load_reads_no_shard(store, tmp_path, monkeypatch):
    pool = Pool(rows(5))
    put(store, pool, 0, 5)
    load(store, "p1", "enc", 5, pool, tmp_path / "cache")
    monkeypatch.setattr(embedding_store, "_assemble", None)
    assert load(store, "p1", "enc", 5, pool, tmp_path / "cache").shape == (5, 4)


def test_the_cache_never_answers_for_a_store_that_was_filled_anew(store, tmp_path):
    pool, other = Pool(rows(5)), Pool(rows(5, seed=1))
    put(store, pool, 0, 5)
    load(store, "p1", "enc", 5, pool, tmp_path / "cache")
    for path in (tmp_path / "artifacts").rglob("*.npy"):
        path.unlink()
    put(store, other, 0, 5)
    assert np.array_equal(load(store, "p1", "enc", 5, other, tmp_path / "cache"), other.everything.astype(np.float16))


def test_a_repeated_or_overlapping_step_does_no_harm(store, tmp_path):
    everything = rows(12)
    pool = Pool(everything)
    for start, stop in [(0, 8), (0, 8), (4, 12)]:
        put(store, pool, start, stop)
    assert len([key for key in store.list() if key.endswith(".npy")]) == 2
    assert np.array_equal(load(store, "p1", "enc", 12, pool, tmp_path / "cache"), everything.astype(np.float16))
    assert np.array_equal(load(store, "p1", "enc", 7, pool, tmp_path / "cache"), everything[:7].astype(np.float16))


def test_projects_and_encoders_are_kept_apart(store):
    pool = Pool(rows(5))
    put(store, pool, 0, 5)
    assert missing_shards(store, "p1", "enc", 5, pool) == []
    assert missing_shards(store, "p2", "enc", 5, pool) == missing_shards(store, "p1", "other", 5, pool) == [(0, 5)]


@pytest.mark.parametrize("array", [np.zeros((0, 4)), np.zeros(4), np.full((2, 4), np.nan), np.full((2, 4), 1e6)])
def test_an_array_that_is_no_embedding_is_refused(store, array):
    with pytest.raises(InvalidInput):
        write_shard(store, "p1", "enc", 0, array, "0123456789abcdef")


def test_shards_of_different_width_are_refused(store, tmp_path):
    pool = Pool(rows(10))
    put(store, pool, 0, 5)
    write_shard(store, "p1", "enc", 5, rows(5, dim=3), pool.digest(5, 10))
    with pytest.raises(InvalidInput, match="shape"):
        load(store, "p1", "enc", 10, pool, tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.part")) == []


@pytest.mark.parametrize("url", ["folder", "memory"])
def test_shards_of_other_texts_are_as_good_as_none(tmp_path, url):
    """Pool A was embedded, then its database was put back and pool B imported under the same numbers."""
    store = ArtifactStore(str(tmp_path / "artifacts") if url == "folder" else f"memory://{uuid.uuid4().hex}")
    a, b = Pool(rows(12)), Pool(rows(12, seed=1), name="b")
    put(store, a, 0, 8)
    put(store, a, 8, 12)
    assert missing_shards(store, "p1", "enc", 12, b, 8) == [(0, 8), (8, 12)]
    put(store, b, 0, 8)
    with pytest.raises(NotFound, match="8–11"):
        load(store, "p1", "enc", 12, b, tmp_path / "cache")
    put(store, b, 8, 12)
    for pool in (a, b):
        found = load(store, "p1", "enc", 12, pool, tmp_path / "cache")
        assert np.array_equal(found, pool.everything.astype(np.float16))
    assert a.asked == b.asked == [], "the stamps said it"


def test_a_shard_that_reaches_beyond_the_pool_is_not_of_it(store):
    a = Pool(rows(12))
    put(store, a, 0, 12)
    assert missing_shards(store, "p1", "enc", 8, Pool(a.everything[:8])) == [(0, 8)]


def unstamped(store, pool, start, stop):
    key = put(store, pool, start, stop)
    for stamp in store.list():
        if stamp.startswith(key.removesuffix(".npy")) and stamp != key:
            store.remove(stamp)


def test_shards_of_before_there_were_stamps_stay_where_their_rows_are_those_of_the_texts(store, tmp_path):
    everything = rows(30) / 2
    a, grown = Pool(everything), Pool(np.concatenate([everything[:20], rows(10, seed=1)]), name="grown otherwise")
    for start, stop in [(0, 10), (10, 20), (20, 30)]:
        unstamped(store, a, start, stop)
    assert missing_shards(store, "p1", "enc", 30, grown) == [(20, 30)]
    assert set(grown.asked) >= {0, 9, 10, 19, 29}, "the last row of each, and some before"
    grown.asked.clear()
    assert missing_shards(store, "p1", "enc", 30, grown) == [(20, 30)]
    assert grown.asked == [], "looked at once"
    put(store, grown, 20, 30)
    assert np.array_equal(load(store, "p1", "enc", 30, grown, tmp_path), grown.everything.astype(np.float16))


EMBEDDER = """
import os, pathlib, signal, sys
from types import SimpleNamespace
import numpy as np
from app.ml import artifacts
from app.ml.embedding_store import load, missing_shards, write_shard

folder, deadly, moment = pathlib.Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
store = artifacts.ArtifactStore(str(folder / "artifacts"))
everything = np.load(folder / "rows.npy")
pool = SimpleNamespace(digest=lambda start, stop: f"{start:08d}{stop:08d}")
for start, stop in missing_shards(store, "p1", "enc", len(everything), pool, 4):
    with (folder / "computed").open("a") as log:
        log.write(f"{start}\\n")
    if start == deadly and moment == "while":
        os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
        pathlib.Path.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
    write_shard(store, "p1", "enc", start, everything[start:stop], pool.digest(start, stop))
    if start == deadly:
        os.kill(os.getpid(), signal.SIGKILL)
assert np.array_equal(load(store, "p1", "enc", len(everything), pool, folder / "cache"), everything)
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
