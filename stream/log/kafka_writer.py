"""Appending to Kafka: returns when every record is acknowledged, and says which were refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from estimator.errors import LogUnavailableError, RecordError
from stream.log.kafka_clients import Connector
from stream.log.partitioning import partition_for
from stream.log.protocol import Outgoing

IN_FLIGHT_BYTES: Final = 16 * 1024 * 1024
"""So many bytes of one ``append`` wait for their acknowledgement at most; the next ones wait."""
BATCH_BYTES: Final = 256 * 1024
REQUEST_BYTES: Final = 8 * 1024 * 1024
LINGER_MS: Final = 50
"""Never waited for in full: an append flushes."""
_OVERHEAD_BYTES: Final = 200
"""A record's and its batch's own fields, at most, without headers."""

OPTIONS: Final[Mapping[str, Any]] = {
    "acks": "all",
    # The idempotent producer of kafka-python 3.0 fails for ever after one refused record, and
    # hangs for ever after one expired batch. Retries may thus write twice, which the join drops.
    "enable_idempotence": False,
    # More than one, and a retry overtakes what was sent after it.
    "max_in_flight_requests_per_connection": 1,
    "batch_size": BATCH_BYTES,
    "linger_ms": LINGER_MS,
    "max_request_size": REQUEST_BYTES,
    "metrics_enabled": False,
}


class _Sent(NamedTuple):
    """A record on its way."""

    message: Outgoing
    size: int
    future: Any


class KafkaWriter:
    """One producer, opened when first needed. Safe to share between threads."""

    def __init__(self, connector: Connector, compression: str | None) -> None:
        self._connector = connector
        self._compression = compression
        self._opening = Lock()
        self._producer: Any = None
        self._credentials: Mapping[str, Any] = {}
        self._failed = False
        self._closed = False

    def append(self, topic: str, partitions: int, limit: int, messages: Sequence[Outgoing]) -> None:
        """Append all of them to their partitions, in order, durably, before returning.

        ``RecordError`` if some are larger than ``limit`` bytes or otherwise refused: all others
        have been appended then. ``LogUnavailableError`` if some could not be appended now: some
        others may have been.
        """
        try:
            refused = self._append(topic, partitions, min(limit, REQUEST_BYTES), messages)
        except LogUnavailableError:
            self._failed = True
            raise
        self._failed = False
        if refused:
            raise RecordError(f"{len(refused)} of {len(messages)} refused: {refused[0]}")

    def close(self) -> None:
        """Close the producer. What is on its way gets its chance, no longer than a delivery may."""
        with self._opening:
            self._closed = True
            producer, self._producer = self._producer, None
        if producer is not None:
            try:
                producer.close(timeout=2 * self._connector.timeout_ms / 1000)
            except KafkaError as error:
                raise self._connector.unavailable(error) from error

    def _append(
        self, topic: str, partitions: int, limit: int, messages: Sequence[Outgoing]
    ) -> list[str]:
        """The same; which messages were refused, and why."""
        producer = self._open()
        refused: list[str] = []
        for part in _parts(_sizes(messages)):
            sent = []
            for message, size in part:
                if size > limit:
                    refused.append(_too_large(topic, message, size, limit))
                else:
                    sent.append(
                        _Sent(message, size, self._send(producer, topic, partitions, message))
                    )
            refused += self._settle(producer, topic, limit, sent)
        return refused

    def _open(self) -> Any:
        with self._opening:
            if self._closed:
                raise LogUnavailableError(f"log {self._connector.url}: it has been closed")
            if self._failed and self._connector.changed(self._credentials):
                self._give_up()
            if self._producer is None:
                self._credentials = self._connector.credentials()
                self._producer = self._connector.open(
                    KafkaProducer,
                    **OPTIONS,
                    compression_type=self._compression,
                    max_block_ms=self._connector.timeout_ms,
                    delivery_timeout_ms=self._connector.timeout_ms + LINGER_MS,
                )
            return self._producer

    def _give_up(self) -> None:
        """Close a producer whose password is no longer right: all that it was given has failed."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError):
                producer.close(timeout=self._connector.timeout_ms / 1000)

    def _send(self, producer: Any, topic: str, partitions: int, message: Outgoing) -> Any:
        key = message.key.encode()
        try:
            return producer.send(
                topic,
                message.value,
                key,
                list(message.headers),
                partition_for(message.key, partitions),
            )
        except KafkaError as error:
            raise self._connector.unavailable(error) from error

    def _settle(self, producer: Any, topic: str, limit: int, sent: Sequence[_Sent]) -> list[str]:
        """Wait for all of them; which were refused, and why."""
        if not sent:
            return []
        deadline = time.monotonic() + 2 * self._connector.timeout_ms / 1000
        failures: list[KafkaError] = []
        refused = []
        try:
            producer.flush(deadline - time.monotonic())
        except KafkaError as error:
            failures.append(error)
        for message, size, future in sent:
            try:
                future.get(max(0.0, deadline - time.monotonic()))
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                refused.append(_too_large(topic, message, size, limit))
            except KafkaError as error:
                failures.append(error)
        if failures:
            raise self._connector.unavailable(failures[-1]) from failures[-1]
        return refused


def _sizes(messages: Iterable[Outgoing]) -> Iterator[tuple[Outgoing, int]]:
    """Each message with the bytes it takes alone in a batch, at most, if nothing compresses it."""
    for message in messages:
        headers = sum(len(name.encode()) + len(value) + 10 for name, value in message.headers)
        yield message, _OVERHEAD_BYTES + len(message.key.encode()) + len(message.value) + headers


def _parts(
    sized: Iterable[tuple[Outgoing, int]],
) -> Iterator[list[tuple[Outgoing, int]]]:
    """The same in parts of ``IN_FLIGHT_BYTES``: the producer itself would buffer without bound."""
    part: list[tuple[Outgoing, int]] = []
    total = 0
    for message, size in sized:
        if part and total + size > IN_FLIGHT_BYTES:
            yield part
            part, total = [], 0
        part.append((message, size))
        total += size
    if part:
        yield part


def _too_large(topic: str, message: Outgoing, size: int, limit: int) -> str:
    return f"topic {topic!r}, key {message.key!r}: the record has {size} bytes, limit is {limit}"
