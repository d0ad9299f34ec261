from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.artifacts.kepler_curves import EXPONENTIAL, LOGARITHMIC, LOGISTIC, Curve
from estimator.learning.model import PowerModel
from estimator.published.kepler_weights import evaluate_as_kepler
from estimator.regressors.curves import HALF_LIFE_SECONDS, CurveBank
from stream.learning import plain
from stream.learning.pools import pool

FEATURES = ["cache_miss", "bpf_cpu_time_ms"]
RATES = np.linspace(0, 4000, 401)
FREE = np.array([np.inf])

# The contract's test vectors: scale 4000, and what Kepler's Go code makes of a rate.
VECTORS = {
    LOGISTIC: ([80.0, 0.5, 8.0, 40.0], {2000: 80_000, 3000: 110_463, 0: 41_438}),
    LOGARITHMIC: ([30.0, 9.0, 45.0], {2000: 96_142, 4000: 114_077, 0: 45_000}),
    EXPONENTIAL: ([20.0, 1.5, 30.0], {2000: 72_340, 4000: 119_633, 0: 50_000}),
}


def said(trainer: str, curve: Curve, rate: float) -> float:
    """What Kepler says, in milliwatts."""
    model = {
        "Numerical_Variables": {curve.feature: {"scale": curve.scale}},
        "CurveFit_Weights": curve.weights,
    }
    weights = {"model_name": f"{trainer}_1", "platform": {"All_Weights": model}}
    return evaluate_as_kepler(weights, {curve.feature: rate})["platform"]


def taught(watts: Floats, rates: Floats = RATES) -> CurveBank:
    bank = CurveBank(FEATURES, ["platform"])
    order = np.random.default_rng(1).permutation(len(rates))
    for at, place in enumerate(order.tolist()):
        rows = np.array([[1e6, rates[place]]])
        bank.learn_many(rows, np.array([[watts[place]]]), 3.0 * at)
    return bank


@pytest.mark.parametrize("trainer", VECTORS)
def test_the_contracts_curves_are_found_from_their_samples(trainer: str) -> None:
    weights, vectors = VECTORS[trainer]
    truth = Curve("bpf_cpu_time_ms", 4000.0, weights)
    watts = np.array([said(trainer, truth, float(rate)) / 1000 for rate in RATES])
    (found,) = taught(watts).curves(FREE)[trainer]
    for rate, milliwatts in vectors.items():
        assert said(trainer, truth, rate) == milliwatts
        assert said(trainer, found, rate) == pytest.approx(milliwatts, abs=1500)


def test_each_of_the_three_has_keplers_number_of_weights() -> None:
    curves = taught(40 + RATES / 100).curves(FREE)
    assert {name: len(found[0].weights) for name, found in curves.items()} == {
        LOGISTIC: 4,
        LOGARITHMIC: 3,
        EXPONENTIAL: 3,
    }
    assert {found[0].feature for found in curves.values()} == {"bpf_cpu_time_ms"}


def test_a_line_is_met_by_each_within_a_few_watts() -> None:
    for trainer, (found,) in taught(40 + RATES / 50).curves(FREE).items():
        for rate in (0.0, 1000.0, 3900.0):
            assert said(trainer, found, rate) / 1000 == pytest.approx(40 + rate / 50, abs=5)


@given(
    st.lists(st.tuples(st.floats(0, 1e12), st.floats(0, 1e4)), min_size=1, max_size=20),
    st.floats(0, 100),
)
@example([(1e-194, 0.0)], 0.0)
@settings(max_examples=25)
def test_no_curve_is_ever_negative_and_at_rest_it_says_little(
    samples: list[tuple[float, float]], most: float
) -> None:
    bank = CurveBank(FEATURES, ["platform"])
    for at, (rate, watts) in enumerate(samples):
        bank.learn_many(np.array([[0.0, rate]]), np.array([[watts]]), float(at))
    for trainer, (found,) in bank.curves(np.array([most])).items():
        assert all(map(math.isfinite, found.weights))
        assert found.scale > 0
        for rate in (0.0, 1.0, 0.5 * found.scale, found.scale):
            # Kepler makes 1.8e19 of what is negative; the rounding of a zero is none of it.
            assert said(trainer, found, rate) <= 2e9 + 1e6
        assert said(trainer, found, 0.0) <= 1000 * most + 1


def test_the_past_is_forgotten_by_event_time() -> None:
    bank = taught(40 + RATES / 100)
    rows = np.stack([np.zeros(401), RATES], axis=1)
    bank.learn_many(rows, 80 + RATES[:, None] / 100, 20 * HALF_LIFE_SECONDS)
    (found,) = bank.curves(FREE)[LOGARITHMIC]
    assert said(LOGARITHMIC, found, 2000.0) == pytest.approx(100_000, abs=3000)


def test_those_of_shards_add_up_also_at_other_scales() -> None:
    rates, low = RATES, RATES[RATES < 900]
    both = taught(40 + np.concatenate([rates, low]) / 100, np.concatenate([rates, low]))
    merged = CurveBank(FEATURES, ["platform"])
    for part in (taught(40 + low / 100, low), taught(40 + rates / 100)):
        merged.absorb(part, 0.5)
    for trainer, (found,) in merged.curves(FREE).items():
        (other,) = both.curves(FREE)[trainer]
        for rate in (0.0, 1500.0, 3500.0):
            assert said(trainer, found, rate) == pytest.approx(said(trainer, other, rate), rel=0.02)


def test_goes_on_from_its_state() -> None:
    one, other = taught(40 + RATES / 100), CurveBank(FEATURES, ["platform"])
    other.restore(plain.load(plain.dump(one.state())))
    for each in (one, other):
        each.learn_many(np.array([[0.0, 9000.0]]), np.array([[99.0]]), 1e4)
    assert plain.dump(one.state()) == plain.dump(other.state())


def test_without_a_main_feature_there_is_no_curve() -> None:
    bank = CurveBank(["cache_miss"], ["platform"])
    bank.learn_many(np.ones((1, 1)), np.ones((1, 1)), 0.0)
    assert bank.curves(FREE) == {}
    assert CurveBank(FEATURES, ["platform"]).curves(FREE) == {}


def test_models_predict_as_if_there_were_no_curves() -> None:
    plainly = PowerModel(FEATURES, ["platform"], pool(["ridge", "linear"]).banks)
    curved = PowerModel(FEATURES, ["platform"], pool(["ridge", "curves", "linear"]).banks)
    rng = np.random.default_rng(1)
    for at in range(30):
        rows = rng.uniform(0, 1, (1, 2)) * [1e6, 4000]
        watts = 40 + rows[:, 1:] / 100
        one, other = (each.learn_round(rows, watts, 3000 * at) for each in (plainly, curved))
        assert (one is None and other is None) or np.array_equal(one, other)  # type: ignore[arg-type]
    assert plainly.curves() == {}
    assert set(curved.curves()) == set(VECTORS)
