"""Reading a window of a log: to fixed ends, whatever follows; a log that is away is waited for."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Final

from estimator.errors import LogUnavailableError
from stream.complaints import Complaints
from stream.log.protocol import Message, Reader, TopicPartition

_log = logging.getLogger(__name__)

AWAY: Final = "the log cannot be read, trying again"


class WindowReader:
    """A ``Reader`` that ends where the window does.

    A partition that has been read to its end is not fetched any more, however much follows.
    ``passed`` collects the partitions of which a later message came before the last one of the
    window: there are no more, for the last offsets were no messages or have been deleted.
    """

    def __init__(
        self,
        reader: Reader,
        positions: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        passed: set[TopicPartition],
    ) -> None:
        self._reader = reader
        self._ends = ends
        self._passed = passed
        self._done = {where for where, position in positions.items() if position >= ends[where]}
        self._complaints = Complaints(_log, time.monotonic)
        reader.pause(sorted(self._done))

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return the next messages, at most so many; none only once the timeout has passed.

        A log that is away has no messages: the timeout passes.
        """
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = max(0.0, deadline - time.monotonic())
            try:
                messages = self._inside(self._reader.poll(max_messages, left))
            except LogUnavailableError as error:
                self._complaints.say(AWAY, error)
                time.sleep(left)
                return []
            if messages or not left:
                return messages

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of polls until they are resumed; their positions stay."""
        self._reader.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Poll these partitions again, unless they have been read to their end."""
        self._reader.resume([where for where in partitions if where not in self._done])

    def close(self) -> None:
        """Give back what the reader holds."""
        self._reader.close()

    def _inside(self, messages: Sequence[Message]) -> list[Message]:
        found, done = [], set()
        for message in messages:
            where = TopicPartition(message.topic, message.partition)
            end = self._ends[where]
            if message.offset < end:
                found.append(message)
            elif where not in self._done and where not in done:
                self._passed.add(where)
            if message.offset + 1 >= end:
                done.add(where)
        if done:
            self._done |= done
            self._reader.pause(sorted(done))
        return found
