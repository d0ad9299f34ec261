"""Reading a topic once, from where to where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final

from estimator.errors import LogUnavailableError
from stream.log.protocol import Log, Message, TopicPartition

PATIENCE_SECONDS: Final = 30
"""So long a log may say nothing before what it promised."""
_AT_ONCE: Final = 1000


def read_between(
    log: Log, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> Iterator[Message]:
    """The messages from these offsets on, up to and without those; each partition in order.

    What retention has deleted is left out. ``LogUnavailableError`` if nothing comes for
    ``PATIENCE_SECONDS`` though there should be more.
    """
    left = {where: ends[where] for where, begin in begins.items() if begin < ends[where]}
    if not left:
        return
    silent_seconds = 0
    with closing(log.reader({where: begins[where] for where in left})) as reader:
        while left:
            messages = reader.poll(_AT_ONCE, 1.0)
            silent_seconds = 0 if messages else silent_seconds + 1
            if not messages and _all_deleted(log, left):
                return
            if silent_seconds >= PATIENCE_SECONDS:
                where, end = next(iter(left.items()))
                raise LogUnavailableError(
                    f"{where.topic}/{where.partition} should reach to offset {end}, but nothing"
                    f" came for {PATIENCE_SECONDS} s"
                )
            for message in messages:
                where = TopicPartition(message.topic, message.partition)
                if message.offset < left.get(where, 0):
                    yield message
                if where in left and message.offset + 1 >= left[where]:
                    del left[where]
                    reader.pause([where])


def _all_deleted(log: Log, left: Mapping[TopicPartition, int]) -> bool:
    """Whether retention has meanwhile deleted all that was still to come."""
    begins: dict[TopicPartition, int] = {}
    for topic in {where.topic for where in left}:
        begins |= log.begin_offsets(topic)
    return all(begins[where] >= end for where, end in left.items())
