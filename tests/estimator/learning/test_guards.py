from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.learning.guards import BELIEVED, LOW_USAGE, REMEMBERED, Guards, Idle, Ranges
from estimator.regressors.batch import Batch, Round
from stream.learning import plain

USAGE = np.array([1.0, 0.0])
"""A usage rate, and a level such as a frequency."""
GREATEST = np.array([1000.0, 3000.0])
LEAST = np.array([7.0])


def batch(rows: Floats, watts: Floats) -> Batch:
    return Batch([Round(rows, watts, 0)])


def ranges(floor: Floats = LEAST) -> Ranges:
    """As if the machine had shown the greatest usage, and no less than that power."""
    seen = np.stack([np.zeros(2), GREATEST])
    return Ranges(seen[None], floor[None], np.array([[100.0]]))


def observed(idle: Idle, rows: Floats, watts: Floats) -> float:
    """Idle power after a round."""
    return float(idle.observe(batch(rows, watts), ranges())[-1][0])


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
        observed(idle, np.array([[rate, 3000.0]]), np.array([[value]]))
    return idle


def known(idle: Idle) -> float:
    watts = idle.watts()
    assert watts is not None
    return float(watts[0])


@given(rounds)
def test_guards_are_the_range_of_all_that_was_seen(
    samples: list[list[tuple[float, float, float]]],
) -> None:
    guards = Guards(2, 1)
    for members in samples:
        array = np.array(members)
        guards.observe(batch(array[:, :2], array[:, 2:]))
    everything = np.array([member for members in samples for member in members])
    assert guards.seen.tolist() == [
        everything[:, :2].min(axis=0).tolist(),
        everything[:, :2].max(axis=0).tolist(),
    ]
    assert guards.floor[0] == everything[:, 2].min()
    assert guards.ceiling[0] == everything[:, 2].max()


def test_guards_that_were_handed_out_do_not_change() -> None:
    guards = Guards(1, 1)
    guards.observe(batch(np.array([[5.0]]), np.array([[50.0]])))
    seen, floor, ceiling = guards.seen, guards.floor, guards.ceiling
    guards.observe(batch(np.array([[1.0], [9.0]]), np.array([[10.0], [90.0]])))
    assert (seen.tolist(), floor.tolist(), ceiling.tolist()) == ([[5.0], [5.0]], [50.0], [50.0])


def test_guards_go_on_from_their_state() -> None:
    guards, again = Guards(1, 1), Guards(1, 1)
    guards.observe(batch(np.array([[5.0]]), np.array([[50.0]])))
    again.restore(plain.load(plain.dump(guards.state())))
    for each in (guards, again):
        each.observe(batch(np.array([[7.0]]), np.array([[20.0]])))
    assert plain.dump(again.state()) == plain.dump(guards.state())


def test_a_machine_never_seen_near_idle_has_no_idle_power_of_its_own() -> None:
    assert idle_of([]).watts() is None
    busy = idle_of([50.0, 60.0], rate=2 * LOW_USAGE * GREATEST[0])
    assert busy.watts() is None
    assert observed(busy, np.array([[900.0, 0.0]]), np.array([[90.0]])) == LEAST[0]


def test_usage_decides_and_levels_do_not() -> None:
    just = LOW_USAGE * GREATEST[0]
    assert known(idle_of([50.0], rate=just)) == 50.0
    assert idle_of([50.0], rate=just * 1.01).watts() is None


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
    assert 49.0 <= known(idle_of(watts)) <= 51.0


def test_idle_power_is_low_among_the_low() -> None:
    watts = np.linspace(40.0, 60.0, 41)
    found = known(idle_of(np.random.default_rng(1).permutation(watts).tolist()))
    assert 40.0 < found < 46.0


def test_idle_power_follows_the_machine() -> None:
    assert known(idle_of([90.0] * 500 + [40.0] * REMEMBERED)) == 40.0


def test_of_a_round_only_the_idle_nodes_count() -> None:
    idle = Idle(1, USAGE)
    rows = np.array([[900.0, 0.0], [1.0, 3000.0], [500.0, 0.0]])
    assert observed(idle, rows, np.array([[90.0], [30.0], [60.0]])) == 30.0


@pytest.mark.parametrize("count", [3, REMEMBERED, REMEMBERED + 5])
def test_idle_goes_on_from_its_state(count: int) -> None:
    idle, again = idle_of([float(watts) for watts in range(count)]), Idle(1, USAGE)
    again.restore(plain.load(plain.dump(idle.state())))
    for each in (idle, again):
        observed(each, np.array([[0.0, 0.0]]), np.array([[3.0]]))
    assert plain.dump(again.state()) == plain.dump(idle.state())


def test_only_what_is_far_above_all_that_was_seen_is_beyond_belief() -> None:
    guards = Guards(1, 2)
    watts = np.array([[1e6, 1e6], [50.0, 0.0]])
    assert not guards.beyond_belief(watts).any()
    guards.observe(batch(np.array([[5.0]]), np.array([[50.0, 4.0]])))
    just = np.array([[50.0 * BELIEVED, 4.0], [1.0, 4.0 * BELIEVED]])
    assert not guards.beyond_belief(just).any()
    assert guards.beyond_belief(just * 1.01).tolist() == [True, True]
    assert guards.beyond_belief(watts).tolist() == [True, False]


def test_after_a_drift_the_old_idle_power_counts_until_the_new_is_seen() -> None:
    idle = idle_of([40.0] * REMEMBERED)
    idle.forget()
    assert idle.watts() == pytest.approx([40.0])
    observed(idle, np.array([[900.0, 3000.0]]), np.array([[200.0]]))
    assert idle.watts() == pytest.approx([40.0])
    again = Idle(1, USAGE)
    again.restore(plain.load(plain.dump(idle.state())))
    for each in (idle, again):
        for watts in (55.0, 56.0, 54.0):
            observed(each, np.array([[0.0, 3000.0]]), np.array([[watts]]))
        found = each.watts()
        assert found is not None
        assert 54.0 <= found[0] <= 56.0
