"""Finding the end of a batch that cannot be decoded.

The client raises for such a batch wherever in it the reading starts, names neither the partition
nor the batch's end, and must not be polled again. So the end is searched for, with a new client
for every attempt. That is slow, and happens only to what a broken disk or producer has left.
"""

from __future__ import annotations

import time
from typing import Any

from kafka import KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import CorruptRecordError, KafkaError

from stream.log.kafka_clients import Connector
from stream.log.protocol import TopicPartition


def first_readable(connector: Connector, where: TopicPartition, position: int, end: int) -> int:
    """The first offset from ``position`` on, up to the ``end``, from which reading works."""
    if position >= end or _readable(connector, where, position):
        return position
    bad, step = position, 1
    while bad + step < end and not _readable(connector, where, bad + step):
        bad, step = bad + step, 2 * step
    good = min(bad + step, end)
    while good - bad > 1:
        middle = (bad + good) // 2
        if _readable(connector, where, middle):
            good = middle
        else:
            bad = middle
    return good


def _readable(connector: Connector, where: TopicPartition, offset: int) -> bool:
    partition = KafkaPartition(*where)
    consumer: Any = connector.open(
        KafkaConsumer,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        metrics_enabled=False,
        # One batch, not what follows it: the broker sends at least one, however large.
        max_partition_fetch_bytes=1,
    )
    try:
        consumer.assign([partition])
        consumer.seek(partition, offset)
        deadline = time.monotonic() + connector.timeout_ms / 1000
        while not consumer.poll(100, 1) and time.monotonic() < deadline:
            if consumer.position(partition) != offset:
                break  # a batch without messages, and nothing wrong with it
    except KafkaError as error:
        if not isinstance(error, CorruptRecordError):
            raise connector.unavailable(error) from error
        return False
    except Exception:  # noqa: BLE001 - four decoders, each with errors of its own
        return False
    else:
        return True
    finally:
        consumer.close(timeout_ms=connector.timeout_ms)
