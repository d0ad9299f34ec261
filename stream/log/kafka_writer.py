"""Appending to Kafka: returns when every record is acknowledged, and says which were refused."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Any, Final, NamedTuple

from kafka import KafkaProducer
from kafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from estimator.errors import LogUnavailableError, RefusedError
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


class _Sized(NamedTuple):
    """A record, its place among all, and the bytes it takes at most if nothing compresses it."""

    place: int
    message: Outgoing
    size: int


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

        ``RefusedError`` if some are larger than ``limit`` bytes or otherwise refused: all others
        have been appended then. ``LogUnavailableError`` if some could not be appended now: some
        others may have been.
        """
        limit = min(limit, REQUEST_BYTES)
        try:
            refused = self._append(topic, partitions, limit, messages)
        except LogUnavailableError:
            self._failed = True
            raise
        self._failed = False
        if refused:
            first = _too_large(topic, refused[0], limit)
            raise RefusedError(
                f"{len(refused)} of {len(messages)} refused: {first}",
                tuple(record.place for record in refused),
            )

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
    ) -> list[_Sized]:
        """The same; which messages were refused."""
        producer = self._open()
        refused: list[_Sized] = []
        for part in _parts(_sizes(messages)):
            sent = []
            for record in part:
                if record.size > limit:
                    refused.append(record)
                else:
                    sent.append((record, self._send(producer, topic, partitions, record.message)))
            refused += self._settle(producer, sent)
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

    def _settle(self, producer: Any, sent: Sequence[tuple[_Sized, Any]]) -> list[_Sized]:
        """Wait for all of them; which were refused."""
        if not sent:
            return []
        deadline = time.monotonic() + 2 * self._connector.timeout_ms / 1000
        failures: list[KafkaError] = []
        refused = []
        try:
            producer.flush(deadline - time.monotonic())
        except KafkaError as error:
            failures.append(error)
        for record, future in sent:
            try:
                future.get(max(0.0, deadline - time.monotonic()))
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                refused.append(record)
            except KafkaError as error:
                failures.append(error)
        if failures:
            raise self._connector.unavailable(failures[-1]) from failures[-1]
        return refused


def _sizes(messages: Iterable[Outgoing]) -> Iterator[_Sized]:
    """Each message with the bytes it takes alone in a batch."""
    for place, message in enumerate(messages):
        headers = sum(len(name.encode()) + len(value) + 10 for name, value in message.headers)
        size = _OVERHEAD_BYTES + len(message.key.encode()) + len(message.value) + headers
        yield _Sized(place, message, size)


def _parts(records: Iterable[_Sized]) -> Iterator[list[_Sized]]:
    """The same in parts of ``IN_FLIGHT_BYTES``: the producer itself would buffer without bound."""
    part: list[_Sized] = []
    total = 0
    for record in records:
        if part and total + record.size > IN_FLIGHT_BYTES:
            yield part
            part, total = [], 0
        part.append(record)
        total += record.size
    if part:
        yield part


def _too_large(topic: str, record: _Sized, limit: int) -> str:
    key, size = record.message.key, record.size
    return f"topic {topic!r}, key {key!r}: the record has {size} bytes, limit is {limit}"
