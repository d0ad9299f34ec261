from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from estimator.arrays import Floats
from estimator.learning.lowest import Lowest

READINGS = arrays(
    np.float64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.floats(0.0, 1e4)
)


def lowest_of(readings: Floats) -> Lowest:
    found = Lowest(readings.shape[1])
    found.observe(readings)
    return found


def test_one_low_reading_changes_nothing_and_a_second_one_counts() -> None:
    found = lowest_of(np.array([[40.0], [42.0], [40.5]]))
    found.observe(np.array([[0.0]]))
    assert found.watts().tolist() == [40.0]
    found.observe(np.array([[1.0]]))
    assert found.watts().tolist() == [1.0]


def test_the_only_reading_is_the_lowest() -> None:
    assert Lowest(2).watts().tolist() == [np.inf, np.inf]
    assert lowest_of(np.array([[7.0, 3.0]])).watts().tolist() == [7.0, 3.0]


@given(READINGS)
def test_it_is_the_predecessors_minimum_where_the_least_was_there_twice(readings: Floats) -> None:
    twice = np.vstack([readings, readings.min(axis=0)])
    # `min` subtracts each label's minimum.
    assert lowest_of(twice).watts().tolist() == twice.min(axis=0).tolist()


@given(READINGS, st.data())
def test_batches_merges_and_restarts_change_no_bit(readings: Floats, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(readings)))
    whole, parts, other = lowest_of(readings), Lowest(2), Lowest(2)
    for row in readings[:cut]:
        parts.observe(row[None])
    again = Lowest(2)
    again.restore(parts.state())
    other.observe(readings[cut:].reshape(-1, 2))
    again.absorb(other)
    assert again.watts().tobytes() == whole.watts().tobytes()
