from __future__ import annotations

from collections.abc import Sequence

import pytest

from estimator.errors import RecordError
from stream.log.protocol import Outgoing
from stream.outbox import Outbox
from stream.records import PowerRecord, Zone


class Choosy:
    """A log that takes all but what is keyed by one name."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        self.taken += [message.key for message in messages if message.key != "too-large"]
        if any(message.key == "too-large" for message in messages):
            raise RecordError("1 of some refused: it has 10485760 bytes, the limit is 4194304")


def power(node: str, at: int) -> PowerRecord:
    return PowerRecord(1, node, at, "rapl-sysfs", [Zone("package", "package-0", 1.0)])


def test_a_record_that_the_log_never_takes_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = Choosy()
    outbox = Outbox(log, batch_records=2)
    outbox.put([power("a", 1), power("too-large", 2), power("b", 3)])
    outbox.flush()
    assert log.taken == ["a", "b"]
    assert len(outbox) == 0
    assert outbox.refused == 1
    assert "the limit is 4194304" in caplog.text
    outbox.flush()
    assert log.taken == ["a", "b"]
