from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.artifacts.artifact_layout import CHECKS
from estimator.artifacts.frozen import FrozenModel
from estimator.artifacts.frozen_curves import FrozenCurves
from estimator.artifacts.kepler_curves import CURVE_TRAINERS, LOGISTIC
from estimator.isolation.lowered import LOWERED, lowered
from estimator.regressors.batch import Batch, Round
from estimator.regressors.neighbours import NeighbourBank
from estimator.regressors.ridge import RidgeBank
from estimator.vocabulary import HORIZONS
from tests.estimator.artifacts.made import made_model


def test_every_kind_of_experts_can_say_less() -> None:
    assert set(LOWERED) == set(CHECKS)


@pytest.mark.parametrize("horizon", range(len(HORIZONS)))
def test_it_says_the_level_less_but_nothing_below_0(horizon: int) -> None:
    model = made_model(3, 2, seed=4, trees=True, neighbours=True)
    model.floor, level = np.array([0.0, 0.0]), np.array([30.0, 7.0])
    rows = np.random.default_rng(2).uniform(0.0, 4500.0, (200, 3))
    before = [bank.predict_many(np.minimum(rows, model.seen[1])) for bank in model.banks]
    found = lowered(model, level)
    after = [bank.predict_many(np.minimum(rows, model.seen[1])) for bank in found.banks]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_allclose(other, one - level, atol=1e-8)
    watts = found.predict_many(rows, horizon)
    assert (watts >= 0.0).all()
    assert (watts <= 1.1 * (model.ceiling - level) + 1e-9).all()
    # Where no expert is held back by a bound, what the model says is the level less.
    said = np.concatenate(before, axis=1)
    free = ((said > level) & (said < (model.ceiling - level) + level)).all(axis=1)
    assert free.any()
    whole = model.predict_many(rows, horizon)
    np.testing.assert_allclose(watts[free], (whole - level)[free], atol=1e-8)


def test_zeros_are_nothing_and_the_other_stays_as_it_was() -> None:
    model = made_model(2, 1, seed=1, trees=True, neighbours=True)
    rows = np.random.default_rng(0).uniform(0.0, 4000.0, (20, 2))
    before = model.predict_many(rows)
    found = lowered(model, np.array([500.0]))
    assert found.predict_many(np.zeros((2, 2))).tolist() == [[0.0], [0.0]]
    assert found.predict_many(rows).tolist() == [[0.0]] * 20  # more than was ever drawn
    assert model.predict_many(rows).tobytes() == before.tobytes()
    assert FrozenModel.restore(found.state()).predict_many(rows).tolist() == [[0.0]] * 20


@pytest.mark.parametrize("form", CURVE_TRAINERS)
def test_curves_are_lowered_by_their_offset(form: str) -> None:
    weights = np.array([[40.0, 0.3, 2.0, 90.0], [20.0, 0.6, 1.0, 30.0]])
    if form != LOGISTIC:
        weights = np.delete(weights, 1, axis=1)
    curves = FrozenCurves(form, np.array([0, 1]), np.array([100.0, 7.0]), weights)
    model = FrozenModel(
        [curves],
        np.ones((len(HORIZONS), 1, 2)),
        np.array([90.0, 30.0]),
        np.array([80.0, 20.0]),
        np.array([500.0, 400.0]),
        np.array([[0.0, 0.0], [100.0, 7.0]]),
        0,
    )
    rows, level = np.random.default_rng(1).uniform(0, 1, (20, 2)) * [100, 7], np.array([30.0, 5.0])
    found = lowered(model, level).banks[0].predict_many(rows)
    np.testing.assert_allclose(found, curves.predict_many(rows) - level, atol=1e-9)


@settings(max_examples=30)
@given(st.integers(0, 1000), st.floats(0.0, 60.0), st.sampled_from([RidgeBank, NeighbourBank]))
def test_it_is_what_would_have_been_learned_of_the_watts_above(
    seed: int, level: float, kind: type[RidgeBank | NeighbourBank]
) -> None:
    """Isolated first and learned then, as kepler-model-server does, or the other way round."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0.0, 1e9, (80, 2)) * [1.0, 1e-6]
    watts = 40.0 + rows @ [[4e-8], [2e-2]] + 1e-8 * rows[:, :1] * rows[:, 1:] * 1e-3
    watts += rng.normal(0.0, 1.0, watts.shape)
    whole, above = kind(2, 1), kind(2, 1)
    for number, (row, drawn) in enumerate(zip(rows, watts, strict=True)):
        at = 1_700_000_000_000 + 3000 * number
        whole.learn_rounds(Batch([Round(row[None], drawn[None], at)]))
        above.learn_rounds(Batch([Round(row[None], drawn[None] - level, at)]))
    seen = np.stack([rows.min(axis=0), rows.max(axis=0)])
    model = FrozenModel(
        [whole.freeze()],
        np.ones((1, len(whole.names), 1)),
        np.zeros(1),
        np.zeros(1),
        watts.max(axis=0),
        seen,
        0,
    )
    asked = rng.uniform(seen[0], seen[1], (20, 2))
    found = lowered(model, np.array([level])).banks[0].predict_many(asked)
    np.testing.assert_allclose(found, above.freeze().predict_many(asked), atol=1e-5)
