"""What the join remembers of each node, and that as plain data."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from msgspec.structs import asdict

from estimator.arrays import Floats, State
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from stream.joining.power_track import Track, restore_track
from stream.joining.usage_rates import Reading, restore_reading


class Interval(NamedTuple):
    """A usage interval that waits for power. ``before`` and ``after`` are there to split it."""

    start: int
    end: int
    features: tuple[str, ...]
    rates: Floats
    before: Reading | None
    after: Reading | None
    background: Floats | None = None


class Meter:
    """One energy source of a node, and the intervals that wait for it."""

    __slots__ = ("pending", "track")

    def __init__(self, track: Track) -> None:
        self.track = track
        self.pending: deque[Interval] = deque()


class Node:
    """A node's last counters, its meters, and the usage intervals that wait for a meter.

    ``recent`` are the times (ms) of its latest usage records, ``taken`` the intervals whose usage
    is spoken for already, ``newest`` is the latest time heard of it.
    """

    __slots__ = ("machine", "meters", "newest", "recent", "taken", "unmetered", "usage")

    def __init__(self) -> None:
        self.machine: MachineSpec = UNKNOWN_MACHINE
        self.usage: Reading | None = None
        self.meters: dict[str, Meter] = {}
        self.unmetered: deque[Interval] = deque()
        self.recent: deque[int] = deque()
        self.taken: deque[tuple[int, int]] = deque()
        self.newest = -1


def node_state(node: Node) -> State:
    """Plain data from which `restored_node` makes the same node again."""
    return {
        "machine": asdict(node.machine),
        "usage": None if node.usage is None else node.usage.state(),
        "meters": {
            source: {
                "track": meter.track.state(),
                "pending": [_interval_state(interval) for interval in meter.pending],
            }
            for source, meter in node.meters.items()
        },
        "unmetered": [_interval_state(interval) for interval in node.unmetered],
        "recent": list(node.recent),
        "taken": list(node.taken),
        "newest": node.newest,
    }


def _interval_state(interval: Interval) -> State:
    return {
        "start": interval.start,
        "end": interval.end,
        "features": interval.features,
        "rates": interval.rates,
        "before": None if interval.before is None else interval.before.state(),
        "after": None if interval.after is None else interval.after.state(),
        "background": interval.background,
    }


def _restored_interval(state: State) -> Interval:
    before, after = state["before"], state["after"]
    return Interval(
        state["start"],
        state["end"],
        tuple(state["features"]),
        state["rates"],
        None if before is None else restore_reading(before),
        None if after is None else restore_reading(after),
        state["background"],
    )


def restored_node(state: State) -> Node:
    """Make the node that ``state`` was taken of."""
    node = Node()
    node.machine = MachineSpec(**state["machine"])
    node.usage = None if state["usage"] is None else restore_reading(state["usage"])
    for source, saved in state["meters"].items():
        meter = node.meters[source] = Meter(restore_track(saved["track"]))
        meter.pending.extend(_restored_interval(interval) for interval in saved["pending"])
    node.unmetered.extend(_restored_interval(interval) for interval in state["unmetered"])
    node.recent.extend(state["recent"])
    node.taken.extend((start, end) for start, end in state["taken"])
    node.newest = state["newest"]
    return node
