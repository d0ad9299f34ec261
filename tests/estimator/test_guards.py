from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.guards import LOW_USAGE, REMEMBERED, Guards, Idle
from stream import plain

USAGE = np.array([1.0, 0.0])
"""A usage rate, and a level such as a frequency."""
GREATEST = np.array([1000.0, 3000.0])
OTHERWISE = np.array([7.0])

rounds = st.lists(
    st.lists(
        st.tuples(st.floats(0, 1e12), st.floats(0, 1e12), st.floats(0, 1e4)), min_size=1, max_size=4
    ),
    min_size=1,
    max_size=10,
)


def idle_of(watts: list[float], rate: float = 0.0) -> Idle:
    idle = Idle(1, USAGE)
    for value in watts:
        idle.observe(np.array([[rate, 3000.0]]), np.array([[value]]), GREATEST)
    return idle


@given(rounds)
def test_guards_are_the_range_of_all_that_was_seen(
    samples: list[list[tuple[float, float, float]]],
) -> None:
    guards = Guards(2, 1)
    for members in samples:
        array = np.array(members)
        guards.observe(array[:, :2], array[:, 2:])
    everything = np.array([member for members in samples for member in members])
    assert guards.seen.tolist() == [
        everything[:, :2].min(axis=0).tolist(),
        everything[:, :2].max(axis=0).tolist(),
    ]
    assert guards.floor[0] == everything[:, 2].min()
    assert guards.ceiling[0] == everything[:, 2].max()


def test_guards_that_were_handed_out_do_not_change() -> None:
    guards = Guards(1, 1)
    guards.observe(np.array([[5.0]]), np.array([[50.0]]))
    seen, floor, ceiling = guards.seen, guards.floor, guards.ceiling
    guards.observe(np.array([[1.0], [9.0]]), np.array([[10.0], [90.0]]))
    assert (seen.tolist(), floor.tolist(), ceiling.tolist()) == ([[5.0], [5.0]], [50.0], [50.0])


def test_guards_go_on_from_their_state() -> None:
    guards, again = Guards(1, 1), Guards(1, 1)
    guards.observe(np.array([[5.0]]), np.array([[50.0]]))
    again.restore(plain.load(plain.dump(guards.state())))
    for each in (guards, again):
        each.observe(np.array([[7.0]]), np.array([[20.0]]))
    assert plain.dump(again.state()) == plain.dump(guards.state())


def test_a_machine_never_seen_near_idle_has_no_idle_power_of_its_own() -> None:
    assert idle_of([]).watts(OTHERWISE) is OTHERWISE
    busy = idle_of([50.0, 60.0], rate=2 * LOW_USAGE * GREATEST[0])
    assert busy.watts(OTHERWISE) is OTHERWISE


def test_usage_decides_and_levels_do_not() -> None:
    just = LOW_USAGE * GREATEST[0]
    assert idle_of([50.0], rate=just).watts(OTHERWISE).tolist() == [50.0]
    assert idle_of([50.0], rate=just * 1.01).watts(OTHERWISE).tolist() == [7.0]


@given(
    st.lists(st.floats(49.0, 51.0), min_size=10, max_size=200),
    st.floats(0.0, 1000.0),
    st.integers(0, 200),
)
def test_a_single_odd_reading_does_not_make_idle_power(
    usual: list[float], odd: float, place: int
) -> None:
    watts = usual.copy()
    watts.insert(place % (len(usual) + 1), odd)
    assert 49.0 <= idle_of(watts).watts(OTHERWISE)[0] <= 51.0


def test_idle_power_is_low_among_the_low() -> None:
    watts = np.linspace(40.0, 60.0, 41)
    found = float(idle_of(np.random.default_rng(1).permutation(watts).tolist()).watts(OTHERWISE)[0])
    assert 40.0 < found < 46.0


def test_idle_power_follows_the_machine() -> None:
    assert idle_of([90.0] * 500 + [40.0] * REMEMBERED).watts(OTHERWISE).tolist() == [40.0]


def test_of_a_round_only_the_idle_nodes_count() -> None:
    idle = Idle(1, USAGE)
    rows = np.array([[900.0, 0.0], [1.0, 3000.0], [500.0, 0.0]])
    idle.observe(rows, np.array([[90.0], [30.0], [60.0]]), GREATEST)
    assert idle.watts(OTHERWISE).tolist() == [30.0]


@pytest.mark.parametrize("count", [3, REMEMBERED, REMEMBERED + 5])
def test_idle_goes_on_from_its_state(count: int) -> None:
    idle, again = idle_of([float(watts) for watts in range(count)]), Idle(1, USAGE)
    again.restore(plain.load(plain.dump(idle.state())))
    for each in (idle, again):
        each.observe(np.array([[0.0, 0.0]]), np.array([[3.0]]), GREATEST)
    assert plain.dump(again.state()) == plain.dump(idle.state())
    assert np.array_equal(again.watts(OTHERWISE), idle.watts(OTHERWISE))


def test_after_a_drift_the_old_idle_power_counts_until_the_new_is_seen() -> None:
    idle = idle_of([40.0] * REMEMBERED)
    idle.forget()
    assert idle.watts(OTHERWISE).tolist() == [40.0]
    busy = np.array([[900.0, 3000.0]])
    idle.observe(busy, np.array([[200.0]]), GREATEST)
    assert idle.watts(OTHERWISE).tolist() == [40.0]
    again = Idle(1, USAGE)
    again.restore(plain.load(plain.dump(idle.state())))
    for each in (idle, again):
        for watts in (55.0, 56.0, 54.0):
            each.observe(np.array([[0.0, 3000.0]]), np.array([[watts]]), GREATEST)
        assert 54.0 <= each.watts(OTHERWISE)[0] <= 56.0
