"""Models that have learned samples, each predicted before it was learned, and their course."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from estimator.errors import WattstreamError
from estimator.learning.model import PowerModel
from estimator.model_key import ModelKey
from stream.analysis.history import Course, History
from stream.learning.learner import Learner, Pool
from stream.sample import Sample

Progress = Callable[[int, int], None]
_SHOW_EVERY = 256


class LearnedSamples(NamedTuple):
    """The models by key, and the course of each, the longest first."""

    models: dict[ModelKey, PowerModel]
    courses: list[Course]

    def best(self) -> list[Course]:
        """Of each node type and energy source the course with the least next-sample error."""
        found: dict[tuple[str, str], Course] = {}
        for course in self.courses:
            place = course.key.node_type, course.key.source
            if place not in found or _error(course) < _error(found[place]):
                found[place] = course
        return list(found.values())


def learn_samples(
    samples: Sequence[Sample], pool: Pool, progress: Progress = lambda _done, _total: None
) -> LearnedSamples:
    """Have models learn the samples, which are in order of time, as live ones are learned.

    ``WattstreamError`` where they satisfy no feature group.
    """
    history = History()
    learner = Learner(pool, history)
    history.learner = learner
    for place, sample in enumerate(samples):
        learner.learn_one(sample)
        if place % _SHOW_EVERY == 0:
            progress(place, len(samples))
    learner.flush()
    courses = history.courses()
    if not courses:
        features = sorted({name for sample in samples for name in sample.features})
        raise WattstreamError(
            f"{len(samples)} samples satisfy no feature group: they have {', '.join(features)}"
        )
    return LearnedSamples(learner.models, courses)


def _error(course: Course) -> float:
    """The mean absolute error, of the worst component."""
    return float(np.abs(course.estimated - course.measured).mean(axis=0).max())
