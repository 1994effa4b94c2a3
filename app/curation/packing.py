"""Whole numbers as few bytes."""

from collections.abc import Iterable

import numpy as np

from app.curation.arrays import AnyArray, Ints


def varints(values: AnyArray) -> bytes:
    """Each of ``values`` (any shape, not negative) in LEB128, in order: a byte for each number below 128."""
    packed = bytearray()
    for value in np.asarray(values, dtype=np.int64).ravel().tolist():
        while value >= 128:
            packed.append(value & 127 | 128)
            value >>= 7
        packed.append(value)
    return bytes(packed)


def from_varints(packed: Iterable[int]) -> Ints:
    """What ``varints`` has packed."""
    found, value, shift = [], 0, 0
    for byte in packed:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            found.append(value)
            value, shift = 0, 0
    return np.array(found, dtype=np.int64)
