from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.artifacts.frozen import MARGIN
from estimator.learning.model import PowerModel
from estimator.regressors.bank import Bank
from estimator.regressors.banks import BankMaker
from estimator.regressors.neighbours import NeighbourBank
from estimator.regressors.ridge import RidgeBank
from estimator.regressors.river_bank import amf_bank, linear_bank
from estimator.vocabulary import HORIZONS
from stream.learning import plain

FEATURES = ("bpf_cpu_time_ms", "cpu_scaling_frequency_hertz")
COMPONENTS = ("package", "dram")
START_MS = 1_700_000_000_000


def ridge(features: Sequence[str], components: Sequence[str]) -> Bank:
    return RidgeBank(len(features), len(components))


def neighbours(features: Sequence[str], components: Sequence[str]) -> Bank:
    return NeighbourBank(len(features), len(components), window=20)


BANKS: Mapping[str, BankMaker] = {
    "ridge": ridge,
    "neighbours": neighbours,
    "linear": linear_bank,
}


class Round(NamedTuple):
    rows: Floats
    watts: Floats
    at: int


@st.composite
def rounds(draw: st.DrawFn, most: int = 12) -> list[Round]:
    """Anything that the join lets through: rates and watts are finite and not negative."""
    rate = st.one_of(st.just(0.0), st.floats(0, 1e12), st.sampled_from([1e-9, 1.0, 3e9]))
    power = st.one_of(st.just(0.0), st.floats(0, 1e4), st.just(50.0))
    at, made = START_MS, []
    for _ in range(draw(st.integers(1, most))):
        size = draw(st.integers(1, 3))
        rows = draw(st.lists(st.tuples(rate, rate), min_size=size, max_size=size))
        watts = draw(st.lists(st.tuples(power, power), min_size=size, max_size=size))
        at += draw(st.sampled_from([-100_000_000, -3000, 0, 1, 3000, 70_000, 1_300_000, 10**10]))
        made.append(Round(np.array(rows), np.array(watts), max(at, 0)))
    return made


