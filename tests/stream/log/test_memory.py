from __future__ import annotations

import pytest

from stream.log.memory import MemoryLog
from stream.log.protocol import TopicPartition, TopicSpec
from tests.stream.log.contract import numbered
from tests.stream.log.embedded import EmbeddedLogContract, ManualClock


class TestMemoryLog(EmbeddedLogContract):
    @pytest.fixture
    def embedded(self, clock: ManualClock) -> MemoryLog:
        return MemoryLog(clock)


def test_appending_applies_retention() -> None:
    clock = ManualClock()
    with MemoryLog(clock) as log:
        log.create_topics([TopicSpec("t", 1, retention_seconds=10)])
        for number in range(5):
            log.append_many("t", numbered("a", 1, number))
            clock.now += 6
        assert log.begin_offsets("t") == {TopicPartition("t", 0): 3}
