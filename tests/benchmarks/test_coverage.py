"""The intervals of agreement figures cover the truth about as often as they promise, in a small part of the table."""

import numpy as np
import pytest

from app.curation.bootstrap import Estimate
from benchmarks.coverage import cell, evaluation_cells

MEASURES = ("internal", "model–human", "gain", "gap", "alpha", "percent")


@pytest.fixture(scope="module")
def cells():
    settings = [(0.5, 0.3), (0.9, 0.3)]
    return [evaluation_cells(40, 3, *setting, repeats=60, resamples=100, seed=0) for setting in settings]


@pytest.mark.slow
@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_of_forty_items_cover(cells, measure):
    assert np.mean([found[measure].coverage for found in cells]) >= 0.88


def test_a_cell_counts_what_covers_and_what_has_no_interval():
    found = [Estimate(0.5, 0.4, 0.6, 9, None), Estimate(0.9, 0.8, 1.0, 9, None), Estimate(None, None, None, 0, "none")]
    measured = cell(found, [0.5, 0.5, 0.5])
    assert measured.coverage == pytest.approx(0.5)
    assert measured.bias == pytest.approx(0.2)
    assert measured.width == pytest.approx(0.2)
    assert measured.without == pytest.approx(1 / 3)
