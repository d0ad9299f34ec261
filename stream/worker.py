"""The learner's loop: poll, read, merge, join, learn, and commit from time to time."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from estimator.errors import LogUnavailableError, StoreError
from stream import checkpoint
from stream.checkpoint import Checkpoints
from stream.join import LATENESS_SECONDS
from stream.learner import Observer, Pool
from stream.log.protocol import Log, Message, Reader, TopicPartition
from stream.merge import Merge
from stream.publisher import Publisher
from stream.records import GROUP, POWER_TOPIC, USAGE_TOPIC
from stream.shard import DeadLetter, Shard, read

_log = logging.getLogger(__name__)

Progress = Callable[[int, int], None]

TOPICS = (USAGE_TOPIC, POWER_TOPIC)
_POLLED = 512
"""Messages of one poll at the most."""
_QUEUED = 4 * _POLLED
"""A topic with so many entries waiting for the other topic is not polled further."""


@dataclass(frozen=True)
class LastCommit:
    """The last commit: when it ended (Unix seconds), how long it took, how much it wrote."""

    at: float
    seconds: float
    bytes: int


@dataclass
class Parts:
    """What a worker works with, so that it takes one argument instead of ten."""

    log: Log
    pool: Pool
    checkpoints: Checkpoints
    publisher: Publisher | None
    dead_letter: DeadLetter
    group: str = GROUP
    lateness_seconds: float = LATENESS_SECONDS
    commit_seconds: float = 10.0
    observer: Observer | None = None
    clock: Callable[[], float] = time.time
    stop: threading.Event = field(default_factory=threading.Event)


def relax_garbage_collection() -> None:
    """Look for cycles rarely: what a learner makes has none, and looking costs a tenth of it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 50, 100)


