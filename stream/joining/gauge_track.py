"""Watts that a meter said at points in time, taken as linear between them."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from estimator.arrays import State
from estimator.vocabulary import component_order
from stream.joining.meter_track import MeterTrack, Verdict, between
from stream.records import PowerRecord

MOST_WATTS: Final = 1e6
"""No machine draws more: what says so cannot be believed."""
LONGEST_GAP_MS: Final = 150_000
"""A gauge that was silent for longer says nothing of the time between."""


class GaugeTrack(MeterTrack):
    """Watts by component at points in time, taken as linear between them."""

    kind: Final = "gauge"

    def __init__(self) -> None:
        super().__init__()
        self._watts: list[tuple[float, ...]] = []

    def add(self, record: PowerRecord) -> Verdict:
        """Take in a reading, also one out of order."""
        said = record.watts or {}
        components = component_order(said)
        self._space(record.at)
        if components != self.components:
            self.resets += bool(self._at)
            self.components = components
            self._at, self._watts = [], []
        place = bisect_left(self._at, record.at)
        if place < len(self._at) and self._at[place] == record.at:
            return "duplicate"
        self._at.insert(place, record.at)
        self._watts.insert(place, tuple(said[component] for component in components))
        self._bound()
        return "kept"

    def mean_watts(self, start: int, end: int) -> tuple[float, ...] | None:
        """Mean power by component from start to end (ms); None where it is not known."""
        around = self._around(start, end)
        if around is None:
            return None
        first, last = around
        times = [start, *self._at[first + 1 : last], end]
        gaps = zip(self._at[first:last], self._at[first + 1 : last + 1], strict=True)
        if any(after - before > LONGEST_GAP_MS for before, after in gaps):
            return None
        watts = [
            between(first, start, self._at, self._watts),
            *self._watts[first + 1 : last],
            between(last, end, self._at, self._watts),
        ]
        joules = [0.0] * len(self.components)
        for i in range(len(times) - 1):
            milliseconds = times[i + 1] - times[i]
            for component in range(len(joules)):
                mean = (watts[i][component] + watts[i + 1][component]) / 2
                joules[component] += mean * milliseconds
        return tuple(energy / (end - start) for energy in joules)

    def _drop(self, count: int) -> None:
        del self._at[:count], self._watts[:count]

    def state(self) -> State:
        """Everything that `restore_track` needs to go on, bit for bit."""
        return {
            "kind": self.kind,
            "components": self.components,
            "at": self._at,
            "watts": self._watts,
            "resets": self.resets,
            "orphaned": self.orphaned,
            "spacing_ms": self.spacing_ms,
        }

    @classmethod
    def restore(cls, state: State) -> GaugeTrack:
        """Make the track that ``state`` was taken of."""
        track = cls()
        track.components = tuple(state["components"])
        track._at = list(state["at"])
        track._watts = [tuple(watts) for watts in state["watts"]]
        track.resets, track.orphaned = state["resets"], state["orphaned"]
        track.spacing_ms = state["spacing_ms"]
        return track
