"""Array types that every module of curation uses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Bools = NDArray[np.bool_]
AnyArray = NDArray[Any]

MISSING = -1


def unit_rows(block: AnyArray) -> Floats32:
    """Rows of ``block`` (n, dim) as float32 of length 1; a row of zeros stays as it is."""
    rows = np.asarray(block, dtype=np.float32)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Floats32 = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
