"""The least power that a machine has shown, whatever one reading alone may have said."""

from __future__ import annotations

import numpy as np

from estimator.arrays import Floats, State


class Lowest:
    """The second lowest watts of each of C components so far.

    One reading that is too low changes nothing; a level that was there twice counts. Of one
    reading only, that is the lowest.

    >>> lowest = Lowest(1)
    >>> lowest.observe(np.array([[40.0], [3.0], [41.0], [39.0]]))
    >>> lowest.watts().tolist()
    [39.0]
    """

    def __init__(self, components: int) -> None:
        self._two = np.full((2, components), np.inf)

    def observe(self, watts: Floats) -> None:
        """Take in readings [K, C]."""
        if not (watts < self._two[1]).any():
            return
        self._two = np.sort(np.concatenate([self._two, watts]), axis=0)[:2]

    def watts(self) -> Floats:
        """The second lowest [C]; infinite before the first reading."""
        watts: Floats = np.where(np.isfinite(self._two[1]), self._two[1], self._two[0])
        return watts

    def absorb(self, other: Lowest) -> None:
        """Take in what another has seen."""
        self.observe(other._two)

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit."""
        return {"two": self._two}

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._two = state["two"]
