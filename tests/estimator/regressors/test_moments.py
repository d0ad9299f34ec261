from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.artifacts.expansion import expansion
from estimator.regressors.moments import Moments
from stream.learning import plain
from tests.estimator.regressors.samples import Samples, samples

PENALTY = 1e-4
HALF_LIVES = (40.0, 1800.0)


def learned(
    data: Samples, half_lives: tuple[float, ...] = HALF_LIVES, order: int = 2, copies: int = 1
) -> Moments:
    moments = Moments(data.rows.shape[1], data.watts.shape[1], half_lives, order)
    for row, watts, at in zip(*data, strict=True):
        moments.add(np.tile(row, (copies, 1)), np.tile(watts, (copies, 1)), float(at))
    return moments


def predict(moments: Moments, rows: Floats, half_life: int = 0) -> Floats:
    terms = moments.expansion.expand(rows / moments.frozen_scales())
    watts: Floats = terms @ moments.solve(PENALTY)[1][half_life]
    return watts


def batch_ridge(terms: Floats, watts: Floats, weights: Floats) -> Floats:
    """Weighted ridge regression as least squares of a longer problem: no normal equations."""
    count = terms.shape[1]
    penalties = np.sqrt(np.diag(np.full(count, PENALTY * weights.sum())))
    penalties[0, 0] = 0.0
    root = np.sqrt(weights)[:, None]
    long = np.vstack([root * terms, penalties]), np.vstack([root * watts, np.zeros((count, 2))])
    return np.asarray(np.linalg.lstsq(*long)[0])


@pytest.mark.parametrize("order", [1, 2])
@given(seed=st.integers(0, 10_000))
def test_solutions_are_those_of_the_weighted_batch(order: int, seed: int) -> None:
    data = samples(seed)
    moments = learned(data, order=order)
    scaled = data.rows / moments.frozen_scales()
    lines, curves = moments.solve(PENALTY)
    for number, half_life in enumerate(HALF_LIVES):
        weights = 0.5 ** ((data.at_seconds[-1] - data.at_seconds) / half_life)
        for found, terms in (
            (lines[number], expansion(3, 1).expand(scaled)),
            (curves[number], expansion(3, order).expand(scaled)),
        ):
            exact = batch_ridge(terms, data.watts, weights)
            np.testing.assert_allclose(terms @ found, terms @ exact, rtol=1e-7)
            np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-4)


def test_a_line_is_the_linear_part_of_the_same_sums() -> None:
    data = samples(1)
    lines, _ = learned(data, order=2).solve(PENALTY)
    alone, same = learned(data, order=1).solve(PENALTY)
    np.testing.assert_allclose(lines, alone, rtol=1e-9)
    assert same is alone


@given(st.lists(st.floats(1e-9, 1e12), min_size=1, max_size=12), st.integers(0, 100))
def test_a_range_that_grows_costs_not_one_bit(rates: list[float], seed: int) -> None:
    rows = np.array([[rate, rate**0.5] for rate in rates])
    watts = np.random.default_rng(seed).uniform(0, 100, (len(rows), 1))
    grown, known = Moments(2, 1, HALF_LIVES, 2), Moments(2, 1, HALF_LIVES, 2)
    known.restore({**known.state(), "scales": np.exp2(np.ceil(np.log2(rows.max(axis=0))))})
    for at, (row, target) in enumerate(zip(rows, watts, strict=True)):
        grown.add(row[None], target[None], float(at))
        known.add(row[None], target[None], float(at))
    assert np.array_equal(grown.frozen_scales(), known.frozen_scales())
    assert np.array_equal(grown.a, known.a)
    assert np.array_equal(grown.b, known.b)


def test_scales_are_powers_of_two_that_hold_every_value() -> None:
    moments = learned(samples(1))
    scales = moments.frozen_scales()
    assert np.array_equal(np.exp2(np.round(np.log2(scales))), scales)
    greatest = samples(1).rows.max(axis=0)
    assert ((greatest <= scales) & (scales < 2 * greatest)).all()


