"""What a model tells of the rounds that it learns."""

from __future__ import annotations

from typing import NamedTuple

from estimator.arrays import Floats
from estimator.artifacts.frozen import FrozenModel
from estimator.learning.drift import Detection


class Lesson(NamedTuple):
    """What one round was for a model.

    ``estimated`` [K, C] is what was said of its rows before they were learned, by the model
    ``asked``, as it was then: None if there was none yet, or nobody wanted to know. ``drift`` is
    what the round's errors were the sign of, if they were.
    """

    estimated: Floats | None
    asked: FrozenModel | None
    drift: Detection | None = None
