"""Fetching from Kafka, with a consumer that is replaced after an error: it might hang then."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import CorruptRecordError, KafkaError, UnsupportedCodecError

from estimator.errors import LogUnavailableError
from stream.log.kafka_clients import Connector, said
from stream.log.kafka_unreadable import first_readable
from stream.log.protocol import TopicPartition

_log = logging.getLogger(__name__)

OPTIONS: Final[Mapping[str, Any]] = {
    "group_id": None,
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "check_crcs": True,
    # Memory: one fetch here, one that the consumer has made ahead.
    "fetch_max_bytes": 16 * 1024 * 1024,
    "max_partition_fetch_bytes": 2 * 1024 * 1024,
    # A partition that is resumed joins the next fetch, so that none may wait for long.
    "fetch_max_wait_ms": 100,
    "metrics_enabled": False,
}
_MARKER: Final = 1
"""A transaction's end takes an offset and is no message: such a gap is no loss."""


class KafkaFetches:
    """The records of some partitions, in order, from given positions on.

    Records are kafka-python's, raw. What no client can decode (a batch whose checksum is wrong) is
    skipped and said in an error; the gap shows in the offsets. ``ends`` gives a topic's end
    offsets.
    """

    def __init__(
        self,
        connector: Connector,
        positions: Mapping[TopicPartition, int],
        ends: Callable[[str], Mapping[TopicPartition, int]],
    ) -> None:
        self._connector = connector
        self._positions = dict(positions)
        self._ends = ends
        self._paused: set[TopicPartition] = set()
        self._consumer: Any = None
        self._credentials: Mapping[str, Any] = {}
        self._open()

    def fetch(self, timeout_seconds: float) -> dict[TopicPartition, Sequence[Any]]:
        """All that has been fetched by now; if nothing has been, what comes within the timeout."""
        self._open()
        if self._consumer is None:
            time.sleep(timeout_seconds)
            return {}
        try:
            # All of it: no record may be left behind in the consumer, see `KafkaReader`.
            found = self._consumer.poll(int(timeout_seconds * 1000), sys.maxsize)
        except UnsupportedCodecError as error:
            self.close()
            raise LogUnavailableError(
                f"log {self._connector.url}: {said(error)}: install kafka-python's extra for it"
            ) from error
        except KafkaError as error:
            self.close()
            if not isinstance(error, CorruptRecordError):
                raise self._connector.unavailable(error) from error
            self._skip_unreadable(error)
            return {}
        except Exception as error:  # noqa: BLE001 - four decoders, each with errors of its own
            self.close()
            self._skip_unreadable(error)
            return {}
        if not found and self._connector.changed(self._credentials):
            self.close()  # it might have been refused, of which it says nothing
        for (topic, number), records in found.items():
            where = TopicPartition(topic, number)
            self._note_gap(where, records[0].offset)
            self._positions[where] = records[-1].offset + 1
        return {TopicPartition(*where): records for where, records in found.items()}

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch no more of these partitions."""
        self._paused.update(partitions)
        if self._consumer is not None:
            self._consumer.pause(*(KafkaPartition(*where) for where in partitions))

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Fetch these partitions again."""
        self._paused.difference_update(partitions)
        if self._consumer is not None:
            self._consumer.resume(*(KafkaPartition(*where) for where in partitions))

    def close(self) -> None:
        """Close the consumer; the next fetch opens another."""
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close(timeout_ms=self._connector.timeout_ms)

    def _open(self) -> None:
        if self._consumer is not None or not self._positions:
            return
        self._credentials = self._connector.credentials()
        consumer = self._connector.open(KafkaConsumer, **OPTIONS)
        consumer.assign([KafkaPartition(*where) for where in self._positions])
        for where, position in self._positions.items():
            consumer.seek(KafkaPartition(*where), position)
        consumer.pause(*(KafkaPartition(*where) for where in self._paused))
        self._consumer = consumer

    def _note_gap(self, where: TopicPartition, first: int) -> None:
        position = self._positions[where]
        if first > position + _MARKER:
            _log.warning(
                "%s/%d: %d messages from offset %d on are gone, reading from offset %d",
                *where,
                first - position,
                position,
                first,
            )
        elif first < position:
            _log.warning(
                "%s/%d ends before the position %d: reading from offset %d", *where, position, first
            )

    def _skip_unreadable(self, error: Exception) -> None:
        """Move past the batch that cannot be decoded; the next fetch brings what follows it."""
        skipped = False
        for where, position in self._positions.items():
            if where in self._paused:
                continue
            end = self._ends(where.topic)[where]
            readable = first_readable(self._connector, where, position, end)
            if readable > position:
                _log.error(
                    "%s/%d: offsets %d to %d cannot be read and are skipped: %s",
                    *where,
                    position,
                    readable - 1,
                    said(error),
                )
                self._positions[where] = readable
                skipped = True
        if not skipped:
            raise error
