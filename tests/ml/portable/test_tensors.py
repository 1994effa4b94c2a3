import io
import json
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidInput
from app.ml.portable.tensors import BLOCK, Part, join

safetensors = pytest.importorskip("safetensors.numpy")

SHAPES = st.lists(st.integers(0, 5), max_size=3)
TENSORS = st.dictionaries(st.text(max_size=8), st.tuples(SHAPES, st.sampled_from(["<f4", "<f2", "<i8", "u1"])))


def part(tensors, prefix):
    data = safetensors.save(tensors, metadata={"format": "np"})
    return Part(lambda: io.BytesIO(data), lambda name: f"{prefix}{name}")


@given(TENSORS, TENSORS)
def test_the_whole_holds_every_tensor_of_both_and_nothing_else(first, second):
    rng = np.random.default_rng(0)
    parts = [
        {name: np.asarray(9 * rng.random(shape)).astype(kind) for name, (shape, kind) in s.items()}
        for s in (first, second)
    ]
    whole = safetensors.load(b"".join(join([part(parts[0], "a."), part(parts[1], "b.")])))
    wanted = {f"a.{n}": t for n, t in parts[0].items()} | {f"b.{n}": t for n, t in parts[1].items()}
    assert whole.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert whole[name].dtype == tensor.dtype
        np.testing.assert_array_equal(whole[name], tensor)


def test_two_tensors_of_one_name_are_refused():
    one = part({"x": np.ones(1, np.float32)}, "")
    with pytest.raises(InvalidInput, match="'x'"):
        list(join([one, one]))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 2) + b"{x"])
def test_what_is_no_safetensors_object_is_refused(data):
    with pytest.raises(InvalidInput, match="safetensors"):
        list(join([Part(lambda: io.BytesIO(data), str)]))


def test_memory_does_not_grow_with_the_weights(tmp_path):
    size = 64 * BLOCK
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    path = tmp_path / "large.safetensors"
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(8 + len(header) + size)
    tracemalloc.start()
    written = sum(len(block) for block in join([Part(lambda: path.open("rb"), str)]))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert written > size
    assert peak < 8 * BLOCK
