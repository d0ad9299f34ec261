"""Models of shards made one: what adds up is added, as if one shard had seen all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.artifacts.frozen import FrozenPolynomials, FrozenTrees, mixed
from estimator.learning.model import PowerModel
from estimator.regressors.moments import Moments
from stream.learning.pools import pool

FEATURES, COMPONENTS = ["bpf_cpu_time_ms", "cache_miss"], ["package", "dram"]


def model(*banks: str) -> PowerModel:
    return PowerModel(FEATURES, COMPONENTS, pool(banks or ("ridge",)).banks)


def samples(count: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0, 1, (count, 2)) * [6e4, 1e7]
    noise = rng.normal(0, 1, (count, 2))
    return rows, np.stack([50 + rows[:, 0] / 1e3, 10 + rows[:, 1] / 1e6], axis=1) + noise


def taught(rounds: int, *banks: str) -> tuple[PowerModel, PowerModel, PowerModel]:
    """Two models that each learned every other sample, and one that learned them all."""
    one, other, both = model(*banks), model(*banks), model(*banks)
    for number in range(rounds):
        rows, watts = samples(2, number)
        at = 3000 * number
        one.learn_round(rows[:1], watts[:1], at)
        other.learn_round(rows[1:], watts[1:], at)
        both.learn_round(rows, watts, at)
    return one, other, both


def test_ridges_of_two_shards_are_those_of_one_that_saw_all() -> None:
    one, other, both = taught(200)
    merged = one.merged([other])
    assert merged.current is not None
    assert both.current is not None
    ours, theirs = merged.current.banks[0], both.current.banks[0]
    assert isinstance(ours, FrozenPolynomials)
    assert isinstance(theirs, FrozenPolynomials)
    curves = slice(0, -1)  # not the level of the last, which is mixed by shares
    np.testing.assert_allclose(
        ours.coefficients[curves], theirs.coefficients[curves], rtol=1e-9, atol=1e-9
    )
    np.testing.assert_array_equal(merged.current.floor, both.current.floor)
    np.testing.assert_array_equal(merged.current.ceiling, both.current.ceiling)
    np.testing.assert_array_equal(merged.current.seen, both.current.seen)
    assert merged.samples == both.samples
    assert merged.since == both.since


def test_lines_for_kepler_are_those_of_one_that_saw_all() -> None:
    one, other, both = taught(100)
    for ours, theirs in zip(one.merged([other]).lines() or (), both.lines() or (), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_errors_are_those_of_both_together() -> None:
    one, other, _ = taught(100)
    merged = one.merged([other])
    for component in range(2):
        ours = merged.assessment.recent.errors(0, component)
        parts = [each.assessment.recent.errors(0, component) for each in (one, other)]
        assert ours.count == pytest.approx(sum(part.count for part in parts))
        mae = sum(part.count * part.mae for part in parts) / ours.count
        assert ours.mae == pytest.approx(mae)
        assert 0.5 < ours.r2 <= 1.0


def test_merging_changes_neither() -> None:
    one, other, _ = taught(50, "ridge", "linear")
    before = [repr(part.state()) for part in (one, other)]
    one.merged([other])
    assert [repr(part.state()) for part in (one, other)] == before


def test_estimates_of_all_banks_are_finite_and_near() -> None:
    one, other, both = taught(80, "ridge", "linear")
    merged = one.merged([other]).current
    assert merged is not None
    assert both.current is not None
    rows, watts = samples(50, 9_999)
    wrong = np.abs(merged.predict_many(rows) - watts).mean()
    assert wrong < 1.3 * np.abs(both.current.predict_many(rows) - watts).mean()


def test_a_shard_that_has_learned_nothing_adds_nothing() -> None:
    one, _, _ = taught(20)
    merged = one.merged([model()])
    assert merged.current is not None
    assert one.current is not None
    rows, _ = samples(10, 1)
    np.testing.assert_allclose(
        merged.current.predict_many(rows), one.current.predict_many(rows), rtol=1e-9
    )


@settings(max_examples=50)
@given(
    st.lists(st.floats(1e-6, 1e9), min_size=2, max_size=12),
    st.integers(1, 11),
    st.floats(0, 600),
)
def test_sums_add_whatever_the_scales_and_times(
    values: list[float], cut: int, apart: float
) -> None:
    rows = np.array(values)[:, None]
    watts = np.arange(len(values), dtype=float)[:, None]
    cut = min(cut, len(values) - 1)
    one, other, both = (Moments(1, 1, (40.0, 300.0), 2) for _ in range(3))
    one.add(rows[:cut], watts[:cut], 0.0)
    other.add(rows[cut:], watts[cut:], apart)
    both.add(rows[:cut], watts[:cut], 0.0)
    both.add(rows[cut:], watts[cut:], apart)
    one.absorb(other)
    np.testing.assert_allclose(one.a, both.a, rtol=1e-9)
    np.testing.assert_allclose(one.b, both.b, rtol=1e-9)
    np.testing.assert_array_equal(one.scales, both.scales)


def test_forests_are_put_beside_each_other() -> None:
    def stump(watts: float) -> FrozenTrees:
        leaf = np.array([-1])
        zero = np.zeros(1, dtype=np.int64)
        return FrozenTrees(leaf, np.zeros(1), zero, zero, np.array([watts]), np.array([[0]]))

    both = mixed(stump(10.0), stump(30.0), 0.5)
    assert both.predict_many(np.zeros((1, 1))).tolist() == [[[20.0]]]


def test_lines_are_averaged_by_share_whatever_their_scales() -> None:
    def line(scale: float, watts: float) -> FrozenPolynomials:
        return FrozenPolynomials(np.array([scale]), np.array([[[1.0], [watts]]]), 1)

    both = mixed(line(2.0, 4.0), line(4.0, 16.0), 0.25)
    assert both.predict_many(np.array([[8.0]]))[0, 0, 0] == pytest.approx(1 + 0.75 * 16 + 0.25 * 32)
