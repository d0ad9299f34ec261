from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.artifacts.expansion import ALL_PAIRS_UP_TO, Expansion, expansion


@given(
    st.integers(1, 8).flatmap(
        lambda count: st.lists(
            st.lists(st.floats(-10, 10), min_size=count, max_size=count), min_size=1, max_size=4
        )
    )
)
def test_second_order_is_one_the_features_and_every_product(rows: list[list[float]]) -> None:
    count = len(rows[0])
    terms = Expansion(count, order=2).expand(np.array(rows))
    by_hand = [
        [1.0, *row, *(a * b for a, b in itertools.combinations_with_replacement(row, 2))]
        for row in rows
    ]
    assert terms.tolist() == by_hand


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("features", [0, 1, 4, ALL_PAIRS_UP_TO, ALL_PAIRS_UP_TO + 1])
def test_counts_its_terms_and_begins_with_the_linear_ones(features: int, order: int) -> None:
    made = Expansion(features, order)
    row = np.arange(2.0, features + 2)
    terms = made.expand(np.stack([row, row]))
    assert terms.shape == (2, made.terms)
    assert made.linear_terms == 1 + features
    assert terms[0, : made.linear_terms].tolist() == [1.0, *row]


def test_many_features_have_squares_only() -> None:
    features = ALL_PAIRS_UP_TO + 1
    row = np.arange(2.0, features + 2)
    made = Expansion(features, order=2)
    assert made.terms == 1 + 2 * features
    assert made.expand(row[None])[0, made.linear_terms :].tolist() == (row**2).tolist()
    all_pairs = Expansion(ALL_PAIRS_UP_TO, order=2)
    assert all_pairs.terms == math.comb(ALL_PAIRS_UP_TO + 2, 2)


def test_no_rows_have_no_terms() -> None:
    assert Expansion(3, order=2).expand(np.empty((0, 3))).shape == (0, 10)


def test_expansions_are_shared() -> None:
    assert expansion(5, 2) is expansion(5, 2)
    assert expansion(5, 1) is not expansion(5, 2)
