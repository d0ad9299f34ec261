from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.learning.model import PowerModel
from estimator.regressors.batch import Round
from estimator.regressors.prior import FIRST_SAMPLES, Prior
from stream.learning.pools import pool

FEATURES = ("bpf_cpu_time_ms",)
LOADS = np.linspace(0.0, 8000.0, 9)[:, None]
PRIOR = Prior("another", LOADS, 90.0 + LOADS * 0.01, 0.5)
"""80 W from rest to full load, at a height that is nobody's business."""


def truth(rows: Floats) -> Floats:
    return 40.0 + rows * 0.01


def rounds(loads: Sequence[float], watts: Any = truth) -> list[Round]:
    rows = [np.array([[load]]) for load in loads]
    return [Round(row, watts(row), 3000 * number) for number, row in enumerate(rows)]


def model(prior: Prior | None = PRIOR, banks: Sequence[str] = ("ridge",)) -> PowerModel:
    made = PowerModel(FEATURES, ("package",), pool(banks).banks)
    if prior is not None:
        made.start_from(prior)
    return made


def test_with_one_sample_it_knows_how_power_grows_beyond_it() -> None:
    started, empty = model(), model(None)
    for one in (started, empty):
        one.learn_rounds(rounds([500.0, 520.0, 480.0]))
    asked = {"bpf_cpu_time_ms": 3000.0}
    assert started.predict_one(asked)["package"] == pytest.approx(70.0, abs=8.0)
    assert empty.predict_one(asked)["package"] < 50.0


def test_its_height_is_the_machines_own() -> None:
    started = model()
    started.learn_rounds(rounds([500.0]))
    assert started.predict_one({"bpf_cpu_time_ms": 500.0})["package"] == pytest.approx(
        45.0, abs=0.1
    )


@pytest.mark.parametrize("slope", [0.0, 0.002, 0.03, -0.01])
def test_a_prior_that_is_wrong_is_left_behind(slope: float) -> None:
    rng = np.random.default_rng(1)
    loads = rng.uniform(0, 8000, 200).tolist()

    def watts(rows: Floats) -> Floats:
        return 120.0 + rows * slope

    wrong, empty = model(), model(None)
    errors = []
    for one in (wrong, empty):
        said = one.learn_rounds(rounds(loads, watts))
        found = [
            abs(a - b.watts).item()
            for a, b in zip(said, rounds(loads, watts), strict=True)
            if a is not None
        ]
        errors.append(np.mean(found[50:]))
    # It is bounded by the 0.1 W that 80 W of prior weigh among 50 samples, and fades.
    assert errors[0] <= errors[1] + 0.1


def test_from_then_on_it_stays_within_what_the_machine_has_shown() -> None:
    started = model()
    started.learn_rounds(rounds([500.0 + n for n in range(FIRST_SAMPLES)]))
    most = max(one.watts.item() for one in rounds([500.0 + FIRST_SAMPLES]))
    assert started.predict_one({"bpf_cpu_time_ms": 8000.0})["package"] <= 1.1 * most
    assert started.current is not None
    assert started.current.seen[1, 0] == 500.0 + FIRST_SAMPLES - 1


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 1e4), min_size=3, max_size=40),
    st.lists(st.floats(0, 500), min_size=40, max_size=40),
    st.integers(1, 39),
)
def test_the_same_bits_however_it_is_batched_and_after_a_restart(
    loads: list[float], watts: list[float], cut: int
) -> None:
    every = [
        one._replace(watts=np.array([[power]]))
        for one, power in zip(rounds(loads), watts, strict=False)
    ]
    at_once, one_by_one, restarted = model(), model(), model()
    at_once.learn_rounds(every)
    for one in every:
        one_by_one.learn_round(*one)
    restarted.learn_rounds(every[:cut])
    again = model(None)
    again.restore(restarted.state())
    again.learn_rounds(every[cut:]) if every[cut:] else None
    asked = np.array([[0.0], [10.0], [4000.0], [1e5]])
    for other in (one_by_one, again):
        assert at_once.current is not None
        assert other.current is not None
        assert (other.current.predict_many(asked) == at_once.current.predict_many(asked)).all()


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 1e9, allow_subnormal=False), st.floats(0, 1e4)),
        min_size=1,
        max_size=30,
    )
)
def test_whatever_comes_estimates_are_finite_and_not_negative(
    samples: list[tuple[float, float]],
) -> None:
    started = model(banks=("ridge", "neighbours"))
    for number, (load, watts) in enumerate(samples):
        started.learn_round(np.array([[load]]), np.array([[watts]]), 3000 * number)
        assert started.current is not None
        said = started.current.predict_many(np.array([[0.0], [load], [1e12]]))
        assert np.isfinite(said).all()
        assert (said >= 0).all()


def test_models_of_shards_that_started_are_merged() -> None:
    one, other = model(), model()
    one.learn_rounds(rounds([500.0, 510.0]))
    other.learn_rounds(rounds([600.0, 610.0]))
    merged = one.merged([other])
    said = merged.predict_one({"bpf_cpu_time_ms": 3000.0})["package"]
    assert said == pytest.approx(70.0, abs=8.0)


def test_a_state_without_a_prior_has_no_trace_of_it() -> None:
    empty = model(None)
    empty.learn_rounds(rounds([1.0]))
    assert "reach" not in empty.state()
    started = model()
    started.learn_rounds(rounds([1.0]))
    assert "reach" in started.state()