def test_negative_features_have_scales_too() -> None:
    rows = np.array([[-1e9], [-5e8], [5e8], [2e9], [0.0]])
    watts = 50.0 + rows / 1e8
    moments = Moments(1, 1, (1e9,), 1)
    for at, (row, target) in enumerate(zip(rows, watts, strict=True)):
        moments.add(row[None], target[None], float(at))
    np.testing.assert_allclose(predict(moments, rows), watts, atol=0.1)


@given(st.integers(0, 1000), st.sampled_from([2, 4, 64]))
def test_nodes_that_repeat_another_change_nothing(seed: int, copies: int) -> None:
    data = samples(seed)
    one, many = learned(data), learned(data, copies=copies)
    for half_life in range(len(HALF_LIVES)):
        np.testing.assert_allclose(
            predict(many, data.rows, half_life), predict(one, data.rows, half_life), rtol=1e-9
        )


@pytest.mark.parametrize("half_life", [60.0, 300.0])
@pytest.mark.parametrize("step", [0.5, 1.0, 3.0, 10.0, 20.0])
def test_half_lives_mean_the_same_at_any_rate(half_life: float, step: float) -> None:
    # The watts jump from 0 to 100; one half-life later the old and the new weigh the same.
    moments = Moments(1, 1, (half_life,), 1)
    jump = 15 * half_life
    for at in np.arange(step, jump + half_life + step / 2, step):
        moments.add(np.ones((1, 1)), np.array([[100.0 if at > jump else 0.0]]), float(at))
    assert predict(moments, np.ones((1, 1)))[0, 0] == pytest.approx(50.0, abs=0.1)


@pytest.mark.parametrize("seconds", [1e4, 1e9])
def test_after_a_long_silence_the_old_is_known_and_the_new_is_learned(seconds: float) -> None:
    data = samples(1)
    moments = learned(data)
    before = predict(moments, data.rows)
    at = float(data.at_seconds[-1]) + seconds
    moments.add(data.rows[:1], np.array([[500.0, 5.0]]), at)
    np.testing.assert_allclose(predict(moments, data.rows[:1]), [[500.0, 5.0]], rtol=1e-2)
    assert np.isfinite(predict(moments, data.rows)).all()
    silent = learned(data)
    silent._forget(at)
    np.testing.assert_allclose(predict(silent, data.rows), before, rtol=1e-6)


def test_a_late_sample_is_learned_as_if_it_were_new() -> None:
    data = samples(1)
    late, new = learned(data), learned(data)
    latest = float(data.at_seconds[-1])
    late.add(data.rows[:1], data.watts[:1], latest - 1e6)
    new.add(data.rows[:1], data.watts[:1], latest)
    assert plain.dump(late.state()) == plain.dump(new.state())


@given(st.integers(0, 1000))
def test_shards_add_up_to_the_joined_stream(seed: int) -> None:
    data = samples(seed, count=40)
    joined = learned(data)
    shards = []
    for number in (0, 1):
        shard = Moments(3, 2, HALF_LIVES, 2)
        for place, (row, watts, at) in enumerate(zip(*data, strict=True)):
            if place % 2 == number:
                shard.add(row[None], watts[None], float(at))
        shard._forget(float(data.at_seconds[-1]))
        shard._rescale(joined.scales)
        shards.append(shard)
    for one, other in zip(shards, shards[::-1], strict=True):
        np.testing.assert_allclose(one.a + other.a, joined.a, rtol=1e-12)
        np.testing.assert_allclose(one.b + other.b, joined.b, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(1e-9, 1e-9), (1e12, 1e12), (1e-9, 1e12), (1.0, 3e10)])
