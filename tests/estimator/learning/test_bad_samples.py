"""What odd features and odd meters do to a model: a bounded harm, and not for long."""

from __future__ import annotations

import numpy as np
import pytest

from estimator.arrays import Floats
from estimator.learning.model import PowerModel
from estimator.regressors.batch import Round
from stream.learning.pools import pool

START_MS = 1_700_000_000_000
STEP_MS = 3000
MINUTE = 20
"""Samples."""


def load(count: int, seed: int = 1) -> Floats:
    """A load between 0 and 1 that stays for a while and jumps now and then: [count]."""
    rng = np.random.default_rng(seed)
    jumps = rng.uniform(0, 1, count) < 0.1
    levels = np.where(jumps, rng.uniform(0, 1, count), np.nan)
    levels[0] = 0.3
    held = np.maximum.accumulate(np.where(np.isnan(levels), 0, np.arange(count)))
    made: Floats = np.clip(levels[held] + rng.normal(0, 0.02, count), 0, 1)
    return made


def watts_of(load: Floats) -> Floats:
    """What a machine draws: package and dram, [count, 2]."""
    noise = np.random.default_rng(2).normal(0, 0.3, (len(load), 2))
    drawn: Floats = np.stack([60 + 120 * load**1.2, 12 + 20 * load], axis=1) + noise
    return drawn


def errors(rows: Floats, watts: Floats, true: Floats | None = None) -> tuple[PowerModel, Floats]:
    """The model, and the absolute errors [count - 1, C] of each next sample."""
    names = [f"x{number}" for number in range(rows.shape[1])]
    model = PowerModel(names, ["package", "dram"], pool().banks)
    rounds = [
        Round(rows[place : place + 1], watts[place : place + 1], START_MS + STEP_MS * place)
        for place in range(len(rows))
    ]
    said = [one for one in model.learn_rounds(rounds) if one is not None]
    wrong = np.abs(np.concatenate(said) - (watts if true is None else true)[1:])
    assert np.isfinite(wrong).all()
    return model, wrong


USUAL = load(400)
CLEAN = errors(USUAL[:, None] * 6e4, watts_of(USUAL))[1][-200:].mean(axis=0)
"""The mean error where nothing is odd: of package and dram."""


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(np.full(400, 2.4e9), id="a constant feature"),
        pytest.param(np.zeros(400), id="a feature that is always zero"),
        pytest.param(USUAL * 6e4, id="two identical features"),
        pytest.param(USUAL * 1e-9, id="a feature of scale 1e-9"),
        pytest.param(USUAL * 1e12, id="a feature of scale 1e12"),
        pytest.param(USUAL * 1e-9 + 1.0, id="a feature that hardly varies"),
    ],
)
def test_an_odd_feature_beside_a_good_one_does_no_harm(odd: Floats) -> None:
    rows = np.stack([USUAL * 6e4, odd], axis=1)
    _, wrong = errors(rows, watts_of(USUAL))
    assert (wrong[-200:].mean(axis=0) < 1.25 * CLEAN).all()


@pytest.mark.parametrize("odd", [0.0, 2.4e9], ids=["zero", "constant"])
def test_without_any_feature_that_says_something_the_recent_past_is_said(odd: float) -> None:
    watts = np.tile([[80.0, 15.0]], (100, 1)) + np.random.default_rng(3).normal(0, 0.3, (100, 2))
    _, wrong = errors(np.full((100, 1), odd), watts)
    assert (wrong[-50:].mean(axis=0) < 0.6).all()


def test_a_component_that_is_always_zero_stays_zero_and_harms_no_other() -> None:
    watts = watts_of(USUAL) * [1.0, 0.0]
    model, wrong = errors(USUAL[:, None] * 6e4, watts)
    assert wrong[:, 1].max() == 0.0
    assert wrong[-200:, 0].mean() == pytest.approx(CLEAN[0], rel=1e-6)
    assert not model.ever_positive(1)


@pytest.mark.parametrize("place", [1, 40, 200])
def test_one_wild_reading_is_set_aside(place: int) -> None:
    true = watts_of(USUAL)
    watts = true.copy()
    watts[place] = 1e6
    model, wrong = errors(USUAL[:, None] * 6e4, watts, true)
    assert model.outliers == 1
    assert model.current is not None
    assert (model.current.ceiling < 250).all()
    assert (wrong[place : place + 5] < 100).all()
    assert (wrong[-150:].mean(axis=0) < 1.1 * CLEAN).all()


def test_one_reading_that_could_be_true_is_forgotten_within_two_minutes() -> None:
    true = watts_of(USUAL)
    watts = true.copy()
    watts[200] = true[:200].max(axis=0) * 5
    _, wrong = errors(USUAL[:, None] * 6e4, watts, true)
    # Bounded by what was shown, and within two minutes within half a watt of what it was.
    assert (wrong[200 : 200 + 2 * MINUTE].max(axis=0) <= 1.1 * watts[200]).all()
    after = wrong[200 + 2 * MINUTE :].mean(axis=0)
    assert (after < CLEAN + 0.5).all()


def test_power_that_stays_is_believed_the_second_time() -> None:
    """A component that was asleep: from 0.1 W to 80 W."""
    watts = np.where(np.arange(100) < 50, 0.1, 80.0)[:, None] * [1.0, 0.2]
    model, wrong = errors(np.where(np.arange(100) < 50, 0.0, 5e4)[:, None], watts)
    assert model.outliers == 1
    assert wrong[60:].max() < 1.0


def test_a_meter_that_freezes_is_forgotten_when_it_runs_again() -> None:
    true = watts_of(USUAL)
    watts = true.copy()
    watts[200:220] = watts[199]  # for a minute
    _, wrong = errors(USUAL[:, None] * 6e4, watts, true)
    shown = true.max(axis=0) - true.min(axis=0)
    assert (wrong[199:].max(axis=0) <= 1.1 * shown).all()
    assert (wrong[220 + 2 * MINUTE :].mean(axis=0) < 3 * CLEAN).all()


def test_a_meter_that_lags_by_ten_seconds_costs_errors_and_no_more() -> None:
    """What lags cannot be known at once; estimates stay between what was shown."""
    true = watts_of(USUAL)
    watts = np.concatenate([true[:3], true[:-3]])
    model, wrong = errors(USUAL[:, None] * 6e4, watts)
    assert model.current is not None
    # No worse than repeating the mean, which knows nothing at all.
    assert (wrong[50:].mean(axis=0) < np.abs(watts - watts.mean(axis=0)).mean(axis=0)).all()