class Worker:
    """Learns from some partitions of the log. One thread; `status` figures may be read by others.

    A crash at any moment loses nothing and learns nothing twice: shards go on from their last
    checkpoint, which holds the offsets that it was made at.
    """

    def __init__(self, parts: Parts, partitions: Sequence[int]) -> None:
        self._parts = parts
        self.shards = {number: self._shard(number) for number in partitions}
        self._merges = {number: self._merge(number) for number in partitions}
        # Messages are read when their turn is near: a record takes three times its bytes.
        self._unread: dict[int, tuple[deque[Message], ...]] = {
            number: tuple(deque() for _ in TOPICS) for number in partitions
        }
        self._polled_to: dict[TopicPartition, int] = {}
        self._committed_at = parts.clock()
        self._dirty = False
        self.last_commit: LastCommit | None = None

    def _shard(self, number: int) -> Shard:
        parts = self._parts
        shard = Shard(number, parts.pool, parts.dead_letter, parts.lateness_seconds, parts.observer)
        state = parts.checkpoints.read(number)
        if state is not None:
            shard.restore(state)
            return shard
        for topic in TOPICS:
            shard.positions[topic] = parts.log.begin_offsets(topic)[TopicPartition(topic, number)]
        return shard

    def _merge(self, number: int) -> Merge:
        def at_end(place: int) -> bool:
            topic = TOPICS[place]
            where = TopicPartition(topic, number)
            end = self._parts.log.end_offsets(topic)[where]
            return self._has_read(number, place, end, idle=True)

        return Merge(self._parts.clock, at_end)

    def run(self) -> None:
        """Learn until ``stop`` is set; then commit what was learned."""
        stop = self._parts.stop
        reader = self._reader()
        try:
            while not stop.is_set():
                try:
                    self.step(reader, timeout_seconds=0.5)
                except LogUnavailableError as error:
                    _log.warning("the log cannot be read, trying again: %s", error)
                    stop.wait(2.0)
            self.commit()
        finally:
            reader.close()

    def run_to_end(self, progress: Progress | None = None) -> None:
        """Learn all that is in the log now, as if nothing would ever follow; do not commit.

        ``progress`` is told how many messages have been learned, and of how many, now and then.
        """
        ends = {topic: self._parts.log.end_offsets(topic) for topic in TOPICS}
        started = self._position()
        total = sum(end for by_place in ends.values() for end in by_place.values()) - started
        reader = self._reader()
        try:
            idle = True
            while not self._mark_ended(ends, idle):
                messages = reader.poll(_POLLED, 1.0)
                idle = not messages
                self._take(messages, reader)
                if progress is not None:
                    progress(self._position() - started, total)
            if progress is not None:
                progress(self._position() - started, total)
            for shard in self.shards.values():
                shard.learner.flush()
            self._dirty = True  # by what was flushed, even where nothing new was read
        finally:
            reader.close()

    def _position(self) -> int:
        """How many messages have been processed or skipped, over all partitions and topics."""
        return sum(sum(shard.positions.values()) for shard in self.shards.values())

    def _mark_ended(self, ends: dict[str, dict[TopicPartition, int]], idle: bool) -> bool:
        """Note which topics have been read to their end; whether all of them have.

        What retention has deleted never comes: that is asked for, when nothing else did.
        """
        for number, merge in self._merges.items():
            for place, topic in enumerate(TOPICS):
                end = ends[topic][TopicPartition(topic, number)]
                merge.ended[place] = self._has_read(number, place, end, idle)
            self._process(number)
        return all(all(merge.ended) for merge in self._merges.values())

    def _reader(self) -> Reader:
        positions = {
            where: offset
            for shard in self.shards.values()
            for where, offset in self._offsets(shard).items()
        }
        # Of a log that was replaced by a shorter one, readers begin at the beginning.
        ends = {topic: self._parts.log.end_offsets(topic) for topic in TOPICS}
        self._polled_to = {
            where: offset if offset <= ends[where.topic][where] else 0
            for where, offset in positions.items()
        }
        return self._parts.log.reader(positions)

    def step(self, reader: Reader, timeout_seconds: float) -> int:
        """Poll once and learn what came; commit when it is time. How many messages came."""
        messages = reader.poll(_POLLED, timeout_seconds)
        self._take(messages, reader)
        if self._parts.clock() - self._committed_at >= self._parts.commit_seconds:
            self.commit()
        return len(messages)

    def _take(self, messages: Sequence[Message], reader: Reader) -> None:
        for message in messages:
            self._unread[message.partition][TOPICS.index(message.topic)].append(message)
            where = TopicPartition(message.topic, message.partition)
            self._polled_to[where] = message.offset + 1
        try:
            for number in self.shards:
                self._process(number)
        finally:
            for number in self.shards:
                self._balance(number, reader)

    def _process(self, number: int) -> None:
        """Join and learn all whose turn it is."""
        shard, merge, unread = self.shards[number], self._merges[number], self._unread[number]
        while True:
            for place, messages in enumerate(unread):
                if messages and not merge.waiting(place):
                    merge.add(place, read(messages.popleft()))
            entry = merge.next()
            if entry is None:
                shard.learner.catch_up()
                return
            try:
                shard.process(entry)
            except LogUnavailableError:  # A dead letter could not be written: nothing is lost.
                merge.put_back(TOPICS.index(entry.message.topic), entry)
                raise
            self._dirty = True

    def _has_read(self, number: int, place: int, end: int, idle: bool) -> bool:
        """Whether all messages of a topic up to an end have been polled, or are deleted by now."""
        where = TopicPartition(TOPICS[place], number)
        return self._polled_to[where] >= end or (
            idle and self._parts.log.begin_offsets(where.topic)[where] >= end
        )

    def _waiting(self, number: int, place: int) -> int:
        """How many messages of a topic have been polled and not processed."""
        return self._merges[number].waiting(place) + len(self._unread[number][place])

    def _balance(self, number: int, reader: Reader) -> None:
        """Read no more of a topic that is far ahead of the other: memory stays bounded."""
        for place, topic in enumerate(TOPICS):
            partition = [TopicPartition(topic, number)]
            if self._waiting(number, place) >= _QUEUED:
                reader.pause(partition)
            else:
                reader.resume(partition)

    def commit(self) -> bool:
        """Write every shard, publish what changed; whether it worked (else it is tried again).

        1. Freeze the state in memory.
        2. Write it to the store under a new name.
        3. Make that name the current one, at once.
        4. Publish changed artifacts.
        5. Commit the offsets to the log, for lag monitoring only.

        A crash before 3 goes on from the checkpoint before; after it, from this one, and what 4
        and 5 did not do is done by the next commit.
        """
        parts, started = self._parts, time.perf_counter()
        self._committed_at = parts.clock()
        if not self._dirty:
            return True
        written = 0
        try:
            for number, shard in self.shards.items():
                data = checkpoint.encode(shard.state())  # 1
                written += len(data)
                parts.checkpoints.write(number, data)  # 2, 3
            if parts.publisher is not None:
                parts.publisher.publish(*self.shards.values())  # 4
            for shard in self.shards.values():
                parts.log.commit(parts.group, self._offsets(shard))  # 5
        except (StoreError, LogUnavailableError) as error:
            _log.warning("could not commit, learning goes on in memory: %s", error)
            return False
        self._dirty = False
        self.last_commit = LastCommit(parts.clock(), time.perf_counter() - started, written)
        return True

    def _offsets(self, shard: Shard) -> dict[TopicPartition, int]:
        return {
            TopicPartition(topic, shard.partition): offset
            for topic, offset in shard.positions.items()
        }
