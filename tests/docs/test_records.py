"""The examples in `docs/records.md` are records, and its program writes some."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from estimator.errors import RecordError
from estimator.machine import MachineSpec
from stream.letters.dead_letters import DeadLetter
from stream.log.open import open_log
from stream.log.protocol import Log, Message, TopicPartition, TopicSpec
from stream.records import (
    DEAD_TOPIC,
    POWER_TOPIC,
    USAGE_TOPIC,
    PowerRecord,
    UsageRecord,
    Workloads,
    Zone,
    decode_power,
    decode_usage,
)

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "records.md").read_text(encoding="utf-8")
EXAMPLES: Final = [
    example.encode() for example in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
]
GOLDEN: Final = ROOT / "tests" / "stream" / "golden"


def decoder(data: bytes) -> Callable[[bytes], UsageRecord | PowerRecord]:
    return decode_power if "source" in json.loads(data) else decode_usage


def is_golden(data: bytes) -> bool:
    """Whether the example says what one of the golden records says."""
    decode = decoder(data)
    for path in GOLDEN.glob("*.json"):
        try:
            if decode(path.read_bytes()) == decode(data):
                return True
        except RecordError:
            continue
    return False


def test_there_is_an_example_of_every_kind() -> None:
    decoded = [decoder(example)(example) for example in EXAMPLES]
    usage = {record.mode for record in decoded if isinstance(record, UsageRecord)}
    power = {record.zones is None for record in decoded if isinstance(record, PowerRecord)}
    assert usage == {"counter", "rate"}
    assert power == {True, False}


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_are_golden_records_and_keep_every_field(example: bytes) -> None:
    record = decoder(example)(example)
    assert is_golden(example)
    assert set(json.loads(example)) <= set(record.__struct_fields__)


@pytest.mark.parametrize("struct", [UsageRecord, PowerRecord, Workloads, Zone, MachineSpec])
def test_every_field_is_named(struct: type[msgspec.Struct]) -> None:
    missing = [name for name in struct.__struct_fields__ if f"`{name}`" not in PAGE]
    assert missing == []


def test_every_header_of_a_dead_letter_is_named() -> None:
    headers = set(DeadLetter.__struct_fields__) - {"key", "value", "headers"}
    assert [name for name in sorted(headers) if f"| `{name}` |" not in PAGE] == []


@pytest.mark.parametrize("topic", [USAGE_TOPIC, POWER_TOPIC, DEAD_TOPIC])
def test_every_topic_is_named(topic: str) -> None:
    assert f"| `{topic}` |" in PAGE


def test_the_program_writes_records_that_can_be_read(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with open_log(f"sqlite:{tmp_path}/wattstream-data/log.sqlite") as log:
        log.create_topics([TopicSpec(topic, 2) for topic in (USAGE_TOPIC, POWER_TOPIC)])
        subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True, timeout=60)
        usage, power = polled(log, USAGE_TOPIC), polled(log, POWER_TOPIC)
    assert decode_usage(usage.value, usage.appended_ms).node == usage.key == power.key
    assert decode_power(power.value, power.appended_ms).source == "redfish"
    assert usage.partition == power.partition


def polled(log: Log, topic: str) -> Message:
    """The only message of a topic."""
    reader = log.reader({TopicPartition(topic, number): 0 for number in range(2)})
    try:
        (message,) = reader.poll(10, timeout_seconds=1.0)
    finally:
        reader.close()
    return message
