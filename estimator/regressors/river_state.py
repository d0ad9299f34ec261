"""River models as bytes, and back without running what a stranger put there.

River keeps its state in pickles, and a pickle may name any function of any module. This unpickler
admits the classes listed here and nothing else.
"""

from __future__ import annotations

import io
import operator
import pickle
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
    def __init__(self, file: io.BytesIO, texts: list[str]) -> None:
        super().__init__(file)
        self._texts = texts

    def persistent_load(self, pid: Any) -> str:
        return self._texts[operator.index(pid)]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise DamagedError(f"river state: {module}.{name} is not admitted")
        return super().find_class(module, name)


def dump(model: object) -> bytes:
    """The river model as bytes: the same for equal models, restored before or not."""
    file = io.BytesIO()
    pickler = _Pickler(file)
    pickler.dump(model)
    return msgspec.msgpack.encode((list(pickler.texts), file.getvalue()))


def load(data: bytes) -> Any:
    """The river model again; ``DamagedError`` if the bytes name anything not admitted."""
    try:
        texts, pickled = msgspec.msgpack.decode(data, type=tuple[list[str], bytes])
        return _Unpickler(io.BytesIO(pickled), texts).load()
    except _DAMAGE as error:
        raise DamagedError(f"river state: {error}") from error
