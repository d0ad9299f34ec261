from __future__ import annotations

import numpy as np
import pytest

from estimator.arrays import Floats
from estimator.learning.drift import SETTLING_ROUNDS, USUAL_ROUNDS, Detection, Drift
from stream.learning import plain

GREATEST = np.array([200.0, 40.0])


def errors(count: int, package: float, dram: float, seed: int = 1) -> Floats:
    """Absolute errors in watts, as heavy-tailed as those of real traces."""
    rng = np.random.default_rng(seed)
    return rng.lognormal(0.0, 0.8, (count, 2)) * [package, dram]


def observed(drift: Drift, wrong: Floats, start: int = 0) -> list[Detection]:
    greatest = GREATEST.tolist()
    found = [drift.observe(one, greatest, start + 3000 * n) for n, one in enumerate(wrong.tolist())]
    return [one for one in found if one is not None]


def test_errors_that_rise_for_good_are_a_drift_of_their_component() -> None:
    drift = Drift(2)
    assert observed(drift, errors(600, 1.0, 0.5)) == []
    (found,) = observed(drift, errors(60, 1.0, 15.0, seed=2), start=10_000_000)
    assert found.component == 1
    assert found.before == pytest.approx(0.5 * np.exp(0.32), rel=0.3)
    assert found.after > 3 * found.before
    assert 10_000_000 < found.at <= 10_000_000 + 75_000
    assert drift.count == 1
    assert drift.last == found


@pytest.mark.parametrize("seed", range(3))
def test_steady_errors_are_no_drift(seed: int) -> None:
    assert observed(Drift(2), errors(5000, 1.0, 0.2, seed)) == []


def test_one_wild_error_is_no_drift() -> None:
    drift = Drift(2)
    observed(drift, errors(600, 1.0, 0.5))
    assert observed(drift, np.array([[1e6, 1e6]])) == []
    assert observed(drift, errors(600, 1.0, 0.5, seed=2)) == []


def test_a_model_that_has_just_begun_does_not_drift() -> None:
    wrong = errors(SETTLING_ROUNDS + USUAL_ROUNDS, 1.0, 0.5)
    wrong[:SETTLING_ROUNDS] *= 100
    assert observed(Drift(2), wrong) == []


def test_errors_below_what_matters_are_no_drift() -> None:
    drift = Drift(2)
    assert observed(drift, errors(600, 1e-4, 1e-5)) == []
    assert observed(drift, errors(600, 0.02, 0.004, seed=2)) == []


def test_restored_it_goes_on_bit_for_bit() -> None:
    wrong = np.concatenate([errors(400, 1.0, 0.5), errors(60, 20.0, 0.5, seed=2)])
    one, other = Drift(2), Drift(2)
    observed(one, wrong[:395])
    other.restore(plain.load(plain.dump(one.state())))
    assert observed(one, wrong[395:]) == observed(other, wrong[395:])
    assert one.count == 1
    assert plain.dump(one.state()) == plain.dump(other.state())


def test_merged_counts_are_those_of_both_and_the_last_is_the_later() -> None:
    one, other = Drift(2), Drift(2)
    for drift, start in ((one, 0), (other, 5_000)):
        observed(drift, errors(400, 1.0, 0.5), start)
        observed(drift, errors(60, 20.0, 0.5, seed=2), start + 1_200_000)
    merged = Drift(2)
    merged.absorb(one)
    merged.absorb(other)
    merged.absorb(Drift(2))
    assert merged.count == 2
    assert merged.last == other.last
