from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.frozen import FrozenModel
from estimator.serving import ServedModel
from estimator.vocabulary import HORIZONS
from tests.estimator.artifacts import made_model
from tests.estimator.served import BUSIEST, entry

RATES = st.floats(0.0, 1e12)


def models() -> list[FrozenModel]:
    """Polynomials alone, with a forest, and with many features; learned ones of few and many."""
    return [
        made_model(2, 4, 0, trees=False),
        made_model(3, 2, 1, trees=True),
        made_model(14, 3, 2, trees=True),
        made_model(3, 2, 3, trees=True, neighbours=True),
        entry().model,
        entry(features=tuple(BUSIEST)).model,
    ]


@settings(deadline=None)
@given(st.data())
def test_it_says_what_the_model_says(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    features = model.seen.shape[1]
    row = st.lists(RATES, min_size=features, max_size=features)
    rows = data.draw(st.lists(row | st.just([0.0] * features), min_size=1, max_size=5))
    horizon = data.draw(st.integers(0, len(HORIZONS) - 1))
    served = ServedModel(model, horizon)
    wanted = model.predict_many(np.array(rows), horizon)
    np.testing.assert_allclose(served.predict_many(np.array(rows)), wanted, rtol=1e-9)
    for one, watts in zip(rows, wanted, strict=True):
        np.testing.assert_allclose(served.predict_one(one), watts, rtol=1e-9)


MODELS = models()


@pytest.mark.parametrize("model", MODELS)
def test_experts_without_a_say_are_not_asked(model: FrozenModel) -> None:
    weights = np.zeros_like(model.weights)
    weights[:, 0] = 1.0
    alone = FrozenModel.restore({**model.state(), "weights": weights})
    rows = np.linspace(0.0, 1.0, 7)[:, None] * model.seen[1]
    served = ServedModel(alone, 1)
    assert served._weighing.shape[0] == model.weights.shape[2]
    np.testing.assert_allclose(served.predict_many(rows), alone.predict_many(rows, 1), rtol=1e-9)


def test_an_expert_that_has_lost_its_way_counts_as_saying_the_least() -> None:
    model = made_model(2, 2, 0, trees=False)
    model.banks[0].coefficients[0] = np.nan  # type: ignore[attr-defined]  # polynomials
    model = FrozenModel.restore(model.state())
    rows = np.array([[1.0, 2.0], [0.0, 0.0]])
    served = ServedModel(model, 0)
    assert np.isfinite(served.predict_many(rows)).all()
    np.testing.assert_allclose(served.predict_one([1.0, 2.0]), model.predict_many(rows)[0])


def test_no_rows_are_no_watts() -> None:
    assert ServedModel(MODELS[1], 0).predict_many(np.empty((0, 3))).shape == (0, 2)
