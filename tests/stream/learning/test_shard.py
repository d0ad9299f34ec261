from __future__ import annotations

import pytest

from estimator.errors import LogUnavailableError
from stream.learning import checkpoint
from stream.learning.pools import pool
from stream.learning.shard import Shard, read
from stream.log.protocol import Message
from stream.records import POWER_TOPIC, USAGE_TOPIC, encode
from tests.stream.builders import START_MS, Record, gauge, usage, zones


def message(topic: str, offset: int, value: bytes | Record) -> Message:
    data = value if isinstance(value, bytes) else encode(value)
    return Message(topic, 0, offset, START_MS, "a", data)


@pytest.mark.parametrize(
    ("topic", "record"), [(USAGE_TOPIC, usage(5, x=1)), (POWER_TOPIC, gauge(5, platform=1))]
)
def test_a_message_is_read_by_its_topic(topic: str, record: Record) -> None:
    entry = read(message(topic, 0, record))
    assert (entry.record, entry.reason) == (record, "")


def test_what_cannot_be_read_says_why() -> None:
    for topic, value, reason in [
        (USAGE_TOPIC, b"{", "truncated"),
        (POWER_TOPIC, encode(usage(5)), "source"),
        (USAGE_TOPIC, encode(usage(START_MS + 3_600_001)), "after the log took the record"),
    ]:
        entry = read(message(topic, 0, value))
        assert entry.record is None
        assert reason in entry.reason


class Bench:
    def __init__(self) -> None:
        self.dead: list[tuple[int, str]] = []
        self.refuses = False
        self.shard = Shard(0, pool(["ridge"]), self._bury)

    def _bury(self, dead: Message, reason: str) -> None:
        if self.refuses:
            raise LogUnavailableError("the log is away")
        self.dead.append((dead.offset, reason))

    def process(self, topic: str, offset: int, value: bytes | Record) -> None:
        self.shard.process(read(message(topic, offset, value)))


def test_positions_and_gaps_are_counted() -> None:
    bench = Bench()
    bench.process(USAGE_TOPIC, 0, usage(1, x=1))
    bench.process(USAGE_TOPIC, 1, usage(2, x=1))
    bench.process(USAGE_TOPIC, 7, usage(3, x=1))  # retention has deleted what was between
    bench.process(POWER_TOPIC, 0, gauge(3, platform=1))
    assert bench.shard.positions == {USAGE_TOPIC: 8, POWER_TOPIC: 1}
    assert bench.shard.counts == {"usage_records": 3, "power_records": 1, "skipped_messages": 5}


def test_bad_records_are_buried_and_passed() -> None:
    bench = Bench()
    bench.process(POWER_TOPIC, 0, zones(1000, {"package": 1}))
    bad: list[tuple[str, bytes | Record]] = [
        (USAGE_TOPIC, b"nonsense"),
        (USAGE_TOPIC, usage(1000, interval=1e300, x=1)),
        (POWER_TOPIC, gauge(2000, source="rapl", package=1)),
    ]
    for offset, (topic, value) in enumerate(bad, start=1):
        bench.process(topic, offset, value)
    assert [offset for offset, _ in bench.dead] == [1, 2, 3]
    assert bench.shard.counts[f"dead {USAGE_TOPIC}"] == 2
    assert bench.shard.counts[f"dead {POWER_TOPIC}"] == 1
    assert bench.shard.positions == {USAGE_TOPIC: 3, POWER_TOPIC: 4}
    checkpoint.encode(bench.shard.state())


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        (USAGE_TOPIC, b"nonsense"),
        (USAGE_TOPIC, usage(1000, interval=1e300, x=1)),
        (POWER_TOPIC, gauge(2000, source="rapl", package=1)),
    ],
)
def test_nothing_has_changed_if_a_record_cannot_be_buried(
    topic: str, value: bytes | Record
) -> None:
    bench = Bench()
    bench.process(POWER_TOPIC, 0, zones(1000, {"package": 1}))
    before = checkpoint.encode(bench.shard.state())
    bench.refuses = True
    for _ in range(2):
        with pytest.raises(LogUnavailableError):
            bench.process(topic, 1, value)
        assert checkpoint.encode(bench.shard.state()) == before


def test_samples_are_learned() -> None:
    bench = Bench()
    for second in range(6):
        at = START_MS - 60_000 + 1000 * second
        bench.process(POWER_TOPIC, second, zones(at, {"package": 10 * second}))
        bench.process(USAGE_TOPIC, second, usage(at, bpf_cpu_time_ms=second))
    bench.process(POWER_TOPIC, 6, zones(START_MS - 50_000, {"package": 100}))
    assert bench.shard.learner.counts["samples"] == 5
    again = Bench()
    again.shard.restore(checkpoint.decode(checkpoint.encode(bench.shard.state())))
    assert checkpoint.encode(again.shard.state()) == checkpoint.encode(bench.shard.state())
