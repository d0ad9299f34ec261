"""However rounds are batched, what is learned is the same to the last bit."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.learning.model import PowerModel
from estimator.regressors.batch import Batch, Round
from stream.learning import plain
from stream.learning.pools import BANKS, pool

FEATURES, COMPONENTS = ["bpf_cpu_time_ms", "cache_miss", "cpu_cycles"], ["package", "dram"]
START_MS = 1_700_000_000_000


@st.composite
def traces(draw: st.DrawFn) -> list[Round]:
    """A machine or a small fleet, with pauses, late rounds, repeated samples and wild readings."""
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    alone = draw(st.booleans())
    at, made = START_MS, []
    for _ in range(draw(st.integers(2, 40))):
        size = 1 if alone else int(rng.integers(1, 12))
        load = rng.choice([0.0, 0.01, 0.5, 1.0, rng.uniform()])
        rows = load * rng.uniform(0.5, 1.0, (size, 3)) * [64e3, 1e9, 1e11]
        watts = 50.0 + 150.0 * rows[:, :1] / 64e3 + rng.normal(0, 1, (size, 2))
        watts[watts < 0] = 0.0
        if rng.uniform() < 0.03:
            watts[0] = 1e6
        if size > 1 and rng.uniform() < 0.2:
            rows[1], watts[1] = rows[0], watts[0]
        at += int(rng.choice([0, 1000, 3000, 3000, 3000, 60_000, -5000, 1_300_000]))
        made.append(Round(rows, watts, at))
    return made


def learned(rounds: list[Round], cuts: list[int], banks: tuple[str, ...]) -> tuple[bytes, bytes]:
    """All that a model is, and all that it said, having learned the rounds cut at those places."""
    model = PowerModel(FEATURES, COMPONENTS, pool(banks).banks)
    said: list[Floats | None] = []
    for first, last in pairwise([0, *cuts, len(rounds)]):
        said += model.learn_rounds(rounds[first:last]) if last > first else []
    estimated = {"said": [None if one is None else one.copy() for one in said]}
    return plain.dump(model.state()), plain.dump(estimated)


@settings(max_examples=20, deadline=None)
@given(traces(), st.lists(st.integers(0, 60), max_size=6))
@pytest.mark.parametrize("banks", [("ridge", "neighbours"), ("ridge",), ("linear", "neighbours")])
def test_models_are_the_same_however_rounds_are_batched(
    banks: tuple[str, ...], rounds: list[Round], cuts: list[int]
) -> None:
    cut = sorted(place for place in cuts if place < len(rounds))
    one_by_one = list(range(1, len(rounds)))
    assert learned(rounds, cut, banks) == learned(rounds, one_by_one, banks)


def stepped(size: int) -> list[Round]:
    """A machine, or so many, whose idle power rises by 100 W after 240 rounds, of 300."""
    rng, made = np.random.default_rng(1), []
    for number in range(300):
        rows = rng.uniform(0, 1, (size, 3)) * [64e3, 1e9, 1e11]
        idle = 50.0 + 100.0 * (number >= 240)
        watts = idle + 150.0 * rows[:, :1] / 64e3 + rng.normal(0, 0.2, (size, 2))
        made.append(Round(rows, watts, START_MS + 3000 * number))
    return made


@cache
def before_the_step(size: int, banks: tuple[str, ...]) -> bytes:
    """The state of a model that has learned what was before the step."""
    model = PowerModel(FEATURES, COMPONENTS, pool(banks).banks)
    model.learn_rounds(stepped(size)[:235])
    assert model.assessment.drift.count == 0
    return plain.dump(model.state())


def after_the_step(size: int, banks: tuple[str, ...], cuts: list[int]) -> tuple[bytes, list[int]]:
    """The state after it, what is left having been cut at those places; the rounds of drifts."""
    model = PowerModel(FEATURES, COMPONENTS, pool(banks).banks)
    model.restore(plain.load(before_the_step(size, banks)))
    rounds, lessons = stepped(size)[235:], []
    for first, last in pairwise([0, *cuts, len(rounds)]):
        lessons += model.lessons(rounds[first:last]) if last > first else []
    found = [number for number, lesson in enumerate(lessons) if lesson.drift is not None]
    assert [lessons[number].drift for number in found][-1:] == [model.assessment.drift.last]
    return plain.dump(model.state()), found


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(0, 65), max_size=5))
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("banks", [("ridge", "neighbours"), ("ridge", "linear", "curves")])
def test_what_follows_a_drift_in_a_batch_is_learned_as_if_it_came_alone(
    banks: tuple[str, ...], size: int, cuts: list[int]
) -> None:
    one_by_one, drifts = after_the_step(size, banks, list(range(1, 65)))
    assert len(drifts) == 1
    assert 5 <= drifts[0] < 25
    assert after_the_step(size, banks, sorted(cuts)) == (one_by_one, drifts)


def test_every_bank_can_be_batched() -> None:
    rounds = [
        Round(
            np.full((1, 3), 10.0 * number), np.full((1, 2), 50.0 + number), START_MS + 3000 * number
        )
        for number in range(5)
    ]
    for name in BANKS:
        banks = ("ridge", name) if name == "curves" else (name,)
        assert learned(rounds, [2], banks) == learned(rounds, [1, 2, 3, 4], banks)


def test_a_batch_knows_the_rows_of_its_rounds() -> None:
    two, one = np.array([[1.0], [5.0]]), np.array([[3.0]])
    batch = Batch([Round(two, two, 1), Round(one, one, 2)])
    assert (len(batch), batch.alone, batch.starts) == (2, False, [0, 2, 3])
    assert batch.least(batch.rows).tolist() == [[1.0], [3.0]]
    assert batch.greatest(batch.rows).tolist() == [[5.0], [3.0]]
    assert batch.means(batch.rows).tolist() == [[3.0], [3.0]]
    assert batch.times(batch.rows, np.array([[[2.0]], [[4.0]]])).tolist() == [[2.0], [10.0], [12.0]]
    assert Batch([Round(one, one, 1)]).alone
