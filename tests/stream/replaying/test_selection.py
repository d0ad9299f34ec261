from __future__ import annotations

import pytest

from stream.joining.merge import Entry
from stream.learning.shard import read
from stream.log.protocol import Message
from stream.records import POWER_TOPIC, USAGE_TOPIC, PowerRecord, encode
from stream.replaying.selection import OTHER_NODES, OTHER_TIMES, Selection
from tests.stream.builders import START_MS, Record, gauge, usage


def message(record: Record | bytes, key: str = "a", appended_ms: int = START_MS) -> Message:
    topic = POWER_TOPIC if isinstance(record, PowerRecord) else USAGE_TOPIC
    value = record if isinstance(record, bytes) else encode(record)
    return Message(topic, 0, 0, appended_ms, key, value)


def verdict(entry: Entry) -> str:
    return entry.reason if entry.left_out else "read"


@pytest.mark.parametrize("record", [usage, gauge])
@pytest.mark.parametrize(
    ("at", "expected"), [(999, OTHER_TIMES), (1000, "read"), (1999, "read"), (2000, OTHER_TIMES)]
)
def test_the_event_time_decides(record: object, at: int, expected: str) -> None:
    made = usage(at, x=1) if record is usage else gauge(at, platform=1)
    entry = Selection(1000, 2000).read(message(made))
    assert verdict(entry) == expected
    assert (entry.record is not None) == (expected == "read")


@pytest.mark.parametrize(
    ("at", "expected"), [(999, OTHER_TIMES), (1000, "read"), (2000, OTHER_TIMES)]
)
def test_of_what_cannot_be_read_the_time_of_appending_decides(at: int, expected: str) -> None:
    found = message(b"nonsense", appended_ms=at)
    entry = Selection(1000, 2000).read(found)
    assert verdict(entry) == expected
    if not entry.left_out:
        assert entry == read(found)


@pytest.mark.parametrize(
    ("nodes", "wanted"),
    [
        ([], {"a", "b", "worker-1", "worker-12"}),
        (["a"], {"a"}),
        (["worker-*"], {"worker-1", "worker-12"}),
        (["worker-?", "b"], {"worker-1", "b"}),
        (["worker-[2-9]*"], set()),
        (["A"], set()),
    ],
)
def test_nodes_are_chosen_by_name_or_pattern(nodes: list[str], wanted: set[str]) -> None:
    selection = Selection(0, 2 * START_MS, nodes)
    found = set()
    for node in ("a", "b", "worker-1", "worker-12"):
        entry = selection.read(message(usage(START_MS, node=node, x=1), key=node))
        if verdict(entry) == "read":
            found.add(node)
        else:
            assert verdict(entry) == OTHER_NODES
    assert found == wanted


def test_records_of_other_nodes_are_not_even_decoded() -> None:
    assert verdict(Selection(0, 1, ["a"]).read(message(b"nonsense", key="b"))) == OTHER_NODES


def test_without_a_key_the_record_says_whose_it_is() -> None:
    selection = Selection(0, 2 * START_MS, ["a"])
    assert verdict(selection.read(message(usage(START_MS, node="a", x=1), key=""))) == "read"
    entry = selection.read(message(usage(START_MS, node="b", x=1), key=""))
    assert verdict(entry) == OTHER_NODES