def test_features_may_be_of_any_size(sizes: Sequence[float]) -> None:
    usage = np.random.default_rng(1).uniform(0, 1, (100, 2))
    watts = 20.0 + usage @ np.array([[30.0], [60.0]])
    moments = Moments(2, 1, (1e6,), 2)
    for at, (row, target) in enumerate(zip(usage * sizes, watts, strict=True)):
        moments.add(row[None], target[None], float(at))
    np.testing.assert_allclose(predict(moments, usage * sizes), watts, atol=1.0)


@given(st.integers(-30, 40), st.integers(0, 100))
def test_units_that_are_powers_of_two_change_not_one_bit(power: int, seed: int) -> None:
    data = samples(seed, features=1, components=1)
    factor = 2.0**power
    other = learned(data._replace(rows=data.rows * factor))
    assert np.array_equal(predict(other, data.rows * factor), predict(learned(data), data.rows))


@pytest.mark.parametrize(
    "odd",
    [
        lambda rows: np.full(len(rows), 7.0),
        lambda rows: np.zeros(len(rows)),
        lambda rows: rows[:, 0],
        lambda rows: 3 * rows[:, 0] + 1,
    ],
    ids=["constant", "always zero", "identical", "dependent"],
)
def test_a_feature_that_says_nothing_new_does_no_harm(odd: object) -> None:
    assert callable(odd)
    data = samples(3, noise=0.0)
    more = data._replace(rows=np.column_stack([data.rows, odd(data.rows)]))
    plainly = np.abs(predict(learned(data), data.rows) - data.watts).mean()
    oddly = np.abs(predict(learned(more), more.rows) - data.watts).mean()
    assert oddly < plainly + 0.2


def test_what_was_never_learned_is_told_by_no_feature() -> None:
    moments = Moments(2, 1, (300.0,), 2)
    moments.add(np.zeros((3, 2)), np.full((3, 1), 42.0), 0.0)
    assert predict(moments, np.array([[0.0, 0.0], [9.0, 9.0]])).tolist() == [[42.0], [42.0]]


@given(st.integers(0, 1000))
def test_goes_on_from_its_state(seed: int) -> None:
    data = samples(seed)
    moments, again = learned(data), Moments(3, 2, HALF_LIVES, 2)
    again.restore(plain.load(plain.dump(moments.state())))
    for each in (moments, again):
        each.add(data.rows[:2] * 10, data.watts[:2], 1e4)
    assert plain.dump(again.state()) == plain.dump(moments.state())


def test_having_forgotten_each_half_life_has_the_weight_of_the_next_shorter_one() -> None:
    data = samples(4)
    moments = learned(data)
    before = predict(moments, data.rows)
    weights = np.sort(moments.a[:, 0, 0])
    moments.forget()
    np.testing.assert_allclose(np.sort(moments.a[:, 0, 0]), [weights[0], *weights[:-1]])
    # What was known is still said: only what comes now weighs more against it.
    np.testing.assert_allclose(predict(moments, data.rows), before, rtol=1e-6, atol=1e-6)


def test_what_comes_after_forgetting_soon_outweighs_what_was_before() -> None:
    forgetful, faithful = (Moments(1, 1, (40.0, 1800.0), 1) for _ in range(2))
    rng = np.random.default_rng(1)
    for at, load in enumerate(rng.uniform(0, 1, 600)):
        for each in (forgetful, faithful):
            each.add(np.array([[load]]), np.array([[50 + 30 * load]]), 3.0 * at)
    forgetful.forget()
    for at, load in enumerate(rng.uniform(0, 1, 40), start=600):
        for each in (forgetful, faithful):
            each.add(np.array([[load]]), np.array([[65 + 30 * load]]), 3.0 * at)
    new, old = (each.solve(1e-4)[0][1] for each in (forgetful, faithful))
    assert float(new[0, 0]) > 59.0
    assert float(old[0, 0]) < 53.0


def test_forgetting_nothing_is_allowed() -> None:
    moments = Moments(2, 1, HALF_LIVES, 2)
    moments.forget()
    assert not moments.a.any()
