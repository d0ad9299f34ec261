from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from river import linear_model, preprocessing

from estimator.arrays import Floats
from estimator.artifacts.frozen import FrozenExperts, FrozenPolynomials
from estimator.regressors.river_bank import RiverBank, amf_bank, linear_bank
from stream.learning import plain
from tests.estimator.regressors.samples import Samples, samples

FEATURES = ("bpf_cpu_time_ms", "cpu_cycles", "cache_miss")
COMPONENTS = ("package", "dram")

Maker = Callable[[Sequence[str], Sequence[str]], RiverBank]


def feed(bank: RiverBank, data: Samples) -> RiverBank:
    for row, watts, at in zip(*data, strict=True):
        bank.learn_many(row[None], watts[None], float(at))
    return bank


def rivers_own(bank: RiverBank, rows: Floats) -> Floats:
    said = [bank.predict_one(dict(zip(FEATURES, row, strict=True))) for row in rows.tolist()]
    return np.array(said)[:, None, :]


class Counting:
    """An export that counts, and says how often it was asked."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(
        self, scaler: Any, models: Sequence[Any], features: Sequence[str]
    ) -> FrozenExperts:
        self.count += 1
        coefficients = np.full((1, 1 + len(features), len(models)), float(self.count))
        return FrozenPolynomials(np.ones(len(features)), coefficients, order=1)


def counting(export_seconds: float) -> tuple[RiverBank, Counting]:
    export = Counting()
    pipeline = preprocessing.MaxAbsScaler() | linear_model.LinearRegression()
    bank = RiverBank(
        "x", pipeline, export, FEATURES, COMPONENTS, together=True, export_seconds=export_seconds
    )
    return bank, export


def test_a_line_says_what_river_says() -> None:
    bank = feed(linear_bank(FEATURES, COMPONENTS), samples(1))
    rows = np.vstack([samples(2).rows, np.zeros(3), samples(2).rows * 5])
    np.testing.assert_allclose(
        bank.freeze().predict_many(rows), rivers_own(bank, rows), rtol=1e-12, atol=1e-9
    )


def test_a_line_knows_nothing_of_a_feature_that_was_always_zero() -> None:
    data = samples(1)
    data.rows[:, 1] = 0.0
    bank = feed(linear_bank(FEATURES, COMPONENTS), data)
    np.testing.assert_allclose(
        bank.freeze().predict_many(data.rows), rivers_own(bank, data.rows), rtol=1e-12
    )


def test_a_line_is_learned() -> None:
    data = samples(1, count=400, step_seconds=1.0)
    said = feed(linear_bank(FEATURES, COMPONENTS), data).freeze().predict_many(data.rows)[:, 0]
    assert np.abs(said - data.watts)[-100:].mean() < 5.0


def test_a_forest_says_what_river_says() -> None:
    bank = feed(amf_bank(FEATURES, COMPONENTS), samples(1, count=25))
    rows = np.vstack([samples(1, count=25).rows, samples(2, count=25).rows, np.zeros(3)])
    np.testing.assert_allclose(
        bank.freeze().predict_many(rows), rivers_own(bank, rows), rtol=1e-9, atol=1e-9
    )


def test_a_forest_of_one_sample_says_what_river_says() -> None:
    bank = feed(amf_bank(FEATURES, COMPONENTS), samples(1, count=1))
    rows = samples(1, count=1).rows
    np.testing.assert_allclose(bank.freeze().predict_many(rows), rivers_own(bank, rows))


def test_a_round_learned_together_is_its_mean() -> None:
    data = samples(1)
    together, mean = linear_bank(FEATURES, COMPONENTS), linear_bank(FEATURES, COMPONENTS)
    together.learn_many(data.rows[:8], data.watts[:8], 0.0)
    mean.learn_many(data.rows[:8].mean(axis=0)[None], data.watts[:8].mean(axis=0)[None], 0.0)
    assert plain.dump(together.state()) == plain.dump(mean.state())


def test_a_forest_sees_every_sample_of_a_round() -> None:
    data = samples(1, count=6)
    one_by_one, round_ = amf_bank(FEATURES, COMPONENTS), amf_bank(FEATURES, COMPONENTS)
    round_.learn_many(data.rows, data.watts, 0.0)
    for row, watts in zip(data.rows, data.watts, strict=True):
        one_by_one.learn_many(row[None], watts[None], 0.0)
    assert plain.dump(round_.state()) == plain.dump(one_by_one.state())


def test_what_is_dear_to_export_is_exported_now_and_then() -> None:
    bank, export = counting(export_seconds=30.0)
    found = []
    for at in (1000.0, 1003.0, 1029.9, 1030.0, 1050.0, 1060.0):
        bank.learn_many(np.ones((1, 3)), np.ones((1, 2)), at)
        bank.freeze()
        found.append(export.count)
    assert found == [1, 1, 1, 2, 2, 3]


def test_what_is_cheap_to_export_is_exported_every_time() -> None:
    bank, export = counting(export_seconds=0.0)
    assert bank.freeze() is not bank.freeze()
    assert export.count == 2


def test_time_that_goes_back_does_not_silence_an_expert() -> None:
    bank, export = counting(export_seconds=30.0)
    for at in (1e9, 1000.0):
        bank.learn_many(np.ones((1, 3)), np.ones((1, 2)), at)
        bank.freeze()
    assert export.count == 2


@pytest.mark.parametrize("make", [linear_bank, amf_bank])
def test_goes_on_from_its_state(make: Maker) -> None:
    data = samples(1, count=30, step_seconds=2.0)
    bank, again = make(FEATURES, COMPONENTS), make(FEATURES, COMPONENTS)
    feed(bank, Samples(*(part[:18] for part in data)))
    bank.freeze()
    again.restore(plain.load(plain.dump(bank.state())))
    for each in (bank, again):
        feed(each, Samples(*(part[18:] for part in data)))
    assert plain.dump(again.state()) == plain.dump(bank.state())
    one, other = (each.freeze().predict_many(data.rows) for each in (bank, again))
    assert np.array_equal(one, other)


def test_banks_of_one_maker_share_nothing() -> None:
    data = samples(1)
    bank, fresh = linear_bank(FEATURES, COMPONENTS), linear_bank(FEATURES, COMPONENTS)
    before = plain.dump(fresh.state())
    feed(bank, data)
    assert plain.dump(fresh.state()) == before
