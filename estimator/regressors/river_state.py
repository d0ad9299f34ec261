"""River models as bytes, and back without running what a stranger put there.

River keeps its state in pickles, and a pickle may name any function of any module. This unpickler
admits the classes listed here and nothing else.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, Final

from estimator.errors import DamagedError

ADMITTED: Final = frozenset(
    {
        ("builtins", "float"),
        ("collections", "Counter"),
        ("collections", "OrderedDict"),
        ("collections", "defaultdict"),
        ("random", "Random"),
        ("river._river_rust.vectordict", "VectorDict"),
        ("river.compose.pipeline", "Pipeline"),
        ("river.forest.aggregated_mondrian_forest", "AMFRegressor"),
        ("river.linear_model.lin_reg", "LinearRegression"),
        ("river.optim.adam", "Adam"),
        ("river.optim.initializers", "Zeros"),
        ("river.optim.losses", "Squared"),
        ("river.optim.schedulers", "Constant"),
        ("river.preprocessing.scale", "MaxAbsScaler"),
        ("river.preprocessing.scale", "MinMaxScaler"),
        ("river.stats.maximum", "AbsMax"),
        ("river.stats.maximum", "Max"),
        ("river.stats.mean", "Mean"),
        ("river.stats.minimum", "Min"),
        ("river.tree.mondrian.mondrian_tree_nodes", "MondrianBranchRegressor"),
        ("river.tree.mondrian.mondrian_tree_nodes", "MondrianLeafRegressor"),
        ("river.tree.mondrian.mondrian_tree_regressor", "MondrianTreeRegressor"),
    }
)
"""Module and name of every class that a checkpoint may hold."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise DamagedError(f"river state: {module}.{name} is not admitted")
        return super().find_class(module, name)


def dump(model: object) -> bytes:
    """The river model as bytes: the same for equal models, restored before or not.

    Pickles show which strings are one object. Reading once and writing again shows the same for
    a model that has just been restored and for one that lived all along.
    """
    return pickle.dumps(load(pickle.dumps(model, protocol=5)), protocol=5)


def load(data: bytes) -> Any:
    """The river model again; ``DamagedError`` if the bytes name anything not admitted."""
    try:
        return _Unpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError) as error:
        raise DamagedError(f"river state: {error}") from error
