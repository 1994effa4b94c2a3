"""Whole numbers as few bytes."""

from collections.abc import Iterable

import numpy as np

from app.curation.arrays import AnyArray, Ints


def varints(values: AnyArray) -> bytes:
    """Each of ``values`` (any shape, not negative) in LEB128, in order: a byte for each number below 128."""
    numbers = np.asarray(values, dtype=np.int64).ravel()
    width = max(1, -(-int(numbers.max(initial=0)).bit_length() // 7))
    rest = numbers[:, None] >> 7 * np.arange(width)  # (n, width): what is still to be written at each byte
    needed = rest > 0
    needed[:, 0] = True
    return (rest & 127 | (rest >= 128) << 7)[needed].astype(np.uint8).tobytes()


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
