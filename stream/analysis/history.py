"""What a model said of a trace, and whom it heard, over time: for a picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.learning.model import PowerModel
from estimator.model_key import ModelKey
from stream.learning.learner import Learned, Learner


class Course(NamedTuple):
    """One model's way through a trace: T samples, W moments at which weights were looked at.

    ``seconds`` [T] since its first sample, ``measured`` and ``estimated`` [T, C] in watts,
    ``moments`` [W] in seconds, ``weights`` [W, H, E, C]. ``drifts`` are the times of drifts, in
    seconds, and the index of the component that showed each.
    """

    key: ModelKey
    model: PowerModel
    seconds: Floats
    measured: Floats
    estimated: Floats
    moments: Floats
    weights: Floats
    drifts: list[tuple[float, int]]


class History:
    """An observer that remembers everything: give it to `stream.analysis.evaluate.evaluate`."""

    def __init__(self) -> None:
        self.learner: Learner | None = None
        self._learned: dict[ModelKey, list[Learned]] = {}
        self._weights: dict[ModelKey, list[tuple[int, Floats]]] = {}

    def __call__(self, learned: Learned) -> None:
        """Remember what was said of a round, and the weights as far as they have changed."""
        self._learned.setdefault(learned.key, []).append(learned)
        model = self.learner.models[learned.key] if self.learner else None
        if model is None or model.current is None:
            return
        seen = self._weights.setdefault(learned.key, [])
        if not seen or seen[-1][1] is not model.current.weights:
            seen.append((learned.at, model.current.weights))

    def courses(self) -> list[Course]:
        """The models' courses, the one with most samples first."""
        models = self.learner.models if self.learner else {}
        made = [self._course(key, models[key]) for key in self._learned if key in models]
        return sorted(made, key=lambda course: -len(course.seconds))

    def _course(self, key: ModelKey, model: PowerModel) -> Course:
        # After a restart with more components only what came later fits together.
        learned = [one for one in self._learned[key] if one.components == model.components]
        weights = [
            (at, one) for at, one in self._weights[key] if one.shape[2] == len(model.components)
        ]
        start = learned[0].at
        return Course(
            key,
            model,
            np.array([(one.at - start) / 1000 for one in learned]),
            np.array([one.measured.mean(axis=0) for one in learned]),
            np.array([one.estimated.mean(axis=0) for one in learned]),
            np.array([(at - start) / 1000 for at, _ in weights]),
            np.array([one for _, one in weights]),
            [((one.at - start) / 1000, one.drift.component) for one in learned if one.drift],
        )
