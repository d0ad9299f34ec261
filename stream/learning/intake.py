"""One partition's two topics on their way into its shard: polled, read, merged, processed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

from estimator.errors import LogUnavailableError
from stream.joining.merge import Entry, Merge
from stream.learning.shard import Shard, read
from stream.log.protocol import Log, Message, TopicPartition
from stream.records import POWER_TOPIC, USAGE_TOPIC

TOPICS: Final = (USAGE_TOPIC, POWER_TOPIC)


class Intake:
    """A shard, and the messages that have been polled for it and not been processed yet.

    ``changed`` says whether the shard has changed since it was last written.
    """

    def __init__(
        self,
        shard: Shard,
        log: Log,
        clock: Callable[[], float],
        read: Callable[[Message], Entry] = read,
    ) -> None:
        self.shard = shard
        self._read = read
        self.changed = False
        self._log = log
        self._places = tuple(TopicPartition(topic, shard.partition) for topic in TOPICS)
        self._merge = Merge(clock, self._at_end)
        # Messages are read when their turn is near: a record takes three times its bytes.
        self._unread: tuple[deque[Message], ...] = tuple(deque() for _ in TOPICS)
        self._polled_to = [shard.positions[topic] for topic in TOPICS]

    def begin(self, ends: Mapping[str, Mapping[TopicPartition, int]]) -> dict[TopicPartition, int]:
        """Where reading begins, given the topics' ends; once only."""
        positions = self.offsets()
        # Of a log that was replaced by a shorter one, readers begin at the beginning.
        self._polled_to = [
            offset if offset <= ends[where.topic][where] else 0
            for where, offset in positions.items()
        ]
        return positions

    def offsets(self) -> dict[TopicPartition, int]:
        """How far the shard has come in each topic."""
        return {where: self.shard.positions[where.topic] for where in self._places}

    def add(self, message: Message) -> None:
        """Take in a message that was polled."""
        place = TOPICS.index(message.topic)
        self._unread[place].append(message)
        self._polled_to[place] = message.offset + 1

    def process(self) -> None:
        """Join and learn all whose turn it is."""
        merge = self._merge
        while True:
            for place, messages in enumerate(self._unread):
                if messages and not merge.waiting(place):
                    merge.add(place, self._read(messages.popleft()))
            entry = merge.next()
            if entry is None:
                self.shard.learner.catch_up()
                return
            try:
                self.shard.process(entry)
            except LogUnavailableError:  # A dead letter could not be written: nothing is lost.
                merge.put_back(TOPICS.index(entry.message.topic), entry)
                raise
            self.changed = True

    def backlog(self) -> dict[TopicPartition, int]:
        """How many messages of each topic have been polled and not processed."""
        return {
            where: self._merge.waiting(place) + len(self._unread[place])
            for place, where in enumerate(self._places)
        }

    def process_to(self, ends: Mapping[str, Mapping[TopicPartition, int]], idle: bool) -> bool:
        """Process as if nothing came after these ends; whether both have been polled to them.

        What retention has deleted never comes: that is asked for, when nothing else did (``idle``).
        """
        for place, where in enumerate(self._places):
            self._merge.ended[place] = self._has_read(place, ends[where.topic][where], idle)
        self.process()
        return all(self._merge.ended)

    def _at_end(self, place: int) -> bool:
        where = self._places[place]
        return self._has_read(place, self._log.end_offsets(where.topic)[where], idle=True)

    def _has_read(self, place: int, end: int, idle: bool) -> bool:
        """Whether all messages of a topic up to an end have been polled, or are deleted by now."""
        where = self._places[place]
        return self._polled_to[place] >= end or (
            idle and self._log.begin_offsets(where.topic)[where] >= end
        )
