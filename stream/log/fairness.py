"""Whose turn it is: the positions of a reader, and fair shares of a poll among partitions."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from stream.log.protocol import TopicPartition

logger = logging.getLogger(__name__)


class Span(NamedTuple):
    """Offsets ``first`` to ``stop - 1`` of a partition."""

    partition: TopicPartition
    first: int
    stop: int


def fair_shares(available: Sequence[int], limit: int) -> list[int]:
    """How many to take of each, at most ``limit`` together: even, what one lacks goes to others.

    If there are more than ``limit`` of them, the first ``limit`` get one each.

    >>> fair_shares([100, 2, 100], 10)
    [4, 2, 4]
    >>> fair_shares([5, 5, 5], 2)
    [1, 1, 0]
    """
    shares = [0] * len(available)
    chosen = [index for index, count in enumerate(available) if count > 0][: max(limit, 0)]
    left = limit
    for rank, index in enumerate(sorted(chosen, key=lambda index: available[index])):
        shares[index] = min(available[index], left // (len(chosen) - rank))
        left -= shares[index]
    return shares


class Turns:
    """The next offset of each partition, the partition that has waited longest first."""

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        self._next = dict(positions)
        self._paused: set[TopicPartition] = set()

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of plans until they are resumed."""
        self._paused.update(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Plan with these partitions again."""
        self._paused.difference_update(partitions)

    def plan(self, bounds: Callable[[TopicPartition], tuple[int, int]], limit: int) -> list[Span]:
        """What to read now, given each partition's begin and end offset; empty if nothing is new.

        A position that retention has deleted moves to the begin. So does one beyond the end,
        which only a log that was replaced can have; that is said in a warning.
        """
        ready: list[Span] = []
        for partition, position in self._next.items():
            if partition in self._paused:
                continue
            begin, end = bounds(partition)
            if position > end:
                logger.warning(
                    "%s/%d ends at offset %d, before the position %d: reading from offset %d",
                    *partition,
                    end,
                    position,
                    begin,
                )
            first = position if begin <= position <= end else begin
            if first != position:
                self._next[partition] = first
            if first < end:
                ready.append(Span(partition, first, end))
        shares = fair_shares([span.stop - span.first for span in ready], limit)
        return [
            Span(span.partition, span.first, span.first + share)
            for span, share in zip(ready, shares, strict=True)
            if share
        ]

    def took(self, spans: Sequence[Span]) -> None:
        """Note that these were read: their partitions go to the end of the queue."""
        for span in spans:
            del self._next[span.partition]
            self._next[span.partition] = span.stop
