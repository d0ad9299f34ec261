"""Collectors that go on through an outage of the log, and what became of each record."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import pairwise
from typing import NamedTuple

from estimator.errors import LogUnavailableError
from stream.collecting.collect import Collector
from stream.collecting.source_runner import SourceStatus
from stream.log.protocol import Log, Message
from stream.records import POWER_TOPIC, USAGE_TOPIC, PowerRecord, decode_power, decode_usage
from stream.sources.protocol import Record, Source
from stream.sources.simulated import SimulatedSource

PATIENCE_SECONDS = 90.0


class Identity(NamedTuple):
    """What makes a record this one and no other; the meter's name is empty for usage."""

    node: str
    at: int
    meter: str


class Watched:
    """A live source, remembering what it said and when it was asked."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.said: list[Identity] = []
        self.asked_at: list[float] = []
        self._source = source

    @property
    def interval_seconds(self) -> float | None:
        return self._source.interval_seconds

    def poll(self) -> list[Record] | None:
        self.asked_at.append(time.monotonic())
        records = self._source.poll()
        self.said += [identity(record) for record in records or ()]
        return records

    def close(self) -> None:
        self._source.close()

    def longest_gap(self) -> float:
        """The most seconds between two times that it was asked."""
        return max(b - a for a, b in pairwise(self.asked_at))


def identity(record: Record) -> Identity:
    meter = record.source if isinstance(record, PowerRecord) else ""
    return Identity(record.node, record.at, meter)


def simulated(name: str, nodes: int, interval_seconds: float) -> Watched:
    """Simulated nodes that are read, usage and two meters, every so many seconds."""
    names = [f"{name}-{number}" for number in range(nodes)]
    return Watched(
        SimulatedSource(names, interval_seconds=interval_seconds, meter_seconds=interval_seconds)
    )


class Outage(NamedTuple):
    """What was seen of one collector's only source, after the end."""

    status: SourceStatus
    said: list[Identity]
    found: dict[tuple[str, int], list[Identity]]
    """By topic and partition, in the log's order, repeats included."""
    longest_gap: float

    @property
    def missing(self) -> set[Identity]:
        """What was said and is not in the log."""
        return set(self.said) - {one for found in self.found.values() for one in found}

    def check(self) -> None:
        """Every record is in the log or counted as dropped, never both; the order is kept."""
        assert len(set(self.said)) == len(self.said)
        assert (self.status.unsure, self.status.refused, self.status.buffered) == (0, 0, 0)
        assert self.status.dropped == len(self.missing)
        assert self.status.records == len(self.said) - len(self.missing)
        for found in self.found.values():
            by_source: dict[tuple[str, str], list[int]] = {}
            for one in dict.fromkeys(found):
                by_source.setdefault((one.node, one.meter), []).append(one.at)
            assert all(times == sorted(times) for times in by_source.values())

    def __str__(self) -> str:
        repeats = sum(
            sum(Counter(found).values()) - len(set(found)) for found in self.found.values()
        )
        return (
            f"{len(self.said)} records said, {self.status.records} in the log"
            f" ({repeats} of them twice), {self.status.dropped} dropped; asked at least every"
            f" {self.longest_gap:.2f} s"
        )


def wait_for(what: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def through_an_outage(
    log: Log,
    sources: Sequence[tuple[Watched, int]],
    begin: Callable[[], object],
    last: Callable[[Sequence[Collector]], object],
    end: Callable[[], object],
) -> list[Outage]:
    """Run each source with a buffer of so many records, through an outage, to a quiet end.

    The topics must be there and empty. ``begin`` makes the outage, ``last`` lets it last, given
    the collectors, and ``end`` ends it.
    """
    collectors = [Collector([source], log, buffer_records=size) for source, size in sources]
    try:
        for collector in collectors:
            collector.start()
        wait_for(lambda: all(one.status[0].records >= 40 for one in collectors))
        begin()
        last(collectors)
        end()
        wait_for(lambda: all(one.status[0].buffered <= 20 for one in collectors))
    finally:
        for collector in collectors:
            collector.close()
    contents = {topic: _content(log, topic) for topic in (USAGE_TOPIC, POWER_TOPIC)}
    return [
        Outage(
            collector.status[0],
            source.said,
            _of(contents, {one.node for one in source.said}),
            source.longest_gap(),
        )
        for collector, (source, _) in zip(collectors, sources, strict=True)
    ]


def _of(
    contents: dict[str, list[Message]], nodes: set[str]
) -> dict[tuple[str, int], list[Identity]]:
    found: dict[tuple[str, int], list[Identity]] = {}
    for topic, messages in contents.items():
        read: Callable[[bytes], Record] = decode_usage if topic == USAGE_TOPIC else decode_power
        for message in messages:
            if message.key in nodes:
                place = found.setdefault((topic, message.partition), [])
                place.append(identity(read(message.value)))
    return found


def _content(log: Log, topic: str) -> list[Message]:
    """Everything in the topic."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            ends = log.end_offsets(topic)
            break
        except LogUnavailableError:
            assert time.monotonic() < deadline
    messages: list[Message] = []
    with closing(log.reader(dict.fromkeys(ends, 0))) as reader:
        while len(messages) < sum(ends.values()):
            messages += reader.poll(1000, 1.0)
            assert time.monotonic() < deadline
    return messages
