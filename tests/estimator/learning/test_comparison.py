from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.artifacts.frozen import horizon_for_age
from estimator.learning.comparison import FEWEST, SURE, WILD, Comparison, compare, served
from estimator.learning.recent_samples import Samples
from tests.estimator.artifacts.made import made_model

SPACING_MS = 6_000


def times(count: int) -> np.ndarray:
    return 1_700_000_000_000 + SPACING_MS * np.arange(count)


def noisy(sigma: float, count: int = 100, components: int = 2, seed: int = 0) -> Floats:
    """Estimates of 100 W that are wrong by chance."""
    rng = np.random.default_rng([seed, round(sigma * 1000)])
    return 100.0 + rng.normal(0, sigma, (count, components))


def compared(one: Floats, other: Floats) -> Comparison:
    found = compare(one, other, np.full_like(one, 100.0), times(len(one)))
    assert found is not None
    return found


def test_the_same_estimates_are_equally_good() -> None:
    assert compared(noisy(3), noisy(3)) == Comparison(0.0, 0.0, 0.0, 100)


def test_three_times_as_wrong_is_surely_worse_and_a_third_surely_not() -> None:
    found = compared(noisy(9), noisy(3))
    assert found.excess == pytest.approx(2.0, abs=0.5)
    assert 0.05 < found.least < found.excess < found.most
    assert compared(noisy(3), noisy(9)).most < 0


def test_equally_wrong_by_chance_is_not_surely_anything() -> None:
    sure = [compared(noisy(3, seed=n), noisy(3.001, seed=n)) for n in range(200)]
    assert not [found for found in sure if found.least > 0.05]
    assert abs(np.mean([found.excess for found in sure])) < 0.05


def test_few_samples_say_nothing() -> None:
    def of(count: int) -> Comparison | None:
        one, other = noisy(9, count), noisy(3, count)
        return compare(one, other, np.full_like(one, 100.0), times(count))

    assert of(0) is None
    assert of(FEWEST - 1) is None
    assert of(FEWEST) is not None


def test_samples_that_come_once_a_minute_are_as_good_as_others() -> None:
    one, other = noisy(9), noisy(3)
    at = 1_700_000_000_000 + 60_000 * np.arange(100)
    found = compare(one, other, np.full_like(one, 100.0), at)
    assert found is not None
    assert found.least > 0.05


def test_where_each_sample_is_like_the_one_before_nothing_is_sure() -> None:
    angle = np.arange(100)[:, None] / 12  # slow, and no chance in it
    found = compared(110.0 + 8.0 * np.sin(angle), 110.0 + 4.0 * np.cos(angle))
    assert (found.least, found.most) == (-math.inf, math.inf)
    assert math.isfinite(found.excess)
    assert found.among == 100


def test_where_one_turns_bad_it_is_sure_although_its_errors_resemble_each_other() -> None:
    other = noisy(2, components=1)
    one = other.copy()
    one[70:] += 30.0 + 10.0 * np.sin(np.arange(30)[:, None] / 12)  # three minutes of 6 s
    found = compared(one, other)
    assert found.least > 0.05


def test_what_is_very_wrong_half_of_the_time_is_worse() -> None:
    other = noisy(2, components=1)
    one = np.full((100, 1), 100.0)
    one[np.arange(100) // 5 % 2 == 0] += 40.0
    assert compared(one, other).least > 0.05


@pytest.mark.parametrize("wild", [1, 2, 3])
def test_a_few_wild_samples_decide_nothing_even_beside_what_is_never_wrong(wild: int) -> None:
    one, other = np.full((100, 1), 100.0), np.full((100, 1), 100.0)
    one[-wild:] += 1e4
    assert compared(one, other).least <= 0.0


def test_a_component_that_nobody_gets_wrong_decides_nothing() -> None:
    one, other = noisy(3), noisy(3)
    one[:, 1] = 100.0 + 0.01
    other[:, 1] = 100.0
    assert compared(one, other).least < 0.05
    zero = np.zeros((100, 1))
    assert compare(zero, zero, zero, times(100)) == Comparison(0.0, 0.0, 0.0, 100)


def test_the_recent_past_counts_for_more() -> None:
    turned = np.concatenate([noisy(3)[:60], noisy(9)[60:]])
    assert compared(turned, noisy(3.001)).excess > 2 * compared(turned[::-1], noisy(3.001)).excess


def test_a_meter_that_raves_makes_neither_worse() -> None:
    one, other, measured = noisy(3), noisy(3.001), np.full((100, 2), 100.0)
    measured[40:60] = 1e6
    found = compare(one, other, measured, times(100))
    assert found is not None
    assert found.least < 0.05
    assert math.isfinite(found.most)
    # And does not hide what is worse all the time.
    found = compare(noisy(15), other, measured, times(100))
    assert found is not None
    assert found.least > 0.05


@settings(deadline=None)
@given(st.integers(0, 99), st.floats(0, 1e6), st.integers(0, 50), st.sampled_from([1, 2]))
def test_one_sample_decides_nothing(place: int, wild: float, seed: int, components: int) -> None:
    one = noisy(3, seed=seed, components=components)
    other = one.copy()
    one[place] += wild
    assert compared(one, other).least <= 0.0


watts = st.floats(0, 1e5)


@settings(deadline=None)
@given(st.lists(st.tuples(watts, watts, watts, st.integers(0, 10**5)), min_size=20, max_size=60))
def test_it_is_finite_in_order_and_says_the_same_again(
    samples: list[tuple[float, float, float, int]],
) -> None:
    one, other, measured = (
        np.array(part)[:, None] for part in list(zip(*samples, strict=True))[:3]
    )
    at = 1_700_000_000_000 + np.cumsum([passed for *_, passed in samples])
    found = compare(one, other, measured, at)
    assert found == compare(one, other, measured, at)
    if found is not None:
        assert math.isfinite(found.excess)
        assert not math.isnan(found.least)
        assert found.least <= found.excess <= found.most
        # What nobody can know for sure: that it is more than the bound of a single error allows.
        assert found.excess <= max(WILD) * 1e3 * SURE


def test_a_version_is_asked_as_it_is_served_at_its_age() -> None:
    model = made_model(2, 1, seed=4, trees=False)
    ages = np.array([-5, 1, 40, 100, 290, 700, 5_000, 10**6])
    rows = np.random.default_rng(1).uniform(0, 4000, (len(ages), 2))
    nothing = np.zeros((len(ages), 1))
    found = served(model, Samples(model.at + 1000 * ages, rows, nothing, nothing))
    expected = [
        model.predict_many(row[None], horizon_for_age(max(int(age), 0)))[0]
        for row, age in zip(rows, ages, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
