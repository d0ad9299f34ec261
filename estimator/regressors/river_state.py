"""River models as bytes, and back without running what a stranger put there.

River keeps its state in pickles, and a pickle may name any function of any module. This unpickler
admits the classes listed here and nothing else.
"""

from __future__ import annotations

import importlib
import io
import operator
import pickle
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

import msgspec

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

MODEL_PACKAGES: Final = frozenset(
    {
        "_river_rust",
        "base",
        "compose",
        "drift",
        "ensemble",
        "forest",
        "linear_model",
        "metrics",
        "neighbors",
        "optim",
        "preprocessing",
        "rules",
        "stats",
        "tree",
    }
)
"""River's packages of models and of what models are made of. Not among them are those that read
files or the network (``datasets``, ``stream``)."""

_PLAIN: Final = frozenset(
    {
        ("builtins", "int"),
        ("collections", "deque"),
        ("functools", "partial"),  # of what is admitted: it can name nothing else
        ("statistics", "NormalDist"),
    }
)

Admits = Callable[[str, str], bool]
"""Whether the class of that module and name may be made."""


def listed(module: str, name: str) -> bool:
    """Admits what our own experts are made of."""
    return (module, name) in ADMITTED


def of_models(module: str, name: str) -> bool:
    """Admits the classes of `MODEL_PACKAGES` and their methods, and some plain classes.

    For regressors that the settings name: which classes these hold, only river knows. Nothing that
    a module of river's has only imported is admitted, and no function of a module.
    """
    if listed(module, name) or (module, name) in _PLAIN:
        return True
    parts = module.split(".")
    if parts[0] != "river" or len(parts) < 2 or parts[1] not in MODEL_PACKAGES:
        return False
    owner, _, method = name.partition(".")
    try:
        found = getattr(importlib.import_module(module), owner, None)
    except ImportError:
        return False
    if not isinstance(found, type) or found.__module__.split(".")[0] != "river":
        return False
    return not method or isinstance(vars(found).get(method), FunctionType | staticmethod)


_DAMAGE: Final = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
    msgspec.DecodeError,
    pickle.UnpicklingError,
)
"""What reading raises when the bytes are not what `dump` wrote."""


class _Pickler(pickle.Pickler):
    """Writes each text as its place in ``texts``.

    Otherwise a pickle shows which texts are one object: a feature's name that a restored model
    has read, and the same name in the next sample, are not.
    """

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=5)
        self.texts: dict[str, int] = {}

    def persistent_id(self, obj: Any) -> int | None:
        return self.texts.setdefault(obj, len(self.texts)) if type(obj) is str else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, texts: list[str], admits: Admits) -> None:
        super().__init__(file)
        self._texts, self._admits = texts, admits

    def persistent_load(self, pid: Any) -> str:
        return self._texts[operator.index(pid)]

    def find_class(self, module: str, name: str) -> Any:
        if not self._admits(module, name):
            raise DamagedError(f"river state: {module}.{name} is not admitted")
        return super().find_class(module, name)


def dump(model: object) -> bytes:
    """The river model as bytes: the same for equal models, restored before or not."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(model)
    return msgspec.msgpack.encode((list(pickler.texts), file.getvalue()))


def load(data: bytes, admits: Admits = listed) -> Any:
    """The river model again; ``DamagedError`` if the bytes name anything not admitted."""
    try:
        texts, pickled = msgspec.msgpack.decode(data, type=tuple[list[str], bytes])
        return _Unpickler(io.BytesIO(pickled), texts, admits).load()
    except _DAMAGE as error:
        raise DamagedError(f"river state: {error}") from error
