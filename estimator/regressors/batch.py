"""Rounds that a model learns one after the other in one go.

A live model gets one round at a time; a replay has many waiting. What takes numpy a microsecond a
call is done once for many rounds; what depends on the round before goes round by round. Nothing
that comes out, down to the last bit, depends on how rounds were batched: so sums run in one order,
and a product of matrices has the shape of its own round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats
from estimator.regressors.parts import Parts


class Round(NamedTuple):
    """Samples that are learned together: rows [K, F] and watts [K, C] at an event time (ms)."""

    rows: Floats
    watts: Floats
    at: int


class Batch(Parts):
    """B rounds: their rows [R, F] and watts [R, C] one after another, and where each begins."""

    def __init__(self, rounds: Sequence[Round]) -> None:
        super().__init__([len(one.rows) for one in rounds])
        self.at = [one.at for one in rounds]
        if len(rounds) == 1:
            self.rows, self.watts = rounds[0].rows, rounds[0].watts
        else:
            self.rows = np.concatenate([one.rows for one in rounds])
            self.watts = np.concatenate([one.watts for one in rounds])
        self.round_of_row: NDArray[np.intp] = np.repeat(np.arange(len(rounds)), self.sizes)

    def __len__(self) -> int:
        return len(self.at)

    def least(self, values: Floats) -> Floats:
        """The least of each round's rows: [R, X] to [B, X]."""
        return values if self.alone else np.minimum.reduceat(values, self.starts[:-1])

    def greatest(self, values: Floats) -> Floats:
        """The greatest of each round's rows: [R, X] to [B, X]."""
        return values if self.alone else np.maximum.reduceat(values, self.starts[:-1])
