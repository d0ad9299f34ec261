"""The rows that windows are views of: written once, then shared by all that look at them."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State

_MOST_SCALES: Final = 6
"""By so many scales rows are kept divided: those of four horizons, and what changes them."""

Singles = NDArray[np.float32]


class Chunk:
    """Rows [N, F] with watts [N, C] and times [N], one after another, up to a capacity.

    What is written never changes, so that a frozen expert may keep looking at its part.
    """

    def __init__(self, capacity: int, features: int, components: int) -> None:
        self.rows: Floats = np.empty((capacity, features))
        self.watts: Floats = np.empty((capacity, components))
        self.seconds: Floats = np.empty(capacity)
        self.used = 0
        self._scaled: dict[bytes, tuple[int, Singles]] = {}

    @classmethod
    def of(cls, rows: Floats, watts: Floats, seconds: Floats | None = None) -> Chunk:
        """A full one of these arrays, which are not copied."""
        made = cls(0, rows.shape[1], watts.shape[1])
        made.rows, made.watts, made.used = rows, watts, len(rows)
        made.seconds = np.zeros(len(rows)) if seconds is None else seconds
        return made

    @property
    def room(self) -> int:
        """How many more rows fit."""
        return len(self.rows) - self.used

    def append(self, rows: Floats, watts: Floats, seconds: float | Floats) -> None:
        """Write further rows; they must fit."""
        part = slice(self.used, self.used + len(rows))
        self.rows[part], self.watts[part], self.seconds[part] = rows, watts, seconds
        self.used = part.stop

    def cut(self, used: int) -> None:
        """Take the rows from ``used`` on back: nobody looks at them any more."""
        self.used = used
        for key, (done, columns) in self._scaled.items():
            self._scaled[key] = (min(done, used), columns)

    def scaled(self, scales: Floats, stop: int) -> Singles:
        """The first ``stop`` rows divided by scales that none of them exceeds: [F, >= stop].

        Half as exact, twice as fast to compare, and kept for the next question.
        """
        key = scales.tobytes()
        done, columns = self._scaled.pop(key, (0, None))
        if columns is None:
            columns = np.empty(self.rows.T.shape, dtype=np.float32)
        if done < stop:
            columns[:, done:stop] = (self.rows[done:stop] / scales).T
            done = stop
        while len(self._scaled) >= _MOST_SCALES:
            del self._scaled[next(iter(self._scaled))]
        self._scaled[key] = (done, columns)
        return columns

    def state(self) -> State:
        """Everything that `restore` needs."""
        part = slice(0, self.used)
        return {
            "capacity": len(self.rows),
            "rows": self.rows[part],
            "watts": self.watts[part],
            "seconds": self.seconds[part],
        }

    @classmethod
    def restore(cls, state: State) -> Chunk:
        """Make the chunk that ``state`` was taken of."""
        rows, watts = state["rows"], state["watts"]
        made = cls(int(state["capacity"]), rows.shape[1], watts.shape[1])
        made.append(rows, watts, state["seconds"])
        return made


class Chunks:
    """The chunks that a state refers to by number, each of them held once."""

    def __init__(self, states: list[State] | None = None) -> None:
        self._all = [Chunk.restore(state) for state in states or []]

    def number(self, chunk: Chunk) -> int:
        """The chunk's number; it gets one when it is seen first."""
        for number, known in enumerate(self._all):
            if known is chunk:
                return number
        self._all.append(chunk)
        return len(self._all) - 1

    def __getitem__(self, number: int) -> Chunk:
        return self._all[number]

    def state(self) -> list[State]:
        """The state of each, by number."""
        return [chunk.state() for chunk in self._all]


@runtime_checkable
class Chunked(Protocol):
    """What has its rows in chunks, and a state that refers to them."""

    def chunked_state(self, chunks: Chunks) -> State:
        """Plain data, the rows left to ``chunks``."""
        ...
