from __future__ import annotations

import pickle
from typing import Any

import msgspec
import numpy as np
import pytest

from estimator.errors import DamagedError, MisuseError
from estimator.regressors import river_state
from estimator.regressors.batch import Batch, Round
from estimator.regressors.ridge import RidgeBank
from estimator.regressors.river_path import RiverPathBank, regressor
from stream.learning import plain
from tests.estimator.regressors.samples import samples

PATHS = [
    "river.tree.HoeffdingAdaptiveTreeRegressor(grace_period=50, seed=1)",
    "river.rules.AMRules()",
    "river.ensemble.SRPRegressor(n_models=2, seed=1)",
    "river.preprocessing.StandardScaler() | "
    "river.linear_model.LinearRegression(river.optim.RMSProp(0.1), intercept_lr=0.1)",
]


def batch(first: int, last: int) -> Batch:
    data = samples(1, count=160)
    return Batch(
        [Round(data.rows[p : p + 1], data.watts[p : p + 1], 3000 * p) for p in range(first, last)]
    )


@pytest.mark.parametrize("path", PATHS)
def test_any_regressor_learns_and_goes_on_from_its_state(path: str) -> None:
    bank, again = (RiverPathBank(path, ["x", "y", "z"], ["package", "dram"]) for _ in range(2))
    bank.learn_rounds(batch(0, 80))
    again.restore(plain.load(plain.dump(bank.state())))
    rows = batch(0, 80).rows
    for each in (bank, again):
        each.learn_rounds(batch(80, 160))
    said = bank.freeze().predict_many(rows)
    assert said.shape == (80, 1, 2)
    assert np.isfinite(said).all()
    assert said.tobytes() == again.freeze().predict_many(rows).tobytes()
    assert bank.names == (path,)


def test_what_it_says_is_a_curve_through_what_the_regressor_says() -> None:
    path = "river.dummy.StatisticRegressor(river.stats.Mean())"
    with pytest.raises(MisuseError, match="is not of river's packages"):
        regressor(path)
    bank = RiverPathBank(PATHS[0], ["x", "y", "z"], ["package", "dram"])
    learned = batch(0, 160)
    bank.learn_rounds(learned)
    wrong = np.abs(bank.freeze().predict_many(learned.rows)[:, 0] - learned.watts).mean(axis=0)
    plain_mean = np.abs(learned.watts - learned.watts.mean(axis=0)).mean(axis=0)
    assert (wrong < plain_mean).all()


def test_it_is_taken_over_from_who_has_learned_more() -> None:
    one, other = (RiverPathBank(PATHS[0], ["x", "y", "z"], ["package", "dram"]) for _ in range(2))
    other.learn_rounds(batch(0, 50))
    one.absorb(other, 0.2)
    assert one.freeze() is not other.freeze()
    one.absorb(other, 0.9)
    assert one.freeze() is other.freeze()
    with pytest.raises(TypeError, match="RidgeBank is no RiverPathBank"):
        one.absorb(RidgeBank(3, 2), 0.9)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("river.tree.NoSuchTree()", "river has no river.tree.NoSuchTree"),
        ("river.nowhere.Tree()", "is not of river's packages"),
        ("river.datasets.Bikes()", "is not of river's packages"),
        ("os.system('true')", "is not of river's packages"),
        ("river.tree.HoeffdingTreeRegressor", "neither a literal nor a call"),
        ("river.tree.HoeffdingTreeRegressor(grace=5)", "cannot be made: .*grace"),
        ("river.tree.HoeffdingTreeRegressor(**{'a': 1})", r"\*\* is not read"),
        ("river.tree.HoeffdingTreeRegressor(", "cannot be read"),
        ("river.tree.HoeffdingTreeClassifier()", "is no regressor"),
        ("river.preprocessing.StandardScaler()", "is no regressor"),
        ("river.linear_model.PARegressor()", "cannot be kept in checkpoints: .* not admitted"),
        ("river.neighbors.KNNRegressor()", "cannot be kept in checkpoints: .* not admitted"),
    ],
)
def test_what_is_no_regressor_of_river_s_is_refused_by_name(path: str, said: str) -> None:
    with pytest.raises(MisuseError, match=said) as caught:
        regressor(path)
    assert path in str(caught.value)


class Calling:
    def __reduce__(self) -> tuple[Any, ...]:
        from river import datasets

        return datasets.Bikes, ()


def test_only_classes_of_river_s_models_are_admitted() -> None:
    admits = river_state.of_models
    assert admits("river.tree.hoeffding_tree_regressor", "HoeffdingTreeRegressor")
    assert not admits("river.datasets.bikes", "Bikes")
    assert not admits("river.stream", "iter_csv")
    assert not admits("river._river_rust.vectordict", "euclidean_distance_tuple")
    assert not admits("river.base.base", "importlib.import_module")
    assert not admits("river.base.base", "deque")
    assert admits("river.tree.splitter.ebst_splitter", "EBSTNode._update_estimator_univariate")
    assert not admits("river.tree.splitter.ebst_splitter", "EBSTNode.__init__.__globals__")
    assert not admits("river.tree.nothing", "Nothing")
    assert not admits("builtins", "getattr")
    wrapped = msgspec.msgpack.encode(([], pickle.dumps(Calling())))
    with pytest.raises(DamagedError, match="is not admitted"):
        river_state.load(wrapped, admits)
