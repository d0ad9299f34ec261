"""The readings of one meter over time, asked for the mean power of any interval between them."""

from __future__ import annotations

from estimator.arrays import State
from stream.joining.counter_track import CounterTrack
from stream.joining.gauge_track import GaugeTrack
from stream.records import PowerRecord

Track = CounterTrack | GaugeTrack


def track_for(record: PowerRecord) -> Track:
    """An empty track for the kind of readings that the record holds."""
    return GaugeTrack() if record.zones is None else CounterTrack()


def restore_track(state: State) -> Track:
    """Make the track that ``state`` was taken of."""
    kind = GaugeTrack if state["kind"] == GaugeTrack.kind else CounterTrack
    return kind.restore(state)
