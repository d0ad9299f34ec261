"""The forgetting ridge as a regressor of river's: for pipelines, comparisons and notebooks.

Models learn by `RidgeBank`, which shares one set of sums among half-lives, orders and components;
this is one of its experts for one target, by the same sums.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from river import base

from estimator.arrays import Floats
from estimator.artifacts.expansion import Expansion
from estimator.errors import MisuseError
from estimator.regressors.moments import Moments
from estimator.regressors.ridge import PENALTY


class ForgettingRidge(base.MiniBatchRegressor):
    """Ridge regression that forgets: exact at any moment, and unable to diverge.

    Keeps discounted second moments and solves when asked. Features need no scaling. They may
    appear and vanish: a feature that a sample lacks is 0, one never learned is not regarded. With
    more than 12 of them, second order means squares only. All values must be finite numbers.

    Parameters
    ----------
    half_life_seconds
        A sample weighs half as much when so many seconds of event time have passed.
    order
        1 for a line, 2 to add squares and products of features.
    penalty
        Weight of the squared coefficients (of features divided by about their greatest value),
        relative to that of all samples; the constant term goes without.
    step_seconds
        Event time that passes before a sample that is learned without its time. As long as no
        times are given and this is 1, ``half_life_seconds`` counts samples.

    Examples
    --------
    >>> from river import datasets, evaluate, metrics, preprocessing

    >>> model = ForgettingRidge(half_life_seconds=30.0)
    >>> evaluate.progressive_val_score(datasets.TrumpApproval(), model, metrics.MAE())
    MAE: 0.424214

    >>> pipeline = preprocessing.StandardScaler() | model.clone()
    >>> evaluate.progressive_val_score(datasets.TrumpApproval(), pipeline, metrics.MAE())
    MAE: 0.419403

    Where samples have times, these count, however many samples there are:

    >>> model = ForgettingRidge(half_life_seconds=60.0, order=1)
    >>> for second in range(0, 600, 3):
    ...     load = second % 7
    ...     model.learn_one({"load": load}, 50.0 + 10.0 * load, at_seconds=second)
    >>> round(model.predict_one({"load": 4}), 1)
    90.0

    """

    def __init__(
        self,
        half_life_seconds: float = 300.0,
        order: int = 2,
        penalty: float = PENALTY,
        step_seconds: float = 1.0,
    ) -> None:
        if not half_life_seconds > 0:
            raise MisuseError(f"half_life_seconds is {half_life_seconds}: more than 0 is needed")
        if order not in (1, 2):
            raise MisuseError(f"order is {order}: 1 or 2 is needed")
        if not penalty > 0:
            raise MisuseError(f"penalty is {penalty}: more than 0 is needed")
        if not step_seconds >= 0:
            raise MisuseError(f"step_seconds is {step_seconds}: 0 or more is needed")
        self.half_life_seconds = half_life_seconds
        self.order = order
        self.penalty = penalty
        self.step_seconds = step_seconds
        self._places: dict[base.typing.FeatureName, int] = {}
        self._moments = self._empty(0)
        self._coefficients: Floats | None = None

    def learn_one(
        self,
        x: dict[base.typing.FeatureName, Any],
        y: base.typing.RegTarget,
        at_seconds: float | None = None,
    ) -> None:
        """Learn that the features ``x`` went with ``y`` at that event time.

        Without a time, ``step_seconds`` have passed since the sample before. A time before that
        of the latest sample is taken to be the latest.
        """
        self._notice(x)
        self._add(self._row(x), np.array([[float(y)]]), at_seconds)

    def predict_one(self, x: dict[base.typing.FeatureName, Any]) -> float:
        """What the features ``x`` go with by now; 0 before anything was learned."""
        return float(self._predict(self._row(x))[0])

    def learn_many(self, X: pd.DataFrame, y: pd.Series, at_seconds: float | None = None) -> None:  # noqa: N803 - river's name
        """Learn what `learn_one` would, row after row, with the same ``at_seconds``.

        So with a time, all rows are of that time, and are added as one product; without one, each
        row is ``step_seconds`` after the row before. Equal but for the rounding of sums.
        """
        if not len(X):
            return
        self._notice(X.columns)
        rows, targets = self._rows(X), y.to_numpy(np.float64)[:, None]
        if at_seconds is not None:
            self._add(rows, targets, at_seconds)
            return
        for row, target in zip(rows, targets, strict=True):
            self._add(row[None], target[None], None)

    def predict_many(self, X: pd.DataFrame) -> pd.Series:  # noqa: N803 - river's name
        """What `predict_one` says of each row, under the rows' index."""
        return pd.Series(self._predict(self._rows(X)), index=X.index)

    def _empty(self, features: int) -> Moments:
        return Moments(features, 1, (self.half_life_seconds,), self.order)

    def _notice(self, features: Iterable[base.typing.FeatureName]) -> None:
        """Make room for features that were never seen before: until now they have been 0."""
        places, before = self._places, self._moments
        for feature in features:
            places.setdefault(feature, len(places))
        if len(places) == len(before.scales):
            return
        moments = self._empty(len(places))
        here, there = _common_terms(before.expansion, moments.expansion)
        moments.a[:, there[:, None], there] = before.a[:, here[:, None], here]
        moments.b[:, there] = before.b[:, here]
        moments.scales[: len(before.scales)] = before.scales
        moments.at_seconds = before.at_seconds
        self._moments, self._coefficients = moments, None

    def _add(self, rows: Floats, targets: Floats, at_seconds: float | None) -> None:
        if not (np.isfinite(rows).all() and np.isfinite(targets).all()):
            raise MisuseError("a feature or the target is not finite: nothing was learned")
        if at_seconds is None:
            latest = self._moments.at_seconds
            at_seconds = 0.0 if latest is None else latest + self.step_seconds
        self._moments.add(rows, targets, at_seconds)
        self._coefficients = None

    def _predict(self, rows: Floats) -> Floats:
        moments = self._moments
        if moments.at_seconds is None:
            return np.zeros(len(rows))
        if self._coefficients is None:
            self._coefficients = moments.solve(self.penalty)[1][0, :, 0]
        predicted: Floats = (
            moments.expansion.expand(rows / moments.frozen_scales()) @ self._coefficients
        )
        return predicted

    def _row(self, x: Mapping[base.typing.FeatureName, Any]) -> Floats:
        return np.array([[float(x.get(feature, 0.0)) for feature in self._places]])

    def _rows(self, frame: pd.DataFrame) -> Floats:
        return frame.reindex(columns=list(self._places), fill_value=0.0).to_numpy(np.float64)


def _common_terms(few: Expansion, many: Expansion) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Where the terms that both have are in each, if ``many`` has the features of ``few`` first."""
    # Products of two of the numbers M + i, i < F, are all different for M > F²: terms name
    # themselves by their values.
    names = np.arange(many.features, dtype=np.float64) + many.features**2 + 1
    here = few.expand(names[None, : few.features])[0]
    there = many.expand(names[None])[0]
    return np.intersect1d(here, there, return_indices=True)[1:]
