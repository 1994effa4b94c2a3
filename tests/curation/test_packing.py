import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from app.curation.packing import from_varints, varints

NUMBERS = st.lists(st.one_of(st.integers(0, 300), st.integers(0, 2**63 - 1)))


def test_bytes_are_those_of_the_format():
    # 624485 is the example of the DWARF standard's section on LEB128.
    assert varints(np.array([0, 127, 128, 624485])) == bytes([0, 127, 0x80, 1, 0xE5, 0x8E, 0x26])


@given(NUMBERS)
@example([])
@example([2**63 - 1])
def test_what_is_packed_comes_back_in_order(numbers):
    packed = varints(np.array(numbers, dtype=np.int64))
    assert from_varints(packed).tolist() == numbers
    assert len(packed) == sum(max(1, -(-number.bit_length() // 7)) for number in numbers)


def test_any_shape_is_read_row_by_row():
    assert varints(np.array([[1, 200], [3, 4]])) == varints(np.array([1, 200, 3, 4]))
