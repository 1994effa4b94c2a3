"""The trend finds the slope of a line in log labels, and says nothing where there is none to find."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.curation.outlook import next_gain


@given(st.floats(-0.5, 0.5), st.floats(-0.3, 0.3), st.integers(3, 8))
def test_an_exact_line_is_found(start, slope, points):
    sizes = [60 * (k + 1) for k in range(points)]
    kappas = [start + slope * np.log(size) for size in sizes]
    trend = next_gain(sizes, kappas, sizes[-1] + 60)
    assert trend.gain == pytest.approx(slope * np.log((sizes[-1] + 60) / sizes[-1]), abs=1e-9)
    assert (trend.now, trend.then) == (sizes[-1], sizes[-1] + 60)


@pytest.mark.parametrize(
    ("sizes", "kappas", "then"),
    [
        ([], [], 60),
        ([60, 120], [0.1, 0.2], 180),
        ([60, 120, 180], [0.1, None, 0.2], 240),
        ([60, 60, 60], [0.1, 0.2, 0.3], 120),
        ([60, 120, 180], [0.1, 0.2, 0.3], 180),
        ([1, 2, 180], [0.1, 0.2, 0.3], 240),  # the first two are too far back to say anything of now
    ],
)
def test_too_little_says_nothing(sizes, kappas, then):
    assert next_gain(sizes, kappas, then) is None
