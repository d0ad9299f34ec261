from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.artifacts.frozen import FrozenModel
from estimator.artifacts.frozen_neighbours import EXPERTS, FrozenNeighbours
from estimator.artifacts.serving import MOST_NEAR, ServedModel
from estimator.vocabulary import HORIZONS
from stream.learning.pools import DEFAULT_BANKS, pool
from tests.estimator.artifacts.made import made_model
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
        entry(rounds=40, banks=pool(DEFAULT_BANKS).banks).model,
        entry(rounds=400, banks=pool(("neighbours",)).banks).model,
    ]


@settings(deadline=None)
@given(st.data())
def test_it_says_what_the_model_says(data: st.DataObject) -> None:
    model = data.draw(st.sampled_from(MODELS))
    features = model.seen.shape[1]
    row = st.lists(RATES, min_size=features, max_size=features)
    rows = data.draw(st.lists(row | st.just([0.0] * features), min_size=1, max_size=MOST_NEAR))
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
    experts = len(EXPERTS) if type(model.banks[0]) is FrozenNeighbours else 1
    assert served._few._weighing.shape[0] == experts * model.weights.shape[2]
    np.testing.assert_allclose(served.predict_many(rows), alone.predict_many(rows, 1), rtol=1e-9)


def test_of_many_rows_neighbours_are_not_asked_and_the_others_share_their_say() -> None:
    model = MODELS[3]
    rows = np.linspace(0.01, 1.0, MOST_NEAR + 1)[:, None] * model.seen[1]
    others = [place for place, bank in enumerate(model.banks) if type(bank) is not FrozenNeighbours]
    state, banks = model.state(), [model.banks[place].state() for place in others]
    weights = model.weights[:, : len(others) + 1]
    weights = weights / weights.sum(axis=1, keepdims=True)
    without = FrozenModel.restore({**state, "banks": banks, "weights": weights})
    served = ServedModel(model, 2)
    np.testing.assert_allclose(served.predict_many(rows), without.predict_many(rows, 2), rtol=1e-9)
    few = served.predict_many(rows[:MOST_NEAR])
    np.testing.assert_allclose(few, model.predict_many(rows[:MOST_NEAR], 2), rtol=1e-9)
    assert not np.allclose(few, without.predict_many(rows[:MOST_NEAR], 2))


def test_neighbours_alone_answer_however_many_rows() -> None:
    model = MODELS[-1]
    rows = np.linspace(0.0, 1.0, 3 * MOST_NEAR)[:, None] * model.seen[1]
    found = ServedModel(model, 0).predict_many(rows)
    np.testing.assert_allclose(found, model.predict_many(rows), rtol=1e-9)


def test_where_only_neighbours_have_a_say_the_others_share_it_alike() -> None:
    model = MODELS[3]
    weights = np.zeros_like(model.weights)
    weights[:, 0], weights[:, -1] = 1e-300, 1.0
    weights[:, 0, 0] = 0.0
    served = ServedModel(FrozenModel.restore({**model.state(), "weights": weights}), 0)
    rows = np.linspace(0.0, 1.0, MOST_NEAR + 1)[:, None] * model.seen[1]
    assert np.isfinite(served.predict_many(rows)).all()


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
