"""Live collectors while a real broker is away: what is lost, and whether that is counted."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from stream.collecting.collect import Collector
from stream.log.kafka import KafkaLog
from tests.kafka.broker import Broker
from tests.kafka.fixtures import LEFT_SOCKETS
from tests.stream.builders import topics
from tests.stream.outages import simulated, through_an_outage, wait_for

pytestmark = [pytest.mark.slow, *LEFT_SOCKETS]

SMALL = 60
"""Records: what a source says in a second or two."""


def until_the_small_buffer_has_overflown(collectors: Sequence[Collector]) -> None:
    """And the large one has taken in a lot: sources are read on, whatever the log does."""
    enough, small = collectors
    wait_for(lambda: small.status[0].dropped > 3 * SMALL and enough.status[0].buffered > 3 * SMALL)


@pytest.mark.parametrize("how", ["killed", "hanging"])
def test_while_the_broker_is_away_nothing_is_lost_or_it_is_counted(
    own_kafka: Broker, how: str
) -> None:
    begin, end = own_kafka.kill, own_kafka.start
    if how == "hanging":
        begin, end = own_kafka.freeze, own_kafka.thaw  # type: ignore[assignment]  # returns less
    with KafkaLog(own_kafka.url, timeout_seconds=2) as log:
        topics(log, 2)
        enough, small = through_an_outage(
            log,
            [(simulated("enough", 4, 0.1), 10_000), (simulated("small", 4, 0.1), SMALL)],
            begin,
            until_the_small_buffer_has_overflown,
            end,
        )
    for seen in (enough, small):
        seen.check()
    assert enough.status.dropped == 0
    assert small.status.dropped > 3 * SMALL


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_an_outage_of_a_minute(own_kafka: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    files: list[int] = []

    def a_minute(collectors: Sequence[Collector]) -> None:
        for _ in range(60):
            time.sleep(1)
            files.append(len(list(Path("/proc/self/fd").iterdir())))

    with KafkaLog(own_kafka.url) as log:
        topics(log, 4)
        seen = through_an_outage(
            log,
            [(simulated("enough", 8, 0.25), 10_000), (simulated("small", 8, 0.25), 1000)],
            own_kafka.kill,
            a_minute,
            own_kafka.start,
        )
    with capsys.disabled():
        print(f"\nopen files while the broker was away: {min(files)} to {max(files)}")
        for name, one in zip(("10000", "1000"), seen, strict=True):
            print(f"\nbuffer of {name}: {one}")
    for one in seen:
        one.check()
    assert seen[0].status.dropped == 0
    assert seen[1].status.dropped > 0
