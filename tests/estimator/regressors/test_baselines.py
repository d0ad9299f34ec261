from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingRegressor

from estimator.artifacts.frozen import FrozenExperts
from estimator.regressors.bank import Bank
from estimator.regressors.baselines.boosting import EVERY, BoostingBank
from estimator.regressors.baselines.forest import ForestBank
from estimator.regressors.baselines.last_value import LastValueBank
from estimator.regressors.baselines.smartwatts import WINDOW, SmartWattsBank
from estimator.regressors.batch import Batch, Round
from estimator.regressors.ridge import RidgeBank
from estimator.regressors.river_bank import amf_bank, standard_linear_bank
from stream.learning import plain
from tests.estimator.regressors.samples import Samples, samples

MAKERS: list[Callable[[list[str], list[str]], Bank]] = [
    LastValueBank,
    SmartWattsBank,
    BoostingBank,
    standard_linear_bank,
    ForestBank,
]


def batch(data: Samples, first: int = 0, last: int | None = None) -> Batch:
    places = range(first, len(data.rows) if last is None else last)
    return Batch(
        [
            Round(data.rows[p : p + 1], data.watts[p : p + 1], int(data.at_seconds[p] * 1000))
            for p in places
        ]
    )


def taught(make: Callable[[list[str], list[str]], Bank], data: Samples) -> Bank:
    bank = make(["x", "y", "z"], ["package", "dram"])
    bank.learn_rounds(batch(data))
    return bank


def said(frozen: FrozenExperts, data: Samples) -> bytes:
    return frozen.predict_many(data.rows).tobytes()


@pytest.mark.parametrize("make", MAKERS)
def test_goes_on_from_its_state(make: Callable[[list[str], list[str]], Bank]) -> None:
    data = samples(1, count=130)
    bank, again = (make(["x", "y", "z"], ["package", "dram"]) for _ in range(2))
    bank.learn_rounds(batch(data, 0, 70))
    again.restore(plain.load(plain.dump(bank.state())))
    for each in (bank, again):
        each.learn_rounds(batch(data, 70))
    assert said(bank.freeze(), data) == said(again.freeze(), data)
    assert plain.dump(bank.state()) == plain.dump(again.state())


@pytest.mark.parametrize("make", MAKERS)
def test_is_merged_with_its_own_kind_only(make: Callable[[list[str], list[str]], Bank]) -> None:
    data = samples(1, count=40)
    bank, other = taught(make, data), taught(make, samples(2, count=90))
    with pytest.raises(TypeError, match="RidgeBank is no"):
        bank.absorb(RidgeBank(3, 2), 0.5)
    bank.absorb(other, 0.7)
    assert np.isfinite(bank.freeze().predict_many(data.rows)).all()


def test_the_last_value_is_what_was_measured_last() -> None:
    data = samples(1, count=9)
    frozen = taught(LastValueBank, data).freeze()
    np.testing.assert_array_equal(frozen.predict_many(data.rows)[4, 0], data.watts[-1])


def test_boosting_is_what_scikit_learn_says() -> None:
    data = samples(1, count=EVERY)
    frozen = taught(BoostingBank, data).freeze()
    for component in range(2):
        model = GradientBoostingRegressor(random_state=1).fit(data.rows, data.watts[:, component])
        np.testing.assert_allclose(
            frozen.predict_many(data.rows)[:, 0, component], model.predict(data.rows), rtol=1e-6
        )


def test_smartwatts_fits_anew_when_it_was_wrong_and_only_then() -> None:
    rng = np.random.default_rng(1)
    rows = rng.uniform(0, 100, (3 * WINDOW, 3))
    watts = np.stack([50 + rows[:, 0], 10 + 0.1 * rows[:, 1]], axis=1)
    data = Samples(rows, watts, np.arange(len(rows), dtype=float))
    bank = SmartWattsBank(["x", "y", "z"], ["package", "dram"])
    made = bank.learn_rounds(batch(data))
    assert made[5] is made[0]  # too few samples
    assert made[WINDOW + 5] is not made[5]
    # It is right by now: it stays as it is.
    assert made[-1] is made[-20]
    np.testing.assert_allclose(made[-1].predict_many(rows)[:, 0, 0], watts[:, 0], atol=1.0)


def test_what_diverges_says_numbers_all_the_same() -> None:
    data = samples(1, count=60)
    wild = data._replace(rows=data.rows * np.where(np.arange(60) % 7 == 0, 1e9, 1.0)[:, None])
    frozen = taught(standard_linear_bank, wild).freeze()
    assert np.isfinite(frozen.predict_many(wild.rows)).all()


def test_the_forest_speaks_itself_of_the_next_sample() -> None:
    data = samples(1, count=60)
    rounds, alone = batch(data), amf_bank(["x", "y", "z"], ["package", "dram"])
    made = ForestBank(["x", "y", "z"], ["package", "dram"]).learn_rounds(rounds)
    for place in range(59):
        row, watts = data.rows[place : place + 1], data.watts[place : place + 1]
        alone.learn_many(row, watts, float(data.at_seconds[place]))
        asked = data.rows[place + 1 : place + 2]
        wanted = alone.predict_one(dict(zip("xyz", asked[0].tolist(), strict=True)))
        assert made[place].predict_many(asked)[0, 0].tolist() == wanted
