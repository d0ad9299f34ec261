from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.artifacts.chunks import Chunks
from estimator.artifacts.frozen import FrozenModel, FrozenPolynomials
from estimator.learning.snapshots import SPACING, Snapshots
from estimator.vocabulary import HORIZONS
from stream.learning import plain

SERVED = HORIZONS[1:]


def frozen(at: int) -> FrozenModel:
    one = np.ones(1)
    return FrozenModel(
        banks=[FrozenPolynomials(one, np.ones((1, 2, 1)), order=1)],
        weights=np.ones((len(HORIZONS), 1, 1)),
        idle=one,
        floor=one,
        ceiling=one,
        seen=np.ones((2, 1)),
        at=at,
    )


def served(times: list[int], horizon: int) -> list[tuple[int, FrozenModel | None]]:
    """When it was asked, and the model that was served; each sample is learned after that."""
    snapshots, answers = Snapshots(horizon), []
    for at in times:
        answers.append((at, snapshots.as_of(at)))
        snapshots.keep(frozen(at))
    return answers


@given(
    st.sampled_from(SERVED),
    st.lists(st.integers(500, 20_000), min_size=10, max_size=300),
)
def test_serves_the_model_of_one_horizon_ago_or_one_that_is_little_older(
    horizon: int, steps: list[int]
) -> None:
    times = list(itertools.accumulate(steps, initial=1_700_000_000_000))
    next_after = dict(itertools.pairwise(times))
    for at, model in served(times, horizon):
        wanted = at - 1000 * horizon
        if model is None:
            assert wanted < times[0]
            continue
        assert model.at <= wanted
        was_current = next_after[model.at] > wanted
        assert was_current or wanted - model.at <= SPACING * 1000 * horizon


@pytest.mark.parametrize("horizon", SERVED)
@pytest.mark.parametrize("step_ms", [500, 700, 1000, 2900, 3000])
def test_at_the_pace_of_live_sources_served_ages_are_right_to_within_5_percent(
    horizon: int, step_ms: int
) -> None:
    times = list(range(0, 2 * horizon * 1000, step_ms))
    ages = [at - model.at for at, model in served(times, horizon) if model is not None]
    assert ages
    assert min(ages) >= 1000 * horizon
    assert max(ages) <= 1000 * horizon * (1 + SPACING)


@pytest.mark.parametrize("horizon", SERVED)
@pytest.mark.parametrize("step_ms", [10, 500, 20_000])
def test_remembers_no_more_than_it_needs(horizon: int, step_ms: int) -> None:
    snapshots = Snapshots(horizon)
    for at in range(0, 3 * horizon * 1000, step_ms):
        snapshots.as_of(at)
        snapshots.keep(frozen(at))
    assert len(snapshots.state(Chunks())["kept"]) <= 2 / SPACING + 3


def test_after_a_long_silence_the_last_model_is_served() -> None:
    snapshots = Snapshots(60)
    for at in range(0, 300_000, 3000):
        snapshots.as_of(at)
        snapshots.keep(frozen(at))
    model = snapshots.as_of(10**9)
    assert model is not None
    assert model.at == 297_000


def test_goes_on_from_its_state() -> None:
    snapshots, again = Snapshots(60), Snapshots(60)
    for at in range(0, 90_000, 3000):
        snapshots.keep(frozen(at))
    again.restore(plain.load(plain.dump(snapshots.state(Chunks()))), Chunks())
    for at in range(90_000, 200_000, 3000):
        found = []
        for each in (snapshots, again):
            model = each.as_of(at)
            assert model is not None
            found.append(model.at)
            each.keep(frozen(at))
        assert found[0] == found[1]
    assert plain.dump(again.state(Chunks())) == plain.dump(snapshots.state(Chunks()))
