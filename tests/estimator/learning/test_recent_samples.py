from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.learning.recent_samples import (
    LEAST_ROUNDS,
    ROWS,
    SPACING_SECONDS,
    RecentSamples,
    together,
)

START = 1_700_000_000_000
SPACING = round(SPACING_SECONDS * 1000)


def note(recent: RecentSamples, at: int, nodes: int = 1, first: float = 0.0) -> None:
    """A round whose every number says which node of which time it is of."""
    number: Floats = np.arange(first, first + nodes)[:, None]
    recent.note(number + np.array([0.1, 0.2]), number + 0.3, number + 0.4, at)


def test_what_was_noted_comes_back_in_order() -> None:
    recent = RecentSamples(2, 1)
    assert [part.shape for part in recent.samples] == [(0,), (0, 2), (0, 1), (0, 1)]
    for number in range(3):
        note(recent, START + number * SPACING, first=number)
    found = recent.samples
    assert found.at.tolist() == [START, START + SPACING, START + 2 * SPACING]
    assert found.rows.tolist() == [[0.1, 0.2], [1.1, 1.2], [2.1, 2.2]]
    assert found.estimated.tolist() == [[0.3], [1.3], [2.3]]
    assert found.measured.tolist() == [[0.4], [1.4], [2.4]]
    assert found.after(START).at.tolist() == [START + SPACING, START + 2 * SPACING]


def test_rounds_in_quick_succession_and_late_ones_are_passed_over() -> None:
    recent = RecentSamples(2, 1)
    for at in (0, SPACING - 1, SPACING, SPACING - 500, 2 * SPACING - 1, 2 * SPACING):
        note(recent, START + at)
    assert (recent.samples.at - START).tolist() == [0, SPACING, 2 * SPACING]


def test_every_node_of_a_fleet_has_its_turn() -> None:
    recent = RecentSamples(2, 1)
    for number in range(50):
        note(recent, START + number * SPACING, nodes=50)
    assert set(np.floor(recent.samples.rows[:, 0]).tolist()) == set(range(50))


def test_a_clock_that_was_far_ahead_does_not_block_what_follows() -> None:
    recent = RecentSamples(2, 1)
    note(recent, START + 10**11)
    note(recent, START)
    note(recent, START + SPACING)
    assert (recent.samples.at - START).tolist() == [0, SPACING]


def test_the_samples_of_shards_are_put_together_by_time() -> None:
    one, other = RecentSamples(2, 1), RecentSamples(2, 1)
    for number in range(3):
        note(one, START + number * SPACING, first=number)
        note(other, START + number * SPACING + 1000 * number, first=10 + number)
    found = together([one, other])
    assert np.floor(found.measured[:, 0]).tolist() == [0, 10, 1, 11, 2, 12]
    assert (np.diff(found.at) >= 0).all()


rounds = st.lists(st.tuples(st.integers(-5_000, 30_000), st.integers(1, 7)), max_size=300)


@given(rounds, st.integers(0, 300))
def test_they_are_bounded_recent_and_restored_bit_for_bit(
    steps: list[tuple[int, int]], stop: int
) -> None:
    recent, again = RecentSamples(2, 1), RecentSamples(2, 1)
    at = START
    for number, (passed, nodes) in enumerate(steps):
        at += passed
        if number == stop:
            again.restore(recent.state())
        note(recent, at, nodes, first=number)
        if number >= stop:
            note(again, at, nodes, first=number)
        found = recent.samples
        assert len(found.at) <= 121 * ROWS
        assert (np.diff(found.at) >= 0).all()
        old = set(found.at[found.at < found.at[-1] - 600_000].tolist())
        assert not old or len(set(found.at.tolist())) == LEAST_ROUNDS
    if stop < len(steps):
        for one, other in zip(recent.samples, again.samples, strict=True):
            assert one.tobytes() == other.tobytes()
