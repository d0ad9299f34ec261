from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.regressors.batch import Batch, Round
from estimator.regressors.neighbours import OF_A_ROUND, NeighbourBank
from estimator.regressors.ridge import RidgeBank
from stream.learning import plain
from tests.estimator.regressors.samples import Samples, samples


def learned(data: Samples, window: int = 10) -> NeighbourBank:
    bank = NeighbourBank(data.rows.shape[1], data.watts.shape[1], window)
    for row, watts, at in zip(*data, strict=True):
        bank.learn_many(row[None], watts[None], float(at))
    return bank


@pytest.mark.parametrize("count", [1, 9, 10, 11, 35])
def test_remembers_the_last_samples_of_its_window(count: int) -> None:
    data = samples(1, count=count)
    frozen = learned(data).freeze()
    kept = frozen.chunk.rows[frozen.start : frozen.stop]
    np.testing.assert_array_equal(kept, data.rows[-10:])


def test_what_was_frozen_stays_as_it_was() -> None:
    data = samples(1, count=40)
    bank = learned(data)
    frozen = bank.freeze()
    before = frozen.predict_many(data.rows)
    for _ in range(50):
        bank.learn_many(data.rows[:1] * 3, data.watts[:1] * 3, 1e6)
    assert np.array_equal(frozen.predict_many(data.rows), before)


@given(st.integers(0, 1000), st.integers(1, 40))
def test_goes_on_from_its_state(seed: int, count: int) -> None:
    data = samples(seed, count=count)
    bank, again = learned(data), NeighbourBank(3, 2, 10)
    again.restore(plain.load(plain.dump(bank.state())))
    for each in (bank, again):
        for _ in range(25):
            each.learn_many(data.rows[:3], data.watts[:3], 100.0)
    assert plain.dump(again.state()) == plain.dump(bank.state())


def test_of_a_fleet_s_round_some_are_remembered_and_others_next_time() -> None:
    bank = NeighbourBank(1, 1, 100)
    rows = np.arange(1.0, 101.0)[:, None]
    for number in range(3):
        bank.learn_rounds(Batch([Round(rows, rows, 3000 * number)]))
    frozen = bank.freeze()
    kept = frozen.chunk.rows[: frozen.stop, 0].tolist()
    assert len(kept) == 3 * OF_A_ROUND
    assert len(set(kept)) == len(kept)


def test_a_node_that_repeats_another_s_samples_is_not_remembered() -> None:
    data = samples(2, count=30)
    once, twice = NeighbourBank(3, 2, 10), NeighbourBank(3, 2, 10)
    for row, watts, at in zip(*data, strict=True):
        once.learn_many(row[None], watts[None], float(at))
        twice.learn_many(np.tile(row, (2, 1)), np.tile(watts, (2, 1)), float(at))
    np.testing.assert_allclose(
        once.freeze().predict_many(data.rows), twice.freeze().predict_many(data.rows), rtol=1e-9
    )


def test_windows_are_joined_in_order_of_time_and_thinned() -> None:
    one, other = NeighbourBank(1, 1, 400), NeighbourBank(1, 1, 400)
    for number in range(400):
        value = np.array([[float(number)]])
        (one, other)[number % 2].learn_many(value, value, float(number))
    for number in range(400, 900):
        value = np.array([[float(number)]])
        (one, other)[number % 2].learn_many(value, value, float(number))
    one.absorb(other, 0.5)
    frozen = one.freeze()
    kept = frozen.chunk.rows[frozen.start : frozen.stop, 0].tolist()
    assert kept == sorted(kept)
    assert len(kept) == 400
    # The recent part is whole; what is older reaches back further than one window would.
    assert kept[-300:] == [float(number) for number in range(600, 900)]
    assert kept[0] < 500
    with pytest.raises(TypeError, match="RidgeBank is no NeighbourBank"):
        one.absorb(RidgeBank(1, 1), 0.5)
