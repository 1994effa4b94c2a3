"""The places of a map's items, and of which items they are."""

import hashlib

import numpy as np
import pytest

from app.ml.artifacts import ArtifactStore
from app.ml.map_store import load_places, save_places

KEY = "maps/project-1/0123456789abcdef/projection.safetensors"


@pytest.fixture
def store(tmp_path):
    return ArtifactStore(str(tmp_path))


def digest_of(texts):
    def digest(start, stop):
        return hashlib.sha256(texts[start:stop].encode()).hexdigest()[:16] if stop <= len(texts) else None

    return digest


def places(n):
    return np.arange(2 * n, dtype=np.uint16).reshape(n, 2)


def keep(store, texts):
    save_places(store, KEY, places(len(texts)), digest_of(texts)(0, len(texts)))


def test_the_smallest_that_is_large_enough_is_read_or_else_the_largest(store):
    for texts in ("abc", "abcdef", "abcdefgh"):
        keep(store, texts)
    for n, found in [(2, 2), (5, 5), (8, 8), (9, 8)]:
        np.testing.assert_array_equal(load_places(store, KEY, n, digest_of("abcdefghi")), places(found))


def test_places_of_other_texts_are_as_good_as_none(store):
    keep(store, "abc")
    keep(store, "abcdef")
    assert len(load_places(store, KEY, 6, digest_of("abcxyz"))) == 3, "the pool was put back to three and grew anew"
    assert len(load_places(store, KEY, 6, digest_of("uvwxyz"))) == 0
    store.put_bytes(f"{KEY.rpartition('/')[0]}/places-0000000006-0123456789ab.npy", b"of a version before")
    assert len(load_places(store, KEY, 6, digest_of("uvwxyz"))) == 0
