"""What models make of a real machine: an Intel Xeon under load, 2,202 samples of 3 s."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from estimator.arrays import Floats
from estimator.artifacts.frozen import MARGIN
from estimator.learning.model import PowerModel
from estimator.regressors.batch import Round
from estimator.vocabulary import HORIZONS
from stream.analysis.evaluate import evaluate
from stream.learning.pools import pool
from stream.sources.trace import TraceSource

TRACE = Path(__file__).parents[4] / "shared/data/nx12/rapl_basic.csv"
FEATURES = ("bpf_cpu_time_us", "cache_miss", "cpu_cycles", "cpu_instructions")
COMPONENTS = ("package", "dram")

pytestmark = pytest.mark.skipif(
    not TRACE.exists(), reason="needs ../shared/data/nx12/rapl_basic.csv"
)


def report() -> dict[str, Any]:
    return evaluate(TraceSource(TRACE, features=FEATURES), pool(groups={"trace": FEATURES}))


@cache
def first_report() -> dict[str, Any]:
    return report()


def columns(*names: str) -> Floats:
    with TRACE.open(newline="") as file:
        return np.array([[float(row[name]) for name in names] for row in csv.DictReader(file)])


def test_next_sample_errors_are_small() -> None:
    found = first_report()
    assert found["samples"] == 2202
    assert found["components"]["package"]["mae"] <= 3.1
    assert found["components"]["dram"]["mae"] <= 1.05


@pytest.mark.parametrize(
    ("component", "most"), [("package", (7.8, 12.5, 16.5)), ("dram", (1.42, 2.05, 4.15))]
)
def test_served_errors_are_small(component: str, most: tuple[float, ...]) -> None:
    served = first_report()["components"][component]["served"]
    assert list(served) == [str(horizon) for horizon in HORIZONS[1:]]
    for found, limit in zip(served.values(), most, strict=True):
        assert found["mae"] <= limit


def test_no_error_is_larger_than_the_range_that_was_shown() -> None:
    at = (1000 * columns("timestamp")[:, 0]).astype(int).tolist()
    rates, watts = columns(*FEATURES), columns(*(f"{name}_power" for name in COMPONENTS))
    model = PowerModel(FEATURES, COMPONENTS, pool().banks)
    said = model.learn_rounds(
        [Round(rates[place][None], watts[place][None], at[place]) for place in range(len(at))]
    )
    for place in range(51, len(at)):
        estimated = said[place]
        assert estimated is not None
        shown = watts[:place].max(axis=0) - watts[:place].min(axis=0)
        assert (np.abs(estimated[0] - watts[place]) <= shown).all()


def test_components_that_are_always_zero_are_left_out() -> None:
    assert set(first_report()["components"]) == set(COMPONENTS)


def test_the_same_trace_gives_the_same_report() -> None:
    timing = ("seconds", "samples_per_second")
    one, other = (
        {name: value for name, value in found.items() if name not in timing}
        for found in (first_report(), report())
    )
    assert one == other


def test_every_estimate_at_every_horizon_is_within_the_guards() -> None:
    at = (1000 * columns("timestamp")[:, 0]).astype(int).tolist()
    rates, watts = columns(*FEATURES), columns(*(f"{name}_power" for name in COMPONENTS))
    model = PowerModel(FEATURES, COMPONENTS, pool().banks)
    estimates = 0
    for place in range(len(at)):
        row, measured = rates[place : place + 1], watts[place : place + 1]
        if model.current is not None:
            floor = watts[:place].min(axis=0)
            ceiling = watts[:place].max(axis=0) * (1 + MARGIN)
            for horizon in range(len(HORIZONS)):
                estimated = model.current.predict_many(row, horizon)
                assert (estimated >= floor).all()
                assert (estimated <= ceiling).all()
                estimates += 1
        model.learn_round(row, measured, at[place])
    assert estimates == 4 * (len(at) - 1)
