from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.regressors.bank import LineMaker
from estimator.regressors.moments import Moments
from estimator.regressors.ridge import HALF_LIVES_SECONDS, PENALTY, RidgeBank
from stream.learning import plain
from tests.estimator.regressors.samples import Samples, samples


def learned(data: Samples) -> RidgeBank:
    bank = RidgeBank(data.rows.shape[1], data.watts.shape[1])
    for row, watts, at in zip(*data, strict=True):
        bank.learn_many(row[None], watts[None], float(at))
    return bank


def test_names_its_experts_in_their_order() -> None:
    bank = RidgeBank(2, 1, half_lives_seconds=(40.0, 300.0))
    assert bank.names == ("ridge-40s", "ridge-300s", "level-300s")
    bank.learn_many(np.ones((1, 2)), np.ones((1, 1)), 0.0)
    assert bank.freeze().predict_many(np.ones((5, 2))).shape == (5, len(bank.names), 1)


def test_of_first_order_it_is_lines_and_nothing_else() -> None:
    data = samples(1)
    bank = RidgeBank(3, 2, order=1)
    assert bank.names == ("line-40s", "line-300s", "line-1800s", "line-level-1800s")
    for row, watts, at in zip(*data, strict=True):
        bank.learn_many(row[None], watts[None], float(at))
    low, high = data.rows.min(axis=0), data.rows.max(axis=0)
    said = bank.freeze().predict_many(np.array([low, (low + high) / 2, high]))
    np.testing.assert_allclose(said[1], (said[0] + said[2]) / 2, rtol=1e-9)
    bias, weights, scales = bank.lines(np.full(2, np.inf))
    assert (bias.shape, weights.shape, scales.shape) == ((2,), (3, 2), (3,))


def test_experts_are_the_curves_of_their_sums() -> None:
    data = samples(1)
    said = learned(data).freeze().predict_many(data.rows)
    moments = Moments(3, 2, HALF_LIVES_SECONDS, order=2)
    for row, watts, at in zip(*data, strict=True):
        moments.add(row[None], watts[None], float(at))
    terms = moments.expansion.expand(data.rows / moments.frozen_scales())
    _, curves = moments.solve(PENALTY)
    for number in range(len(HALF_LIVES_SECONDS)):
        np.testing.assert_allclose(said[:, number], terms @ curves[number], rtol=1e-9)
    # The last is the longest remembering one, at a height of its own.
    apart = said[:, -1] - terms @ curves[int(np.argmax(HALF_LIVES_SECONDS))]
    np.testing.assert_allclose(apart, np.tile(apart[:1], (len(apart), 1)), rtol=1e-6)


def test_what_was_frozen_stays_as_it_was() -> None:
    data = samples(1)
    bank = learned(data)
    frozen = bank.freeze()
    before = frozen.predict_many(data.rows)
    bank.learn_many(data.rows * 100, data.watts * 3, 1e6)
    assert np.array_equal(frozen.predict_many(data.rows), before)


@given(st.integers(0, 1000))
def test_goes_on_from_its_state(seed: int) -> None:
    data = samples(seed, count=20)
    bank, again = learned(data), RidgeBank(3, 2)
    again.restore(plain.load(plain.dump(bank.state())))
    for each in (bank, again):
        each.learn_many(data.rows[:3], data.watts[:3], 100.0)
    assert plain.dump(again.state()) == plain.dump(bank.state())
    one, other = (each.freeze().predict_many(data.rows) for each in (bank, again))
    assert np.array_equal(one, other)


class TestLines:
    def test_a_ridge_can_make_them(self) -> None:
        assert isinstance(RidgeBank(1, 1), LineMaker)

    @given(st.integers(0, 10_000), st.floats(0, 100), st.booleans())
    def test_are_never_negative_and_begin_no_higher_than_asked(
        self, seed: int, ceiling: float, falling: bool
    ) -> None:
        data = samples(seed, features=4)
        if falling:
            data = data._replace(watts=data.watts.max() - data.watts)
        ceilings = np.array([ceiling, 0.0])
        bias, weights, scales = learned(data).lines(ceilings)
        assert bias.shape == (2,)
        assert weights.shape == (4, 2)
        assert scales.shape == (4,)
        assert (bias >= 0).all()
        assert (bias <= ceilings).all()
        assert (weights >= 0).all()
        assert np.isfinite(weights).all()
        assert (scales > 0).all()

    def test_are_the_regression_where_that_is_not_negative(self) -> None:
        data = samples(2)
        bank = learned(data)
        bias, weights, scales = bank.lines(np.full(2, np.inf))
        moments = Moments(3, 2, (max(HALF_LIVES_SECONDS),), order=1)
        for row, watts, at in zip(*data, strict=True):
            moments.add(row[None], watts[None], float(at))
        terms = moments.expansion.expand(data.rows / moments.frozen_scales())
        said = terms @ moments.solve(PENALTY)[0][0]
        np.testing.assert_allclose(bias + data.rows / scales @ weights, said, rtol=1e-6)

    def test_a_negative_ceiling_is_none(self) -> None:
        bias, _, _ = learned(samples(2)).lines(np.array([-5.0, -1e-9]))
        assert bias.tolist() == [0.0, 0.0]

    @pytest.mark.parametrize("watts", [0.0, 50.0])
    def test_a_machine_that_never_changes_has_a_flat_line(self, watts: float) -> None:
        bank = RidgeBank(2, 1)
        for at in range(10):
            bank.learn_many(np.zeros((1, 2)), np.full((1, 1), watts), float(at))
        bias, weights, scales = bank.lines(np.array([watts]))
        assert bias.tolist() == [watts]
        assert weights.tolist() == [[0.0], [0.0]]
        assert scales.tolist() == [1.0, 1.0]
