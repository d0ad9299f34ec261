"""What a model starts from where nothing has been learned: another machine's power, by its usage.

Only how power grows with usage is taken over. How high it is, the machine says itself with its
first sample: between two machines that are alike it differs more than the growth does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import MARGIN, FrozenModel

FIRST_SAMPLES: Final = 20
"""While it has learned fewer, a model may say more than the machine has shown."""
FARTHEST: Final = 1e4
"""How many times the greatest usage so far may be gone beyond it."""


class Prior(NamedTuple):
    """What another machine draws at some loads: rows [K, F] of rates and watts [K, C].

    In the units and at the size of the machine that is to be learned; features of which the prior
    knows nothing are 0 throughout. ``origin`` says whose it is, ``likeness`` (0 to 1) how much the
    machines are alike.
    """

    origin: str
    rows: Floats
    watts: Floats
    likeness: float = 1.0


class Reach:
    """How far beyond what a machine has shown its model may go in its first samples.

    A model's guards keep it within what was measured, so that it cannot know of full load before
    it was there. As long as there are few samples the machine's range is widened towards the
    prior's: by as much of what is missing as the machines are alike, by less with each sample, and
    not at all from the `FIRST_SAMPLES`-th on.

    ``most`` [F] is the prior's greatest usage, ``slopes`` [F, C] the watts by which it grows.
    """

    def __init__(self, most: Floats, slopes: Floats, likeness: float) -> None:
        self._most, self._slopes, self._likeness = most, slopes, likeness

    @classmethod
    def of(cls, prior: Prior) -> Reach:
        """The reach of a prior: from rest to its greatest usage, along a line."""
        rows = prior.rows - prior.rows.mean(axis=0)
        most = prior.rows.max(axis=0)
        slopes = np.zeros((rows.shape[1], prior.watts.shape[1]))
        known = most > 0
        fitted = np.linalg.lstsq(
            rows[:, known] / most[known], prior.watts - prior.watts.mean(axis=0), rcond=None
        )[0]
        slopes[known] = np.maximum(fitted, 0.0) / most[known, None]
        return cls(most, slopes, prior.likeness)

    def widen(self, models: Sequence[FrozenModel], samples: Sequence[int]) -> None:
        """Widen the guards of models that have learned so many samples each."""
        for model, count in zip(models, samples, strict=True):
            if count < FIRST_SAMPLES:
                self._widen(model, self._likeness * (1.0 - count / FIRST_SAMPLES))

    def _widen(self, model: FrozenModel, share: float) -> None:
        least, most = model.seen
        known = self._most > 0
        beyond = np.maximum(self._most - most, 0.0)
        # Squares of what is very much more than was ever seen are too much for some experts.
        beyond = np.where(most > 0, np.minimum(beyond, FARTHEST * most), beyond)
        above = np.where(known, share * beyond, 0.0)
        below = np.where(known, share * np.maximum(least, 0.0), 0.0)
        # New arrays: those of the guards are shared.
        model.seen = np.array([least - below, most + above])
        model.floor = np.maximum(model.floor - below @ self._slopes, np.minimum(model.floor, 0.0))
        model.ceiling = model.ceiling + above @ self._slopes
        model.upper = model.ceiling * (1.0 + MARGIN)

    def state(self) -> State:
        """Everything that `restore` needs."""
        return {"most": self._most, "slopes": self._slopes, "likeness": self._likeness}

    @classmethod
    def restore(cls, state: State) -> Reach:
        """Make the reach that ``state`` was taken of."""
        return cls(state["most"], state["slopes"], state["likeness"])
