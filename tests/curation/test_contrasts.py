"""Contrast pairs among chosen items, against a search through all of them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.curation.contrasts import LEAST_COSINE, contrast_pairs


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(2, 3))
def test_every_pair_is_mutually_nearest_over_the_line_and_no_item_comes_twice(seed, n, n_labels):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(40, 4)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = rng.integers(0, n_labels, 40)
    items = rng.permutation(40)[:n]
    found = contrast_pairs(vectors, items, labels)

    def best(item):
        others = [other for other in items if labels[other] != labels[item]]
        return max(others, key=lambda other: float(vectors[item] @ vectors[other]), default=None)

    expected = {
        (min(a, b, key=lambda x: labels[x]), max(a, b, key=lambda x: labels[x]))
        for a in items.tolist()
        if (b := best(a)) is not None and best(b) == a and vectors[a] @ vectors[b] >= LEAST_COSINE + 1e-5
    }
    got = list(zip(found.left.tolist(), found.right.tolist(), strict=True))
    assert expected <= set(got)
    assert len({item for pair in got for item in pair}) == 2 * len(got)
    assert (np.diff(found.similarity) <= 1e-6).all()
    assert (labels[found.left] < labels[found.right]).all()


def test_items_of_one_label_have_no_contrast():
    assert len(contrast_pairs(np.eye(3, dtype=np.float32), [0, 1, 2], [1, 1, 1])) == 0
    assert len(contrast_pairs(np.eye(3, dtype=np.float32), [], [1, 1, 1])) == 0
