from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.regressors.nonnegative import bounded_least_squares


def problem(seed: int, terms: int, targets: int) -> tuple[Floats, Floats]:
    """Sums of a ridge regression: features within 0 and 1, some alike, watts of any sign."""
    rng = np.random.default_rng(seed)
    z = rng.uniform(0, 1, (30, terms))
    z[:, 0] = 1.0
    if terms > 2:
        z[:, -1] = z[:, 1] + rng.normal(0, rng.choice([1.0, 1e-2]), 30)
    y = z @ rng.normal(0, 50, (terms, targets)) + rng.normal(0, 5, (30, targets))
    a = z.T @ z
    a[np.arange(1, terms), np.arange(1, terms)] += 1e-3 * len(z)
    return a, z.T @ y


@given(
    st.integers(0, 100_000),
    st.integers(1, 8),
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 30.0, np.inf]),
)
def test_solutions_are_optimal(seed: int, terms: int, targets: int, bound: float) -> None:
    a, b = problem(seed, terms, targets)
    greatest = np.full(b.shape, np.inf)
    greatest[0] = bound
    found = bounded_least_squares(a, b, greatest)
    assert (found >= 0).all()
    assert (found <= greatest).all()
    # Karush, Kuhn and Tucker: no step that the bounds allow goes down.
    slope = a @ found - b
    tolerance = 1e-9 * np.abs(b).max()
    assert (slope[found < greatest] >= -tolerance).all()
    assert (slope[found > 0] <= tolerance).all()


@given(st.integers(0, 1000))
def test_within_the_bounds_it_is_least_squares(seed: int) -> None:
    a, _ = problem(seed, 4, 2)
    inside = np.random.default_rng(seed).uniform(1, 50, (4, 2))
    found = bounded_least_squares(a, a @ inside, np.full((4, 2), np.inf))
    np.testing.assert_allclose(found, inside, rtol=1e-5)


def test_twins_share_what_they_explain() -> None:
    a = np.array([[10.0, 5.0, 5.0], [5.0, 4.01, 4.0], [5.0, 4.0, 4.01]])
    found = bounded_least_squares(a, a @ np.array([[3.0], [2.0], [2.0]]), np.full((3, 1), np.inf))
    assert found[:, 0].tolist() == pytest.approx([3.0, 2.0, 2.0], abs=1e-4)
