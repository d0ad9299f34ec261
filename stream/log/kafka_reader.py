"""Reading from Kafka: partitions and offsets are given, no group is joined, nothing is starved."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stream.log.fairness import fair_shares
from stream.log.kafka_clients import Connector
from stream.log.kafka_fetches import KafkaFetches
from stream.log.protocol import Message, TopicPartition


class KafkaReader:
    """A ``Reader`` of a Kafka log; one consumer, with a thread of its own for the network.

    What a fetch has brought is queued here and handed out in fair shares. The consumer itself must
    never be paused in the middle of what it has fetched: kafka-python 3.0 then forgets the rest,
    and the partition, for good. While the brokers are away, polls find nothing, and go on by
    themselves when they are back.
    """

    def __init__(
        self,
        connector: Connector,
        positions: Mapping[TopicPartition, int],
        ends: Callable[[str], Mapping[TopicPartition, int]],
    ) -> None:
        self._fetches = KafkaFetches(connector, positions, ends)
        # In the order in which they have waited for their turn, the longest first.
        self._queues: dict[TopicPartition, deque[Any]] = {where: deque() for where in positions}
        self._paused: set[TopicPartition] = set()

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return the next messages, at most so many; none only once the timeout has passed.

        ``LogUnavailableError`` if the brokers refuse (no authorization, say); the positions are
        then as they were.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            messages = self._take(max_messages)
            left = max(0.0, deadline - time.monotonic())
            if messages or (not self._fetch(left) and not left):
                return messages

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of polls until they are resumed; their positions stay."""
        paused = [where for where in partitions if where not in self._paused]
        self._paused.update(paused)
        self._fetches.pause(paused)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Poll these partitions again."""
        resumed = [where for where in partitions if where in self._paused]
        self._paused.difference_update(resumed)
        self._fetches.resume(resumed)

    def close(self) -> None:
        """Close the consumer."""
        self._queues = {}
        self._fetches.close()

    def _fetch(self, timeout_seconds: float) -> bool:
        """Queue what the consumer has or gets now; whether that is anything."""
        found = self._fetches.fetch(timeout_seconds)
        for where, records in found.items():
            self._queues[where].extend(records)
        return bool(found)

    def _take(self, limit: int) -> list[Message]:
        ready = [w for w, queue in self._queues.items() if queue and w not in self._paused]
        shares = fair_shares([len(self._queues[where]) for where in ready], limit)
        messages: list[Message] = []
        for where, share in zip(ready, shares, strict=True):
            if share:
                queue = self._queues.pop(where)
                messages += [_message(queue.popleft()) for _ in range(share)]
                self._queues[where] = queue
        return messages


def _message(record: Any) -> Message:
    """A foreign producer may send no key, no value, and bytes that are no text."""
    return Message(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key.decode(errors="replace") if record.key else "",
        record.value or b"",
        tuple((name, value or b"") for name, value in record.headers) if record.headers else (),
    )
