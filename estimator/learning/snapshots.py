"""Frozen models of some time ago, so that a model can be scored as its users meet it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from estimator.arrays import State
from estimator.artifacts.chunks import Chunks
from estimator.artifacts.frozen import FrozenModel

SPACING: Final = 0.05
"""Snapshots that are served are too old by no more than that fraction of their horizon, except
where no newer model was old enough."""


class Snapshots:
    """The frozen models of the last ``horizon_seconds``, thinned."""

    def __init__(self, horizon_seconds: float) -> None:
        self._horizon_ms = round(horizon_seconds * 1000)
        self._spacing_ms = self._horizon_ms * SPACING
        self._kept: deque[FrozenModel] = deque()

    def keep(self, model: FrozenModel) -> None:
        """Remember the model; the one before gives way if its neighbours are close together."""
        if len(self._kept) > 1 and model.at - self._kept[-2].at <= self._spacing_ms:
            self._kept.pop()
        self._kept.append(model)

    def as_of(self, at: int) -> FrozenModel | None:
        """The model as it was one horizon before ``at`` (Unix ms); None if there was none yet."""
        wanted = at - self._horizon_ms
        # The next one is in force as soon as it is old enough; older ones are never asked again.
        while len(self._kept) > 1 and self._kept[1].at <= wanted:
            self._kept.popleft()
        return self._kept[0] if self._kept and self._kept[0].at <= wanted else None

    def mark(self) -> list[FrozenModel]:
        """What is kept now, for `rewind`."""
        return list(self._kept)

    def rewind(self, mark: Sequence[FrozenModel]) -> None:
        """Keep what was kept when `mark` was called."""
        self._kept = deque(mark)

    def state(self, chunks: Chunks) -> State:
        """Everything that `restore` needs to go on, bit for bit; rows are left to ``chunks``."""
        return {"kept": [model.state(chunks) for model in self._kept]}

    def restore(self, state: State, chunks: Chunks) -> None:
        """Go on from a state that `state` gave."""
        self._kept = deque(FrozenModel.restore(kept, chunks) for kept in state["kept"])
