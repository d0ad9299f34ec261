"""Any regressor of river's as an expert, by import path and arguments.

``river.tree.HoeffdingAdaptiveTreeRegressor(grace_period=50)``, or with parts:
``river.preprocessing.StandardScaler() | river.linear_model.LinearRegression(l2=0.1)``.
It is read, never evaluated: names of river's classes, and literals.
"""

from __future__ import annotations

import ast
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from river import base

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenPolynomials
from estimator.errors import DamagedError, MisuseError
from estimator.regressors import river_state
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch
from estimator.regressors.moments import Moments
from estimator.regressors.ridge import PENALTY

WINDOW: Final = 200
"""So many of the latest samples the regressor is asked about for its export."""
EXPORT_SECONDS: Final = 30.0
"""Event time between two exports: the expert then speaks from so long ago."""


def regressor(path: str) -> Any:
    """The regressor that ``path`` describes; ``MisuseError`` says what is wrong with it."""
    try:
        made = _made(ast.parse(path, mode="eval").body)
    except SyntaxError as error:
        raise MisuseError(f"expert {path!r} cannot be read: {error.msg}") from error
    except MisuseError as error:
        raise MisuseError(f"expert {path!r}: {error}") from error
    except (TypeError, ValueError) as error:
        raise MisuseError(f"expert {path!r} cannot be made: {error}") from error
    if not isinstance(getattr(made, "_last_step", made), base.Regressor):
        raise MisuseError(f"expert {path!r} is no regressor")
    try:
        river_state.load(river_state.dump(made), river_state.of_models)
    except DamagedError as error:
        raise MisuseError(f"expert {path!r} cannot be kept in checkpoints: {error}") from error
    return made


def _made(node: ast.expr) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _made(node.left) | _made(node.right)
    if isinstance(node, ast.Call):
        named = {keyword.arg: _made(keyword.value) for keyword in node.keywords if keyword.arg}
        if len(named) < len(node.keywords):
            raise MisuseError("** is not read")
        return _class(ast.unparse(node.func))(*(_made(one) for one in node.args), **named)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise MisuseError(f"{ast.unparse(node)} is neither a literal nor a call") from None


def _class(path: str) -> Callable[..., Any]:
    """The class of that name, such as ``river.tree.HoeffdingTreeRegressor``."""
    module, _, name = path.rpartition(".")
    parts = module.split(".")
    if parts[0] != "river" or len(parts) < 2 or parts[1] not in river_state.MODEL_PACKAGES:
        raise MisuseError(f"{path} is not of river's packages {', '.join(_PACKAGES)}")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise MisuseError(f"river has no {path}") from None
    if not isinstance(found, type):
        raise MisuseError(f"{path} is no class")
    return found


_PACKAGES: Final = sorted(name for name in river_state.MODEL_PACKAGES if name[0] != "_")


class RiverPathBank:
    """One expert: a regressor of river's for every component, of which a curve speaks.

    What a regressor of any kind knows cannot be written as plain arrays. So every half a minute it
    is asked about the latest 200 samples, and a ridge regression of second order is fitted to what
    it says: that is what is scored, weighed and served.
    """

    def __init__(self, path: str, features: Sequence[str], components: Sequence[str]) -> None:
        self.names = (path,)
        self._features = tuple(features)
        self._models = [regressor(path) for _ in components]
        self._rows: Floats = np.empty((0, len(features)))
        nothing = np.zeros((1, 1 + len(features), len(components)))
        self._exported = FrozenPolynomials(np.ones(len(features)), nothing, order=1)
        self._exported_at: float | None = None

    def learn_rounds(self, batch: Batch) -> list[FrozenPolynomials]:
        """Learn the rounds, each as the mean of its samples; what the expert says after each."""
        made = []
        means = zip(batch.means(batch.rows), batch.means(batch.watts), batch.at, strict=True)
        for rates, watts, at in means:
            sample = dict(zip(self._features, rates.tolist(), strict=True))
            for model, target in zip(self._models, watts.tolist(), strict=True):
                model.learn_one(sample, target)
            self._rows = np.concatenate([self._rows, rates[None]])[-WINDOW:]
            before = self._exported_at
            if before is None or not 0.0 <= at / 1000 - before < EXPORT_SECONDS:
                self._exported, self._exported_at = self._distilled(), at / 1000
            made.append(self._exported)
        return made

    def _distilled(self) -> FrozenPolynomials:
        said = np.array(
            [
                [self._said(model, row) for model in self._models]
                for row in (dict(zip(self._features, r, strict=True)) for r in self._rows.tolist())
            ]
        )
        moments = Moments(len(self._features), len(self._models), (1.0,), order=2)
        moments.add(self._rows, said, 0.0)
        _, curves = moments.solve(PENALTY)
        return FrozenPolynomials(moments.frozen_scales(), curves, order=2)

    @staticmethod
    def _said(model: Any, sample: dict[str, float]) -> float:
        watts = float(model.predict_one(sample))
        return min(max(watts, -_FARTHEST), _FARTHEST) if math.isfinite(watts) else 0.0

    def freeze(self) -> FrozenPolynomials:
        """What was said when it was asked last."""
        return self._exported

    def absorb(self, other: Bank, share: float) -> None:
        """Take over what the other says if it has learned more: regressors do not add up."""
        if not isinstance(other, RiverPathBank):
            raise TypeError(f"{type(other).__name__} is no RiverPathBank")
        if share > 0.5:
            self._exported = other._exported

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {
            "models": [river_state.dump(model) for model in self._models],
            "rows": self._rows,
            "exported": self._exported.state(),
            "exported_at": self._exported_at,
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        admits = river_state.of_models
        self._models = [river_state.load(saved, admits) for saved in state["models"]]
        self._rows, self._exported_at = state["rows"], state["exported_at"]
        self._exported = FrozenPolynomials.restore(state["exported"])


_FARTHEST: Final = 1e9
"""Watts: what goes astray is still a number."""
