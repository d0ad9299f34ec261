from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.learning.scoring import Errors, Scores, as_json
from stream.learning import plain

watts = st.floats(0.0, 5000.0).map(lambda value: round(value, 3))
pairs = st.lists(st.tuples(watts, watts), min_size=1, max_size=50)


def scored(samples: list[tuple[float, float]], half_life: float | None = None) -> Scores:
    """Scores of (estimated, measured) of one component at one horizon, a second apart."""
    scores = Scores(1, 1, half_life)
    for second, (estimated, measured) in enumerate(samples):
        scores.update([0], np.array([[[estimated]]]), np.array([[measured]]), float(second))
    return scores


@given(pairs)
def test_errors_are_what_their_formulas_say(samples: list[tuple[float, float]]) -> None:
    estimated, measured = np.array(samples).T
    wrong = estimated - measured
    found = scored(samples).errors(0, 0)
    assert found.count == len(samples)
    assert found.mae == pytest.approx(np.abs(wrong).mean(), abs=1e-9)
    assert found.rmse == pytest.approx(np.sqrt((wrong**2).mean()), abs=1e-6)
    assert found.bias == pytest.approx(wrong.mean(), abs=1e-9)
    positive = measured > 0
    if positive.any():
        mape = 100 * (np.abs(wrong[positive]) / measured[positive]).mean()
        assert found.mape == pytest.approx(mape, rel=1e-9, abs=1e-9)
    else:
        assert math.isnan(found.mape)
    spread = float(((measured - measured.mean()) ** 2).sum())
    if spread > 1.0:
        assert found.r2 == pytest.approx(1 - float((wrong**2).sum()) / spread, rel=1e-6, abs=1e-6)


@given(pairs, st.floats(0.5, 100.0))
def test_with_a_half_life_older_samples_weigh_less(
    samples: list[tuple[float, float]], half_life: float
) -> None:
    estimated, measured = np.array(samples).T
    weights = 0.5 ** ((len(samples) - 1 - np.arange(len(samples))) / half_life)
    wrong = estimated - measured
    found = scored(samples, half_life).errors(0, 0)
    assert found.count == pytest.approx(weights.sum())
    assert found.mae == pytest.approx(np.average(np.abs(wrong), weights=weights), abs=1e-9)
    assert found.bias == pytest.approx(np.average(wrong, weights=weights), abs=1e-9)


def test_a_half_life_is_in_event_time_not_in_samples() -> None:
    found = []
    for step in (1.0, 5.0):
        scores = Scores(1, 1, half_life_seconds=100.0)
        for second in np.arange(0.0, 2000.0, step):
            error = 10.0 if second < 1900 else 30.0
            scores.update([0], np.array([[[50.0 + error]]]), np.array([[50.0]]), float(second))
        found.append(scores.errors(0, 0).mae)
    # One half-life after the error went from 10 W to 30 W: half the way.
    assert found == pytest.approx([20.0, 20.0], abs=0.5)


def test_a_late_sample_takes_nothing_back() -> None:
    scores = scored([(60.0, 50.0)] * 10, half_life=10.0)
    before = scores.errors(0, 0).count
    scores.update([0], np.array([[[60.0]]]), np.array([[50.0]]), 3.0)
    assert scores.errors(0, 0).count == pytest.approx(before + 1)


def test_mape_skips_measurements_of_nothing() -> None:
    found = scored([(5.0, 0.0), (90.0, 100.0), (1.0, 0.0)]).errors(0, 0)
    assert found.mape == pytest.approx(10.0)
    assert math.isnan(scored([(5.0, 0.0)]).errors(0, 0).mape)
    with_rounding = scored([(5.0, 1e-9), (90.0, 100.0), (1.0, 5e-324)]).errors(0, 0)
    assert with_rounding.mape == pytest.approx(10.0)


@pytest.mark.parametrize("level", [0.0, 50.0, 1e5, 0.1])
def test_r2_of_what_never_varies_is_unknown(level: float) -> None:
    assert math.isnan(scored([(level + 1, level)] * 20).errors(0, 0).r2)


def test_r2_is_exact_at_a_high_level() -> None:
    samples = [(1e6 + step, 1e6 + step + 0.1 * (-1) ** step) for step in range(100)]
    estimated, measured = np.array(samples).T
    exact = 1 - ((estimated - measured) ** 2).sum() / ((measured - measured.mean()) ** 2).sum()
    assert scored(samples).errors(0, 0).r2 == pytest.approx(exact, rel=1e-6)


def test_the_mean_explains_nothing_and_the_truth_all() -> None:
    measured = [10.0, 20.0, 30.0]
    assert scored([(20.0, value) for value in measured]).errors(0, 0).r2 == pytest.approx(0.0)
    assert scored([(value, value) for value in measured]).errors(0, 0).r2 == pytest.approx(1.0)


def test_nothing_scored_is_nothing_known() -> None:
    found = Scores(1, 1).errors(0, 0)
    assert found.count == 0
    assert all(math.isnan(value) for value in (found.mae, found.rmse, found.mape, found.r2))


def test_horizons_and_components_are_kept_apart() -> None:
    scores = Scores(3, 2)
    measured = np.array([[50.0, 5.0], [60.0, 6.0]])
    near, far = measured + np.array([1.0, 2.0]), measured + np.array([3.0, 4.0])
    scores.update([0, 2], np.array([near, far]), measured, 0.0)
    scores.update([0], far[None], measured, 1.0)
    means = [[scores.errors(horizon, part).mae for part in (0, 1)] for horizon in (0, 2)]
    assert means == [[2.0, 3.0], [3.0, 4.0]]
    assert scores.errors(0, 0).count == 4
    assert scores.errors(2, 0).count == 2
    assert scores.errors(1, 0).count == 0


@given(pairs, pairs)
def test_goes_on_from_its_state(
    before: list[tuple[float, float]], after: list[tuple[float, float]]
) -> None:
    scores, again = scored(before, half_life=7.0), Scores(1, 1, 7.0)
    again.restore(plain.load(plain.dump(scores.state())))
    for each in (scores, again):
        for estimated, measured in after:
            each.update([0], np.array([[[estimated]]]), np.array([[measured]]), 99.0)
    assert plain.dump(again.state()) == plain.dump(scores.state())


def test_json_has_null_for_what_is_unknown() -> None:
    errors = Errors(count=2.0, mae=1.0, rmse=1.0, mape=math.nan, r2=math.nan, bias=-1.0)
    text = json.dumps(as_json(errors), allow_nan=False)
    assert json.loads(text) == {
        "count": 2.0,
        "mae": 1.0,
        "rmse": 1.0,
        "mape": None,
        "r2": None,
        "bias": -1.0,
    }