def steady(count: int, start: int = START_MS, seed: int = 1) -> list[Round]:
    """A node every 3 s, every tenth sample idle at 20 W and 5 W."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        load = 0.0 if number % 10 == 0 else rng.uniform(0.1, 1.0)
        rows = np.array([[load * 16_000, 3e9]])
        watts = np.array([[20.0 + 80 * load, 5.0 + 7 * load]]) + rng.normal(0, 0.1, (1, 2))
        made.append(Round(rows, watts, start + 3000 * number))
    return made


def learned(samples: list[Round], banks: Mapping[str, BankMaker] = BANKS) -> PowerModel:
    model = PowerModel(FEATURES, COMPONENTS, banks)
    for sample in samples:
        model.learn_round(*sample)
    return model


@given(rounds())
def test_estimates_stay_within_what_the_machine_has_shown(samples: list[Round]) -> None:
    model = PowerModel(FEATURES, COMPONENTS, BANKS)
    floor, ceiling = np.full(2, np.inf), np.zeros(2)
    for rows, watts, at in samples:
        estimated = model.learn_round(rows, watts, at)
        if estimated is not None:
            assert estimated.shape == watts.shape
            assert (estimated >= floor).all()
            assert (estimated <= ceiling * (1 + MARGIN)).all()
        floor = np.minimum(floor, watts.min(axis=0))
        ceiling = np.maximum(ceiling, watts.max(axis=0))
    assert model.current is not None
    asked = np.array([[0.0, 0.0], [1e15, 1e15], [1e-12, 0.0], [5e3, 2e9]])
    for horizon in range(len(HORIZONS)):
        said = model.current.predict_many(asked, horizon)
        assert (said >= floor).all()
        assert (said <= ceiling * (1 + MARGIN)).all()
    assert model.samples + model.outliers == sum(len(sample.rows) for sample in samples)


@given(rounds(most=6), rounds(most=6))
def test_goes_on_from_its_state_bit_for_bit(before: list[Round], after: list[Round]) -> None:
    model = learned(before)
    again = PowerModel(FEATURES, COMPONENTS, BANKS)
    again.restore(plain.load(plain.dump(model.state())))
    assert plain.dump(again.state()) == plain.dump(model.state())
    for sample in after:
        one, other = (each.learn_round(*sample) for each in (model, again))
        assert one is not None
        assert other is not None
        assert np.array_equal(one, other)
    assert plain.dump(again.state()) == plain.dump(model.state())


def test_goes_on_from_its_state_through_every_horizon() -> None:
    samples = steady(900)
    model = learned(samples[:450])
    again = PowerModel(FEATURES, COMPONENTS, BANKS)
    again.restore(plain.load(plain.dump(model.state())))
    for sample in samples[450:]:
        for each in (model, again):
            each.learn_round(*sample)
    assert plain.dump(again.state()) == plain.dump(model.state())


def test_goes_on_from_its_state_with_a_forest() -> None:
    banks = {"ridge": ridge, "amf": amf_bank}
    samples = steady(30)
    model, again = learned(samples[:17], banks), PowerModel(FEATURES, COMPONENTS, banks)
    again.restore(plain.load(plain.dump(model.state())))
    for sample in samples[17:]:
        for each in (model, again):
            each.learn_round(*sample)
    assert plain.dump(again.state()) == plain.dump(model.state())


def test_a_model_that_was_never_taught_goes_on_too() -> None:
    again = PowerModel(FEATURES, COMPONENTS, BANKS)
    again.restore(plain.load(plain.dump(learned([]).state())))
    assert again.current is None
    assert again.learn_round(*steady(1)[0]) is None


class TestBeforeLearning:
    def test_it_says_nothing(self) -> None:
        model = PowerModel(FEATURES, COMPONENTS, BANKS)
        assert model.predict_one(dict.fromkeys(FEATURES, 1.0)) == {}
        assert model.current is None
        assert model.since is None

    def test_the_first_round_is_learned_and_not_scored(self) -> None:
        model = PowerModel(FEATURES, COMPONENTS, BANKS)
        first, second = steady(2)
        assert model.learn_round(*first) is None
        assert model.assessment.total.errors(0, 0).count == 0
        assert model.learn_round(*second) is not None
        assert model.assessment.total.errors(0, 0).count == 1
        assert model.since == START_MS


class TestIdle:
    def test_zero_rows_are_answered_with_idle_power(self) -> None:
        said = learned(steady(200)).predict_one(dict.fromkeys(FEATURES, 0.0))
        assert said["package"] == pytest.approx(20.0, abs=0.5)
        assert said["dram"] == pytest.approx(5.0, abs=0.5)

    def test_one_low_reading_is_not_idle_power(self) -> None:
        samples = steady(200)
        samples[100] = samples[100]._replace(watts=np.array([[3.0, 1.0]]))
        assert learned(samples).predict_one(dict.fromkeys(FEATURES, 0.0))["package"] > 19.0

    def test_never_seen_idle_is_the_least_that_was_seen(self) -> None:
        samples = [sample for sample in steady(100) if sample.rows[0, 0] > 0.06 * 16_000]
        least = min(float(sample.watts[0, 0]) for sample in samples)
        said = learned(samples).predict_one(dict.fromkeys(FEATURES, 0.0))
        assert said["package"] == least


def test_learns_what_the_machine_does() -> None:
    model = learned(steady(600))
    said = model.predict_one({"bpf_cpu_time_ms": 8000.0, "cpu_scaling_frequency_hertz": 3e9})
    assert said == {"package": pytest.approx(60.0, abs=1.0), "dram": pytest.approx(8.5, abs=0.5)}
    assert model.assessment.total.errors(0, 0).mae < 1.5
    assert model.assessment.recent.errors(0, 0).mae < 0.5


def test_the_next_sample_is_predicted_before_it_is_learned() -> None:
    model = learned(steady(100))
    row = np.array([[8000.0, 3e9]])
    assert model.current is not None
    before = model.current.predict_many(row)
    estimated = model.learn_round(row, np.array([[500.0, 50.0]]), START_MS + 300_000)
    assert estimated is not None
    assert np.array_equal(estimated, before)


def test_rows_beyond_the_range_are_counted() -> None:
    model = learned(steady(50))
    before = model.clipped
    rows = np.array([[1e9, 3e9], [8000.0, 3e9]])
    model.learn_round(rows, np.array([[90.0, 9.0], [60.0, 8.0]]), START_MS + 10**6)
    assert model.clipped == before + 1


def test_nodes_of_one_type_are_learned_together() -> None:
    one, many = learned(steady(100)), PowerModel(FEATURES, COMPONENTS, BANKS)
    for rows, watts, at in steady(100):
        many.learn_round(np.tile(rows, (4, 1)), np.tile(watts, (4, 1)), at)
    rows = np.array([[8000.0, 3e9], [100.0, 3e9]])
    assert one.current is not None
    assert many.current is not None
    np.testing.assert_allclose(
        many.current.predict_many(rows), one.current.predict_many(rows), rtol=1e-6
    )
    assert many.assessment.total.errors(0, 0).count == 4 * one.assessment.total.errors(0, 0).count


def test_a_component_that_was_never_positive_is_known() -> None:
    samples = [sample._replace(watts=sample.watts * np.array([1.0, 0.0])) for sample in steady(20)]
    model = learned(samples)
    assert [model.ever_positive(number) for number in (0, 1)] == [True, False]
    assert model.predict_one(dict.fromkeys(FEATURES, 100.0))["dram"] == 0.0


class TestLines:
    def test_come_from_the_bank_that_can_make_them(self) -> None:
        model = learned(steady(200), {"linear": linear_bank, "ridge": ridge})
        found = model.lines()
        assert found is not None
        bias, weights, scales = found
        said = bias + np.array([8000.0, 3e9]) / scales @ weights
        np.testing.assert_allclose(said, [60.0, 8.5], rtol=0.05)

    def test_begin_no_higher_than_the_least_that_was_seen(self) -> None:
        samples = steady(200)
        found = learned(samples).lines()
        assert found is not None
        least = np.min([sample.watts[0] for sample in samples], axis=0)
        assert (found[0] <= least).all()

    def test_are_none_without_such_a_bank(self) -> None:
        assert learned(steady(10), {"linear": linear_bank}).lines() is None


def test_experts_are_named_in_the_order_of_their_weights() -> None:
    model = learned(steady(20))
    assert model.experts[-1] == "linear"
    assert len(set(model.experts)) == len(model.experts)
    assert model.current is not None
    assert model.current.weights.shape == (len(HORIZONS), len(model.experts), len(COMPONENTS))
    assert model.current.opinions(np.ones((3, 2))).shape == (3, len(model.experts), 2)


class TestDrift:
    def test_a_step_in_idle_power_is_noticed_and_followed_by_the_long_memories(self) -> None:
        model = learned(steady(600))
        assert model.assessment.drift.count == 0
        for rows, watts, at in steady(100, START_MS + 1_800_000, seed=2):
            model.learn_round(rows, watts + np.array([40.0, 0.0]), at)
            if model.assessment.drift.count:
                break
        assert model.assessment.drift.last is not None
        assert model.assessment.drift.last.component == 0
        assert model.assessment.drift.last.at <= START_MS + 1_800_000 + 75_000

    def test_the_idle_level_follows_within_a_few_idle_samples(self) -> None:
        model = learned(steady(600))
        for rows, watts, at in steady(100, START_MS + 1_800_000, seed=2):
            model.learn_round(rows, watts + np.array([40.0, 0.0]), at)
        assert model.current is not None
        assert model.current.idle[0] == pytest.approx(60.0, abs=1.0)

    def test_without_one_nothing_is_forgotten(self) -> None:
        assert learned(steady(1500)).assessment.drift.count == 0
