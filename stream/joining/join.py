"""Usage and power of each node, joined into samples over exactly the usage interval.

Energy is cumulative, so it can be interpolated between two readings: the power of a usage interval
is the energy at its end minus that at its start, over its length, whatever the scrape periods are.
Everything depends on the order of a node's records and on their event times, on nothing else.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter, deque
from typing import Final

from estimator.arrays import State
from estimator.errors import RecordError
from estimator.isolation.hints import Hints
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.vocabulary import canonical_source
from stream.joining.background_rates import background_between, background_within
from stream.joining.gauge_track import MOST_WATTS
from stream.joining.join_nodes import Interval, Meter, Node, node_state, restored_node
from stream.joining.power_track import Track, track_for
from stream.joining.usage_rates import (
    Reading,
    rates_between,
    rates_within,
    reading,
)
from stream.records import PowerRecord, UsageRecord
from stream.sample import Sample

LATENESS_SECONDS: Final = 10.0
MOST_PENDING: Final = 256
"""So many intervals of a node wait for power at the most."""
FORGET_NODE_SECONDS: Final = 7200.0
"""A node not heard of for so long (event time) is forgotten."""
_LOOK_FOR_GONE_EVERY: Final = 65_536
_LONGEST_RATE_SECONDS: Final = 86_400.0


class Join:
    """The join's state for one partition: each node's last counters, meters, waiting intervals.

    With ``hints`` samples also have the rates of the workloads that these name.
    """

    def __init__(
        self, lateness_seconds: float = LATENESS_SECONDS, hints: Hints | None = None
    ) -> None:
        self._hints = hints
        self._lateness_ms = round(lateness_seconds * 1000)
        self._nodes: dict[str, Node] = {}
        self._records = 0
        self._newest = -1
        self.counts: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._nodes)

    def add_usage(self, record: UsageRecord) -> list[Sample]:
        """Take in a usage record; what became complete by it. Raises ``RecordError``."""
        if record.mode == "rate":
            _check_length(record.interval or 0.0)
        node = self._node(record.node, record.at)
        if node.recent and record.at <= node.recent[-1]:
            if record.at in node.recent:
                self.counts["duplicate"] += 1
                return []
            if record.at < node.recent[-1] - self._lateness_ms:
                self.counts["late"] += 1
                return []
        # What is equal stays the same object: then nobody need compare it.
        if record.machine not in (node.machine, UNKNOWN_MACHINE):
            node.machine = record.machine
        intervals = self._rated(record) if record.mode == "rate" else self._counted(node, record)
        self._remember(node, record.at)
        for interval in intervals:
            free = self._free(node, interval)
            if free is None:
                self.counts["duplicate"] += 1
            else:
                self._wait(node, free)
        return self._advance(record.node, node)

    def add_power(self, record: PowerRecord) -> list[Sample]:
        """Take in a power record; what became complete by it. Raises ``RecordError``."""
        source = canonical_source(record.source)
        self._check_power(record, source)
        node = self._node(record.node, record.at)
        meter = node.meters.get(source)
        if meter is None:
            meter = node.meters[source] = Meter(track_for(record))
            meter.pending.extend(node.unmetered)
            node.unmetered.clear()
        if record.at < meter.track.newest - self._lateness_ms:
            self.counts["late"] += 1
            return []
        resets, orphaned = meter.track.resets, meter.track.orphaned
        verdict = meter.track.add(record)
        self.counts["reset"] += meter.track.resets - resets
        self.counts["orphaned"] += meter.track.orphaned - orphaned
        if verdict != "kept":
            self.counts[verdict] += 1
            return []
        return self._advance(record.node, node)

    def forget_usage(self, name: str) -> None:
        """Forget what the node did: the clock that said when has jumped."""
        node = self._nodes.get(name)
        if node is None:
            return
        waiting = [node.unmetered, *(meter.pending for meter in node.meters.values())]
        self.counts["clock"] += len({interval.end for queue in waiting for interval in queue})
        node.usage = None
        node.recent.clear()
        node.taken.clear()
        for queue in waiting:
            queue.clear()

    def _check_power(self, record: PowerRecord, source: str) -> None:
        """Refuse a record before anything has changed: it may be offered again."""
        for component, watts in (record.watts or {}).items():
            if watts > MOST_WATTS:
                raise RecordError(f"watts of {component!r} are {watts}: at most {MOST_WATTS:g}")
        node = self._nodes.get(record.node)
        meter = None if node is None else node.meters.get(source)
        if meter is not None and (record.zones is None) != (meter.track.kind == "gauge"):
            raise RecordError(
                f"source {record.source!r} of node {record.node!r} changed between zones and watts"
            )

    def _node(self, name: str, at: int) -> Node:
        self._records += 1
        if at > self._newest:
            self._newest = at
        if self._records % _LOOK_FOR_GONE_EVERY == 0:
            self._forget_gone()
        node = self._nodes.get(name)
        if node is None:
            node = self._nodes[name] = Node()
        if at > node.newest:
            node.newest = at
        return node

    def _forget_gone(self) -> None:
        oldest = self._newest - FORGET_NODE_SECONDS * 1000
        gone = [name for name, node in self._nodes.items() if node.newest < oldest]
        for name in gone:
            del self._nodes[name]
        self.counts["forgotten_nodes"] += len(gone)

    def _remember(self, node: Node, at: int) -> None:
        """Note a usage time, so that the same one is known for a duplicate while it may come."""
        recent = node.recent
        if recent and at < recent[-1]:
            node.recent = recent = deque(sorted((*recent, at)))
        else:
            recent.append(at)
        while recent[0] < recent[-1] - self._lateness_ms and len(recent) > 1:
            recent.popleft()

    def _rated(self, record: UsageRecord) -> list[Interval]:
        features, rates = rates_within(record)
        start = record.at - round((record.interval or 0.0) * 1000)
        hints = self._hints
        background = None if hints is None else background_within(record, features, hints)
        return [Interval(start, record.at, features, rates, None, None, background)]

    def _counted(self, node: Node, record: UsageRecord) -> list[Interval]:
        last = node.usage
        now = reading(record, last)
        if last is None:
            node.usage = now
            return []
        if record.at < last.at:
            return self._split(node, now)
        node.usage = now
        return self._between(last, now)

    def _between(self, before: Reading, after: Reading) -> list[Interval]:
        found = rates_between(before, after)
        if found is None:
            self.counts["reset"] += 1
            return []
        hints = self._hints
        background = None if hints is None else background_between(before, after, found[0], hints)
        return [Interval(before.at, after.at, *found, before, after, background)]

    def _split(self, node: Node, now: Reading) -> list[Interval]:
        """Put a reading that came out of order where it belongs, if nobody has learned that yet."""
        waiting = [node.unmetered, *(meter.pending for meter in node.meters.values())]
        halves: list[Interval] | None = None
        for queue in waiting:
            for place, interval in enumerate(queue):
                if not interval.start < now.at < interval.end:
                    continue
                if interval.before is None or interval.after is None:
                    continue
                if halves is None:
                    halves = [
                        *self._between(interval.before, now),
                        *self._between(now, interval.after),
                    ]
                parts = list(queue)
                parts[place : place + 1] = halves
                queue.clear()
                queue.extend(parts)
                break
        if halves is None:
            self.counts["late"] += 1
        return []

    def _free(self, node: Node, interval: Interval) -> Interval | None:
        """The latest part of the interval that no other covers: no joule is learned twice.

        Counters' intervals never overlap; those that rates are said to be of may.
        """
        taken, free = node.taken, interval
        start, end = interval.start, interval.end
        if taken and taken[-1][1] > start:
            for other_start, other_end in taken:
                if other_start >= end or other_end <= start:
                    continue
                if other_end < end:
                    start = other_end
                else:
                    end = other_start
            if start >= end:
                return None
            insort(taken, (start, end))
            if (start, end) != interval[:2]:
                free = interval._replace(start=start, end=end, before=None, after=None)
        else:
            taken.append((start, end))
        # Of those that end before anything that may still come, the last shields all before it.
        while len(taken) > 1 and taken[1][1] < node.recent[-1] - self._lateness_ms:
            taken.popleft()
        return free

    def _wait(self, node: Node, interval: Interval) -> None:
        queues = [meter.pending for meter in node.meters.values()] or [node.unmetered]
        for queue in queues:
            queue.append(interval)
            if len(queue) > 1 and queue[-2].end > interval.end:
                ordered = sorted(queue, key=lambda part: part.end)
                queue.clear()
                queue.extend(ordered)
            if len(queue) > MOST_PENDING:
                queue.popleft()
                self.counts["dropped"] += 1

    def _advance(self, name: str, node: Node) -> list[Sample]:
        """Emit what power has passed, drop what waited too long, forget what nobody needs."""
        samples: list[Sample] = []
        expired = node.newest - self._lateness_ms
        for source, meter in node.meters.items():
            pending, track = meter.pending, meter.track
            newest = track.newest
            while pending and pending[0].end <= newest:
                interval = pending.popleft()
                watts = track.mean_watts(interval.start, interval.end)
                if watts is None:
                    self.counts["dropped"] += 1
                    continue
                samples.append(_sample(name, node.machine, source, interval, track, watts))
            while pending and pending[0].end < expired - track.spacing_ms:
                pending.popleft()
                self.counts["dropped"] += 1
            self._prune(node, meter, newest)
        while node.unmetered and node.unmetered[0].end < expired:
            node.unmetered.popleft()
            self.counts["orphaned"] += 1
        return samples

    def _prune(self, node: Node, meter: Meter, newest: int) -> None:
        if meter.pending:
            needed = meter.pending[0].start
        elif node.usage is not None:
            needed = node.usage.at
        elif node.recent:
            needed = node.recent[-1]
        else:
            return
        meter.track.forget_before(min(needed, newest - self._lateness_ms))

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit; valid until the next record."""
        return {
            "records": self._records,
            "newest": self._newest,
            "counts": dict(self.counts),
            "nodes": {name: node_state(node) for name, node in self._nodes.items()},
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self._records, self._newest = state["records"], state["newest"]
        self.counts = Counter(state["counts"])
        self._nodes = {name: restored_node(saved) for name, saved in state["nodes"].items()}


def _check_length(seconds: float) -> None:
    if not 0.001 <= seconds <= _LONGEST_RATE_SECONDS:
        raise RecordError(f"interval is {seconds}: from 0.001 s to {_LONGEST_RATE_SECONDS:g} s")


def _sample(
    name: str,
    machine: MachineSpec,
    source: str,
    interval: Interval,
    track: Track,
    watts: tuple[float, ...],
) -> Sample:
    return Sample(
        name,
        machine,
        source,
        interval.start,
        interval.end,
        interval.features,
        interval.rates,
        track.components,
        watts,
        interval.background,
    )
