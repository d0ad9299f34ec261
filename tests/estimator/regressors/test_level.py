from __future__ import annotations

import numpy as np
import pytest

from estimator.regressors.batch import Batch, Round
from estimator.regressors.level import HALF_LIFE_SECONDS
from estimator.regressors.ridge import RidgeBank


def taught(seconds: float, watts: float, start: float, bank: RidgeBank | None = None) -> RidgeBank:
    """A node every 3 s whose power is its load and something else."""
    bank = bank or RidgeBank(1, 1)
    rng = np.random.default_rng(1)
    for at in np.arange(start, start + seconds, 3.0):
        load = rng.uniform(0, 1, (1, 1))
        bank.learn_many(load, watts + 100 * load, float(at))
    return bank


def test_a_step_is_followed_within_a_few_half_lives() -> None:
    bank = taught(3600, 50.0, 0.0)
    taught(8 * HALF_LIFE_SECONDS, 65.0, 3600.0, bank)
    said = bank.freeze().predict_many(np.array([[0.5]]))[0, :, 0]
    level, longest = said[-1], said[-2]
    assert level == pytest.approx(115.0, abs=1.0)
    assert longest < 105.0


def test_nothing_is_followed_before_there_is_an_error() -> None:
    bank = RidgeBank(1, 1)
    (frozen,) = bank.learn_rounds(Batch([Round(np.ones((1, 1)), np.full((1, 1), 70.0), 0)]))
    assert frozen.coefficients[-1].tolist() == frozen.coefficients[-2].tolist()


def test_a_level_that_is_forgotten_is_the_curves_from_then_on() -> None:
    bank = taught(3600, 50.0, 0.0)
    taught(8 * HALF_LIFE_SECONDS, 65.0, 3600.0, bank)
    before = bank.freeze().predict_many(np.array([[0.2], [0.9]]))[:, :, 0]
    bank.forget()
    after = bank.freeze().predict_many(np.array([[0.2], [0.9]]))[:, :, 0]
    # What was the level's is the longest curve's; the others say what they said.
    assert after[:, -2] == pytest.approx(before[:, -1], abs=1e-3)
    assert after[:, -1] == pytest.approx(before[:, -1], abs=1e-3)
    assert after[:, :-2] == pytest.approx(before[:, :-2], abs=1e-6)
    taught(60.0, 65.0, 3600.0 + 8 * HALF_LIFE_SECONDS, bank)
    said = bank.freeze().predict_many(np.array([[0.5]]))[0, -2:, 0]
    assert said == pytest.approx([115.0, 115.0], abs=1.0)
