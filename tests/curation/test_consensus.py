from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from app.curation.consensus import consensus


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 20), st.integers(1, 6)), elements=st.integers(-1, 3)))
def test_consensus_equals_counting_by_hand(ratings):
    found = consensus(ratings, 4)
    for row, label, source, votes in zip(ratings, found.labels, found.sources, found.votes, strict=True):
        counts = Counter(int(v) for v in row if v >= 0).most_common()
        assert votes == sum(n for _, n in counts)
        if not counts:
            assert (label, source) == (-1, "none")
        elif len(counts) > 1 and counts[0][1] == counts[1][1]:
            assert (label, source) == (-1, "tie")
        else:
            assert label == counts[0][0]
            assert source == ("single" if votes == 1 else "unanimous" if len(counts) == 1 else "majority")
