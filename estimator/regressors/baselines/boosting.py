"""Gradient boosting, the best of the published offline models, fitted anew every so often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import FrozenExperts, FrozenTrees
from estimator.regressors.baselines.refitted import RefittedBank

WINDOW: Final = 1000
EVERY: Final = 100
_FIRST: Final = 20


class BoostingBank(RefittedBank):
    """For each component scikit-learn's gradient boosting over the last 1,000 samples.

    It is fitted for the first time after 20 samples, then after every 100.
    """

    def __init__(self, features: Sequence[str], components: Sequence[str]) -> None:
        super().__init__("boosting", len(features), len(components), WINDOW)
        self._learned = 0

    def fit(self, rows: Floats, watts: Floats, wrong: Floats) -> FrozenExperts | None:
        """All components' trees anew, when it is time."""
        before, self._learned = self._learned, self._learned + len(wrong)
        first = before < _FIRST <= self._learned
        if not first and before // EVERY == self._learned // EVERY:
            return None
        models = [GradientBoostingRegressor(random_state=1).fit(rows, column) for column in watts.T]
        return _exported(models)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {**super().state(), "learned": self._learned}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        super().restore(state)
        self._learned = state["learned"]


def _exported(models: Sequence[Any]) -> FrozenTrees:
    """The models as plain trees: the mean of trees whose leaves say the whole sum's share."""
    parts: list[list[Any]] = [[], [], [], [], []]
    roots: list[list[int]] = []
    first = 0
    for model in models:
        start = float(model.init_.constant_[0, 0])
        trees = model.estimators_[:, 0]
        roots.append([])
        for tree in (regressor.tree_ for regressor in trees):
            leaf = tree.children_left < 0
            roots[-1].append(first)
            parts[0].append(np.where(leaf, -1, tree.feature))
            parts[1].append(np.where(leaf, 0.0, tree.threshold))
            parts[2].append(np.where(leaf, 0, tree.children_left + first))
            parts[3].append(np.where(leaf, 0, tree.children_right + first))
            parts[4].append(start + len(trees) * model.learning_rate * tree.value[:, 0, 0])
            first += tree.node_count
    feature, threshold, left, right, value = (np.concatenate(part) for part in parts)
    return FrozenTrees(
        feature.astype(np.int64),
        threshold.astype(np.float64),
        left.astype(np.int64),
        right.astype(np.int64),
        value.astype(np.float64),
        np.array(roots, dtype=np.int64),
    )
