from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from estimator.arrays import Floats
from estimator.asking import ask
from estimator.frozen import FrozenExperts, FrozenModel, FrozenTrees
from estimator.vocabulary import HORIZONS
from tests.estimator.test_frozen import COMPONENTS, FEATURES, polynomials

EXPERTS = 2


def frozen(seed: int, *banks: FrozenExperts) -> FrozenModel:
    rng = np.random.default_rng(seed)
    weights = rng.uniform(size=(len(HORIZONS), EXPERTS * len(banks), COMPONENTS))
    floor = rng.uniform(-10, 10, COMPONENTS)
    low = rng.uniform(0, 1e3, FEATURES)
    return FrozenModel(
        banks=banks,
        weights=weights / weights.sum(axis=1, keepdims=True),
        idle=rng.uniform(0, 10, COMPONENTS),
        floor=floor,
        ceiling=floor + rng.uniform(0, 100, COMPONENTS),
        seen=np.array([low, low + rng.uniform(0, 1e6, FEATURES)]),
        at=seed,
    )


def trees() -> FrozenTrees:
    lone = np.array([-1])
    nothing, leaf = np.zeros(1), np.zeros(1, dtype=np.int64)
    return FrozenTrees(lone, nothing, leaf, leaf, np.array([7.5]), np.zeros((3, 1), dtype=np.int64))


def agree(models: list[FrozenModel], horizons: list[int], rows: Floats) -> None:
    opinions, estimated = ask(models, horizons, rows)
    for place, (model, horizon) in enumerate(zip(models, horizons, strict=True)):
        assert np.array_equal(opinions[place], model.opinions(rows), equal_nan=True)
        assert np.array_equal(estimated[place], model.predict_many(rows, horizon))


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=len(HORIZONS)),
    st.sampled_from([1, 2]),
    st.integers(1, 70),
    st.integers(0, 2**32 - 1),
)
def test_several_say_together_what_each_says_alone(
    seeds: list[int], order: int, count: int, seed: int
) -> None:
    models = [frozen(one, polynomials(one, order, EXPERTS)) for one in seeds]
    rows = np.random.default_rng(seed).uniform(0, 2e6, (count, FEATURES))
    rows[:: max(1, count // 2)] = 0.0
    agree(models, list(range(len(models))), rows)


def test_a_horizon_without_a_model_is_left_out() -> None:
    models = [frozen(seed, polynomials(seed, 2, EXPERTS)) for seed in (1, 2)]
    agree(models, [0, 3], np.full((2, FEATURES), 5e5))


def test_an_expert_that_has_lost_its_way_harms_no_other_model() -> None:
    lost = polynomials(1, 1, EXPERTS)
    lost.coefficients[0] = np.nan
    models = [frozen(1, lost), frozen(2, polynomials(2, 1, EXPERTS))]
    agree(models, [0, 1], np.full((3, FEATURES), 5e5))


def test_models_of_other_shapes_are_asked_one_by_one() -> None:
    lines, curves = polynomials(1, 1, EXPERTS), polynomials(2, 2, EXPERTS)
    rows = np.random.default_rng(3).uniform(0, 2e6, (4, FEATURES))
    agree([frozen(1, lines), frozen(2, curves)], [0, 1], rows)


def test_trees_are_asked_one_by_one() -> None:
    def with_trees(seed: int) -> FrozenModel:
        made = frozen(seed, polynomials(seed, 1, EXPERTS), trees())
        made.weights = made.weights[:, : EXPERTS + 1]
        return made

    agree([with_trees(1), with_trees(2)], [0, 1], np.full((3, FEATURES), 5e5))
