"""River's own regressors as experts: one per component, behind the interface of every bank."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from river import compose, forest, linear_model, optim, preprocessing

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import (
    FrozenExperts,
    FrozenPolynomials,
    FrozenTrees,
    mixed,
    restore_experts,
)
from estimator.regressors import river_state
from estimator.regressors.bank import Bank
from estimator.regressors.batch import Batch

Export = Callable[[Any, Sequence[Any], Sequence[str]], FrozenExperts]
"""Turns the scaler, one regressor per component, and the features' names into plain arrays."""


class RiverBank:
    """One expert: a scaler and a river regressor for every component, exported to predict with.

    A regressor that learns rounds ``together`` sees the mean of a round as one sample, so that a
    fleet of nodes costs it no more than one; else it sees every sample. Where exporting is dear,
    it is done only every ``export_seconds`` of event time: the expert then speaks from so long ago.
    """

    def __init__(
        self,
        name: str,
        pipeline: compose.Pipeline,
        export: Export,
        features: Sequence[str],
        components: Sequence[str],
        *,
        together: bool,
        export_seconds: float = 0.0,
        admits: river_state.Admits = river_state.listed,
    ) -> None:
        self.names = (name,)
        self._features = tuple(features)
        # All components see the same rows: one scaler serves them.
        scaler, regressor = pipeline.steps.values()
        self._scaler: Any = scaler.clone()
        self._models: list[Any] = [regressor.clone() for _ in components]
        self._export, self._export_seconds = export, export_seconds
        self._together, self._admits = together, admits
        self._at_seconds = self._exported_at = 0.0
        self._exported: FrozenExperts | None = None
        self._mixed: FrozenExperts | None = None

    def learn_rounds(self, batch: Batch) -> list[FrozenExperts]:
        """Learn the rounds one after the other; what the regressors would say after each."""
        made = []
        for part, at in zip(batch.parts(), batch.at, strict=True):
            self.learn_many(batch.rows[part], batch.watts[part], at / 1000)
            made.append(self.freeze())
        return made

    def learn_many(self, rows: Floats, watts: Floats, at_seconds: float) -> None:
        """Learn a round: rows [K, F] of rates, watts [K, C], at one event time."""
        self._at_seconds = at_seconds
        if self._together and len(rows) > 1:
            count = len(rows)
            rows, watts = np.add.reduce(rows)[None] / count, np.add.reduce(watts)[None] / count
        for row, targets in zip(rows.tolist(), watts.tolist(), strict=True):
            sample = dict(zip(self._features, row, strict=True))
            self._scaler.learn_one(sample)
            scaled = self._scaler.transform_one(sample)
            for model, target in zip(self._models, targets, strict=True):
                model.learn_one(scaled, target)

    def predict_one(self, sample: Mapping[str, float]) -> list[float]:
        """What the regressors would say of one sample now, by component."""
        scaled = self._scaler.transform_one(sample)
        return [model.predict_one(scaled) for model in self._models]

    def freeze(self) -> FrozenExperts:
        """What the regressors would say now (or said when last exported), for ever."""
        if self._mixed is not None:
            return self._mixed
        waited = self._at_seconds - self._exported_at
        if self._exported is None or not 0.0 <= waited < self._export_seconds:
            self._exported = self._export(self._scaler, self._models, self._features)
            self._exported_at = self._at_seconds
        return self._exported

    def absorb(self, other: Bank, share: float) -> None:
        """Mix in what another says: lines by their shares, forests tree beside tree.

        River's models do not add up, so the mixture is for `freeze` alone and does not learn on.
        """
        if not isinstance(other, RiverBank):
            raise TypeError(f"{type(other).__name__} is no RiverBank")
        theirs = other.freeze()
        self._exported = theirs if self._mixed is None else mixed(self._mixed, theirs, share)
        self._mixed = self._exported

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {
            "scaler": river_state.dump(self._scaler),
            "models": [river_state.dump(model) for model in self._models],
            "at_seconds": self._at_seconds,
            "exported_at": self._exported_at,
            "exported": None if self._exported is None else self._exported.state(),
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._scaler = river_state.load(state["scaler"], self._admits)
        self._models = [river_state.load(saved, self._admits) for saved in state["models"]]
        self._at_seconds, self._exported_at = state["at_seconds"], state["exported_at"]
        exported = state["exported"]
        self._exported = None if exported is None else restore_experts(exported)


def linear_bank(features: Sequence[str], components: Sequence[str]) -> RiverBank:
    """River's linear regression by Adam, on features scaled by their greatest value.

    (With a standard scaler and plain gradient descent it diverges on real traces.)
    """
    pipeline = preprocessing.MaxAbsScaler() | linear_model.LinearRegression(
        optimizer=optim.Adam(lr=3.0), intercept_lr=0.1
    )
    return RiverBank("linear", pipeline, _export_linear, features, components, together=True)


def standard_linear_bank(features: Sequence[str], components: Sequence[str]) -> RiverBank:
    """River's linear regression as its documentation shows it: it diverges on real traces."""
    pipeline = preprocessing.StandardScaler() | linear_model.LinearRegression()
    return RiverBank(
        "standard-linear",
        pipeline,
        _export_standard,
        features,
        components,
        together=True,
        admits=river_state.of_models,
    )


def amf_bank(features: Sequence[str], components: Sequence[str]) -> RiverBank:
    """River's aggregated Mondrian forest: good, and slower than all other experts together."""
    pipeline = preprocessing.MinMaxScaler() | forest.AMFRegressor(
        n_estimators=10, seed=1, max_nodes=1000
    )
    return RiverBank(
        "amf", pipeline, export_forest, features, components, together=False, export_seconds=30.0
    )


def _export_linear(scaler: Any, models: Sequence[Any], features: Sequence[str]) -> FrozenExperts:
    greatest = [scaler.abs_max[feature].get() for feature in features]
    scales = [scale if scale > 0 else 1.0 for scale in greatest]
    lines = [
        [model.intercept, *(model.weights.get(feature, 0.0) for feature in features)]
        for model in models
    ]
    return FrozenPolynomials(np.array(scales), np.array(lines).T[None], order=1)


_FARTHEST = 1e12
"""Coefficients of a line that has gone astray go no further: sums of them are still numbers."""


def _export_standard(scaler: Any, models: Sequence[Any], features: Sequence[str]) -> FrozenExperts:
    means = np.array([scaler.means[feature] for feature in features])
    spreads = np.sqrt([scaler.vars[feature] for feature in features])
    scales = np.where(spreads > 0, spreads, 1.0)
    lines = np.zeros((1, 1 + len(features), len(models)))
    for place, model in enumerate(models):
        weights = np.array([model.weights.get(feature, 0.0) for feature in features])
        weights = np.where(spreads > 0, weights, 0.0)  # what never varied is scaled to 0
        lines[0, 0, place] = model.intercept - (weights * means / scales).sum()
        lines[0, 1:, place] = weights
    astray = np.nan_to_num(lines, nan=0.0, posinf=_FARTHEST, neginf=-_FARTHEST)
    return FrozenPolynomials(scales, np.clip(astray, -_FARTHEST, _FARTHEST), order=1)


def export_forest(scaler: Any, models: Sequence[Any], features: Sequence[str]) -> FrozenExperts:
    """Mondrian forests, one for each component, on features scaled to their range."""
    nodes = _Nodes(features)
    roots = [[nodes.add_tree(tree, scaler) for tree in trees] for trees in models]
    return nodes.frozen(np.array(roots, dtype=np.int64))


class _Nodes:
    """Collects Mondrian trees as arrays of nodes, children after their parents.

    What a Mondrian tree says is mixed along the path from the leaf to the root, so it depends on
    the leaf alone: each leaf gets that value, and the tree becomes an ordinary one.
    """

    def __init__(self, features: Sequence[str]) -> None:
        self._place = {feature: place for place, feature in enumerate(features)}
        self._feature: list[int] = []
        self._threshold: list[float] = []
        self._left: list[int] = []
        self._right: list[int] = []
        self._value: list[float] = []

    def add_tree(self, tree: Any, scaler: preprocessing.MinMaxScaler) -> int:
        """Add a tree whose thresholds are of scaled features; the number of its root."""
        root = self._new()
        # Each entry: the node, its number, and what the path above it says: say + keep * value.
        waiting: list[tuple[Any, int, float, float]] = [(tree._root, root, 0.0, 1.0)]
        while waiting:
            node, number, say, keep = waiting.pop()
            if node.is_leaf:
                self._value[number] = say + keep * node.predict()
                continue
            share = 0.5 * math.exp(node.weight - node.log_weight_tree)
            say, keep = say + keep * share * node.predict(), keep * (1.0 - share)
            low, high = scaler.min[node.feature].get(), scaler.max[node.feature].get()
            self._feature[number] = self._place[node.feature]
            self._threshold[number] = low + node.threshold * (high - low)
            left, right = node.children
            self._left[number], self._right[number] = self._new(), self._new()
            waiting.append((right, self._right[number], say, keep))
            waiting.append((left, self._left[number], say, keep))
        return root

    def _new(self) -> int:
        self._feature.append(-1)
        self._threshold.append(0.0)
        self._left.append(0)
        self._right.append(0)
        self._value.append(0.0)
        return len(self._feature) - 1

    def frozen(self, roots: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> FrozenTrees:
        """All trees added, as one expert; ``roots`` [C, T]."""
        return FrozenTrees(
            np.array(self._feature, dtype=np.int64),
            np.array(self._threshold),
            np.array(self._left, dtype=np.int64),
            np.array(self._right, dtype=np.int64),
            np.array(self._value),
            roots,
        )
