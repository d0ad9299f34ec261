from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import LogUnavailableError, RecordError
from stream.letters.dead_letters import MOST_BYTES, DeadLetter, DeadLetters, describe, reason_kind
from stream.log.memory import MemoryLog
from stream.log.protocol import Message, Outgoing, TopicPartition, TopicSpec
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC
from tests.stream.test_records import BAD_POWER, BAD_USAGE, reason_of_power, reason_of_usage


class FullLog(MemoryLog):
    """A log whose disk is full."""

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        raise LogUnavailableError("log /somewhere: database or disk is full")


def bad_message(value: bytes = b"{", offset: int = 17) -> Message:
    return Message(USAGE_TOPIC, 3, offset, 1_700_000_000_123, "node-a", value)


def read_back(log: MemoryLog) -> list[Message]:
    return log.reader({TopicPartition(DEAD_TOPIC, 0): 0}).poll(100, 0)


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.create_topics([TopicSpec(DEAD_TOPIC, 1)])
    return log


@given(
    value=st.binary(max_size=50),
    key=st.text(st.characters(codec="utf-8"), max_size=20),
    reason=st.text(max_size=100),
    topic=st.sampled_from([USAGE_TOPIC, POWER_TOPIC]),
    partition=st.integers(0, 100),
    offset=st.integers(0, 2**60),
    appended_ms=st.integers(0, 2**50),
    headers=st.lists(
        st.tuples(st.sampled_from(["reason", "trace", "truncated"]), st.binary(max_size=5))
    ),
)
def test_what_was_sent_is_described(
    value: bytes,
    key: str,
    reason: str,
    topic: str,
    partition: int,
    offset: int,
    appended_ms: int,
    headers: list[tuple[str, bytes]],
) -> None:
    log = MemoryLog()
    log.create_topics([TopicSpec(DEAD_TOPIC, 1)])
    message = Message(topic, partition, offset, appended_ms, key, value, tuple(headers))

    DeadLetters(log).send(message, reason)

    (dead,) = read_back(log)
    assert (dead.key, dead.value) == (key, value)
    printable = reason.encode(errors="replace").decode()
    assert describe(dead) == DeadLetter(
        printable, topic, partition, offset, appended_ms, key, value, tuple(headers)
    )


def test_headers_are_text(log: MemoryLog) -> None:
    DeadLetters(log).send(bad_message(), "v is 7: this release reads version 1")
    (dead,) = read_back(log)
    assert dead.headers == (
        ("reason", b"v is 7: this release reads version 1"),
        ("topic", b"wattstream.usage"),
        ("partition", b"3"),
        ("offset", b"17"),
        ("appended_ms", b"1700000000123"),
    )


def test_a_batch_keeps_its_order_and_is_counted_by_kind(log: MemoryLog) -> None:
    letters = DeadLetters(log)
    letters.send_many(
        [
            (bad_message(offset=1), "v is 7: this release reads version 1"),
            (bad_message(offset=2), "Input data was truncated"),
            (bad_message(offset=3), "v is 8: this release reads version 1"),
        ]
    )
    letters.send_many([])
    letters.send(bad_message(offset=4), "it smells")

    assert [describe(dead).offset for dead in read_back(log)] == [1, 2, 3, 4]
    assert letters.counts == {"version": 2, "not-json": 1, "other": 1}


def test_a_failing_log_is_not_silent_and_nothing_is_counted() -> None:
    letters = DeadLetters(FullLog())
    with pytest.raises(LogUnavailableError, match="disk is full"):
        letters.send(bad_message(), "Input data was truncated")
    assert letters.counts == {}


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ((), "header 'reason' is missing"),
        ((("reason", b"x"), ("topic", b"t")), "header 'partition' is missing"),
        (
            tuple((name, b"x") for name in ("reason", "topic", "partition", "offset")),
            "invalid literal",
        ),
        ((("reason", b"\xff"),), "utf-8"),
    ],
)
def test_other_messages_are_not_described(
    headers: tuple[tuple[str, bytes], ...], said: str
) -> None:
    with pytest.raises(RecordError, match=f"not a dead letter: .*{said}"):
        describe(bad_message()._replace(headers=headers))


@pytest.mark.parametrize("name", BAD_USAGE)
def test_every_reason_of_a_usage_record_has_a_kind(name: str) -> None:
    assert reason_kind(reason_of_usage(name)) != "other"


@pytest.mark.parametrize("name", BAD_POWER)
def test_every_reason_of_a_power_record_has_a_kind(name: str) -> None:
    assert reason_kind(reason_of_power(name)) != "other"


def test_a_letter_too_long_for_a_log_is_cut_and_says_so() -> None:
    with MemoryLog() as log:
        log.create_topics([TopicSpec(DEAD_TOPIC, 1)])
        value = bytes(3_000_000)
        message = Message("wattstream.usage", 2, 7, 1, "n", value)
        DeadLetters(log).send(message, "JSON is malformed")
        (found,) = log.reader({TopicPartition(DEAD_TOPIC, 0): 0}).poll(10, 1.0)
        assert len(found.value) == MOST_BYTES
        assert dict(found.headers)["truncated"].startswith(b"3000000 bytes")
        assert describe(found).offset == 7
        assert describe(found).truncated == "3000000 bytes, the first 1000000 are here"


def test_whatever_is_in_a_record_its_letter_fits_into_any_log(log: MemoryLog) -> None:
    """Of Kafka topics the lowest limit that is usual is 1,048,588 bytes."""
    headers = tuple((f"h{n}", bytes(5_000)) for n in range(700))
    key, value = "\U0001f50c" * 500_000, bytes(4_000_000)
    message = Message(USAGE_TOPIC, 2, 7, 1, key, value, headers)
    DeadLetters(log).send(message, "zone '" + "\U0001f50c" * 3_000_000 + "': joules are missing")
    (found,) = read_back(log)
    size = len(found.key.encode()) + len(found.value)
    size += sum(len(name.encode()) + len(text) for name, text in found.headers)
    assert size < 1_040_000
    letter = describe(found)
    assert letter.headers == headers[:3]
    assert letter.truncated == (
        "4000000 bytes, the first 1000000 are here; a key of 500000 characters, the first 2000 are"
        " here; 700 headers, the first 3 are here"
    )
