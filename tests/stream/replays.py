"""What tests of replays share: a log with more than is replayed, and what to ask of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final

import msgspec

from stream.log.memory import MemoryLog
from stream.log.protocol import Log, Outgoing
from stream.records import POWER_TOPIC, USAGE_TOPIC, encode, topic_of
from stream.replaying.replay_plan import Asked
from stream.replaying.when import format_time
from tests.stream.builders import START_MS, ManualClock, Record, append, fleet, topics

PARTITIONS: Final = 2
NODES: Final = ("n0", "n1", "n2", "n3")
FIRST_MS, LAST_MS = START_MS + 20_000, START_MS + 80_000
"""What is replayed of about 110 s."""
BAD: Final = (
    (USAGE_TOPIC, b"nonsense"),
    (POWER_TOPIC, b'{"v":1'),
    (USAGE_TOPIC, b'{"v":3}'),
)


def records() -> Iterator[Record | tuple[str, Outgoing]]:
    """Restless nodes, and some of what they send is unreadable."""
    for place, record in enumerate(fleet(nodes=len(NODES), steps=34, seed=3)):
        yield record
        if place % 60 == 30:
            topic, value = BAD[place // 60 % len(BAD)]
            yield topic, Outgoing(record.node, value)


def log_of_all(nodes: Collection[str] = NODES) -> tuple[MemoryLog, ManualClock]:
    """A log that has those of these nodes, 50 ms after their event time; and its clock."""
    clock = ManualClock(START_MS / 1000)
    log = MemoryLog(clock)
    topics(log, PARTITIONS)
    for record in records():
        if isinstance(record, tuple):
            if record[1].key in nodes:
                log.append_many(record[0], [record[1]])
            continue
        clock.now = max(clock.now, record.at / 1000 + 0.05)
        if record.node in nodes:
            append(log, record)
    return log, clock


def fill_at_once(log: Log, nodes: int, steps: int) -> None:
    """Make the topics, and append much in one go, with something unreadable in between."""
    by_topic: dict[str, list[Outgoing]] = {USAGE_TOPIC: [], POWER_TOPIC: []}
    for place, record in enumerate(fleet(nodes=nodes, steps=steps, seed=5)):
        topic = topic_of(record)
        by_topic[topic].append(Outgoing(record.node, encode(record)))
        if place % 1000 == 500:
            by_topic[topic].append(Outgoing(record.node, b"nonsense"))
    topics(log, PARTITIONS)
    for topic, outgoing in by_topic.items():
        log.append_many(topic, outgoing)


def asked(**changes: Any) -> Asked:
    """The stretch between the two times, of all nodes."""
    plain = Asked(
        start=format_time(FIRST_MS), end=format_time(LAST_MS), lateness=10.0, experts=("ridge",)
    )
    return msgspec.structs.replace(plain, **changes)
