from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from estimator.arrays import Floats
from estimator.learning.weighing import MEMORY_SECONDS, Weighing
from estimator.vocabulary import HORIZONS
from stream.learning import plain

EXPERTS, COMPONENTS = 3, 2
ALL = range(len(HORIZONS))

wrongs = hnp.arrays(
    np.float64,
    (len(HORIZONS), EXPERTS, COMPONENTS),
    elements=st.floats(0, 1e6),
)


def constant(*watts: float) -> Floats:
    """Absolute errors at one horizon, the same for all components."""
    return np.tile(np.array(watts)[None, :, None], (1, 1, COMPONENTS))


def weighed(horizon: int, seconds: int, *watts: float) -> Weighing:
    weighing = Weighing(len(watts), COMPONENTS)
    for second in range(seconds):
        weighing.update([horizon], constant(*watts), float(second))
    return weighing


@given(st.lists(st.tuples(wrongs, st.floats(0, 1e6)), max_size=5))
def test_weights_are_shares_of_one(rounds: list[tuple[Floats, float]]) -> None:
    weighing = Weighing(EXPERTS, COMPONENTS)
    for wrong, at in rounds:
        weighing.update(ALL, wrong, at)
    weights = weighing.weights()
    assert weights.shape == (len(HORIZONS), EXPERTS, COMPONENTS)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)


def test_before_any_error_all_have_the_same_say() -> None:
    np.testing.assert_allclose(Weighing(4, COMPONENTS).weights(), 0.25)


def test_the_best_has_the_most_to_say_and_the_worst_the_least() -> None:
    weights = weighed(0, 10, 4.0, 1.0, 2.0).weights()
    # Inverse fifth powers of the errors: 1/1024, 1, 1/32.
    np.testing.assert_allclose(weights[0, :, 0], np.array([1, 1024, 32]) / 1057, rtol=1e-2)


def test_being_exact_once_is_not_everything() -> None:
    weights = weighed(0, 10, 0.0, 0.0005).weights()
    assert 0.5 < weights[0, 0, 0] < 0.9


@pytest.mark.parametrize("horizon", ALL)
def test_a_horizon_without_errors_borrows_from_the_nearer(horizon: int) -> None:
    weights = weighed(horizon, 10, 4.0, 1.0).weights()
    for other in ALL:
        expected = 0.5 if other < horizon else weights[horizon, 0, 0]
        assert weights[other, 0, 0] == pytest.approx(expected)


def test_borrowing_changes_no_memory() -> None:
    weighing = weighed(0, 10, 4.0, 1.0)
    before = plain.dump(weighing.state())
    weighing.weights()
    assert plain.dump(weighing.state()) == before


def test_horizons_and_components_have_their_own_best() -> None:
    weighing = Weighing(2, 2)
    wrong = np.array([[[1.0, 9.0], [9.0, 1.0]], [[9.0, 1.0], [1.0, 9.0]]])
    weighing.update([0, 3], wrong, 0.0)
    weights = weighing.weights()
    assert weights[0].argmax(axis=0).tolist() == [0, 1]
    assert weights[3].argmax(axis=0).tolist() == [1, 0]


@pytest.mark.parametrize("step", [0.5, 3.0])
@pytest.mark.parametrize("horizon", ALL)
def test_memory_is_in_event_time(horizon: int, step: float) -> None:
    memory = MEMORY_SECONDS[horizon]
    weighing = Weighing(2, 1)
    for second in np.arange(0.0, 10 * memory, step):
        wrong = np.array([[[10.0], [20.0]]])
        weighing.update([horizon], wrong, float(second))
    for second in np.arange(10 * memory, 11 * memory, step):
        weighing.update([horizon], np.array([[[20.0], [10.0]]]), float(second))
    # After one memory, old and new count alike, and so do the two experts.
    assert weighing.weights()[horizon, :, 0].tolist() == pytest.approx([0.5, 0.5], abs=0.02)


def test_late_rounds_count_a_little() -> None:
    weighing = weighed(0, 10, 4.0, 1.0)
    before = weighing.weights()[0, 0, 0]
    weighing.update([0], constant(0.0, 100.0), 2.0)
    assert before < weighing.weights()[0, 0, 0] < before + 0.05
    weighing.update([0], constant(4.0, 1.0), 10.0)
    assert np.isfinite(weighing.weights()).all()


@given(wrongs, wrongs)
def test_goes_on_from_its_state(first: Floats, second: Floats) -> None:
    weighing, again = Weighing(EXPERTS, COMPONENTS), Weighing(EXPERTS, COMPONENTS)
    weighing.update([0, 1], first[:2], 1.0)
    again.restore(plain.load(plain.dump(weighing.state())))
    for each in (weighing, again):
        each.update(ALL, second, 4.0)
    assert plain.dump(again.state()) == plain.dump(weighing.state())
