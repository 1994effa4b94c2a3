import numpy as np

from app.curation.arrays import from_float16, unit_rows


def test_every_finite_float16_is_converted_exactly():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)].reshape(-1, 4)
    assert np.array_equal(from_float16(every).view(np.uint32), every.astype(np.float32).view(np.uint32))
    columns = np.asfortranarray(every)
    assert np.array_equal(from_float16(columns[::3, 1:]), every.astype(np.float32)[::3, 1:])


def test_unit_rows_have_length_one_leave_zeros_and_do_not_write_on_what_they_are_given():
    rows = np.random.default_rng(0).normal(size=(20, 8))
    rows[3] = 0
    for kind in (np.float16, np.float32, np.float64):
        given = rows.astype(kind)
        made = unit_rows(given)
        assert made.dtype == np.float32
        assert np.array_equal(given, rows.astype(kind))
        lengths = np.linalg.norm(given.astype(np.float64), axis=1, keepdims=True)
        np.testing.assert_allclose(made, given / np.where(lengths > 0, lengths, 1), atol=1e-6)
        assert not made[3].any()
    assert unit_rows(np.zeros((0, 8), np.float16)).shape == (0, 8)
