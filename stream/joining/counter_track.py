"""Energy counters of one meter over time: unwrapped, added up by component, interpolated."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import add
from typing import Final

from estimator.arrays import State
from stream.joining.meter_track import MeterTrack, Verdict, between
from stream.joining.zones import ZoneLayout, zone_layout
from stream.records import PowerRecord, Zone

MOST_WATTS: Final = 5000.0
"""No zone draws more: a counter that would have to have done so was reset, and did not wrap."""
_ROUNDING_JOULES: Final = 1e-3


class CounterTrack(MeterTrack):
    """Energy counters by zone, unwrapped; the zones of one component are added up.

    A run is a stretch of readings without a reset: energy is known only within one run.
    """

    kind: Final = "counter"

    def __init__(self) -> None:
        super().__init__()
        self._runs: list[int] = []
        self._joules: list[tuple[float, ...]] = []
        self._layouts: list[ZoneLayout] = []
        self._raw: list[tuple[float, ...]] = []

    def add(self, record: PowerRecord) -> Verdict:
        """Take in a reading, also one out of order if it fits between its neighbours."""
        zones = record.zones or []
        layout = zone_layout(tuple([(zone.component, zone.zone) for zone in zones]))
        place = bisect_left(self._at, record.at)
        if place < len(self._at):
            if self._at[place] == record.at:
                return "duplicate"
            return self._insert(place, record.at, layout, zones)
        self._space(record.at)
        components = layout.components
        gained = self._gained(len(self._at) - 1, record.at, layout, zones)
        if gained is None or components != self.components:
            if self._at:
                self.resets += 1
            if components != self.components:
                self._drop(len(self._at))
            self.components = components
            run, joules = (self._runs[-1] + 1 if self._runs else 0), (0.0,) * len(components)
        else:
            run = self._runs[-1]
            joules = tuple(map(add, self._joules[-1], gained))
        self._at.append(record.at)
        self._runs.append(run)
        self._joules.append(joules)
        self._layouts.append(layout)
        self._raw.append(tuple([zone.joules for zone in zones]))
        self._bound()
        return "kept"

    def _insert(
        self,
        place: int,
        at: int,
        layout: ZoneLayout,
        zones: Sequence[Zone],
    ) -> Verdict:
        if place == 0 or self._runs[place - 1] != self._runs[place]:
            return "late"
        gained = self._gained(place - 1, at, layout, zones)
        if gained is None:
            return "late"
        after = self._joules[place]
        joules = tuple(map(add, self._joules[place - 1], gained))
        if any(a > b + _ROUNDING_JOULES for a, b in zip(joules, after, strict=True)):
            return "late"
        joules = tuple(map(min, joules, after))
        self._at.insert(place, at)
        self._runs.insert(place, self._runs[place])
        self._joules.insert(place, joules)
        self._layouts.insert(place, layout)
        self._raw.insert(place, tuple([zone.joules for zone in zones]))
        self._bound()
        return "kept"

    def _gained(
        self,
        before: int,
        at: int,
        layout: ZoneLayout,
        zones: Sequence[Zone],
    ) -> list[float] | None:
        """Joules by component since an earlier reading; None if a counter was reset since."""
        known = None if before < 0 else self._known(before, layout)
        if known is None:
            return None
        most = MOST_WATTS * (at - self._at[before]) / 1000.0
        gained = [0.0] * len(layout.components)
        for zone, last, place in zip(zones, known, layout.places, strict=True):
            difference = zone.joules - last
            if difference < 0:
                wrap = zone.wraps_at
                difference = most + 1.0 if wrap is None else difference + wrap
            if difference > most:
                return None
            gained[place] += difference
        return gained

    def _known(self, place: int, layout: ZoneLayout) -> Sequence[float] | None:
        """What a reading's counters said, in the layout's order; None if it had others."""
        if self._layouts[place] is layout:
            return self._raw[place]
        known = dict(zip(self._layouts[place].names, self._raw[place], strict=True))
        if known.keys() != set(layout.names):
            return None
        return [known[name] for name in layout.names]

    def mean_watts(self, start: int, end: int) -> tuple[float, ...] | None:
        """Mean power by component from start to end (ms); None where energy is not known."""
        around = self._around(start, end)
        if around is None or self._runs[around[0]] != self._runs[around[1]]:
            return None
        seconds = (end - start) / 1000.0
        before = between(around[0], start, self._at, self._joules)
        after = between(around[1], end, self._at, self._joules)
        return tuple([(b - a) / seconds for a, b in zip(before, after, strict=True)])

    def _drop(self, count: int) -> None:
        for readings in (self._at, self._runs, self._joules, self._layouts, self._raw):
            del readings[:count]

    def state(self) -> State:
        """Everything that `restore_track` needs to go on, bit for bit."""
        return {
            "kind": self.kind,
            "components": self.components,
            "at": self._at,
            "runs": self._runs,
            "joules": self._joules,
            "raw": [
                [(*name, joules) for name, joules in zip(layout.names, raw, strict=True)]
                for layout, raw in zip(self._layouts, self._raw, strict=True)
            ],
            "resets": self.resets,
            "orphaned": self.orphaned,
            "spacing_ms": self.spacing_ms,
        }

    @classmethod
    def restore(cls, state: State) -> CounterTrack:
        """Make the track that ``state`` was taken of."""
        track = cls()
        track.components = tuple(state["components"])
        track._at, track._runs = list(state["at"]), list(state["runs"])
        track._joules = [tuple(joules) for joules in state["joules"]]
        for raw in state["raw"]:
            track._layouts.append(zone_layout(tuple([(name[0], name[1]) for name in raw])))
            track._raw.append(tuple([joules for _, _, joules in raw]))
        track.resets, track.orphaned = state["resets"], state["orphaned"]
        track.spacing_ms = state["spacing_ms"]
        return track
