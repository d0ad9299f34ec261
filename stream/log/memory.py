"""A log that lives as long as its process, for tests and for trying things out."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from threading import Condition

from estimator.errors import NotFoundError
from stream.log.alone import JoinedAlone
from stream.log.closing import Closing
from stream.log.fairness import Turns
from stream.log.partitioning import partition_for
from stream.log.protocol import Message, Outgoing, TopicPartition, TopicSpec
from stream.log.topics import check_topic


class MemoryLog(JoinedAlone, Closing):
    """A ``Log`` in memory, safe to share between threads. ``clock`` gives Unix seconds."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._changed = Condition()
        self._specs: dict[str, TopicSpec] = {}
        self._partitions: dict[TopicPartition, _Partition] = {}
        self._committed: dict[str, dict[TopicPartition, int]] = {}

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Make sure that these topics exist; ``MisuseError`` if one has other partitions."""
        with self._changed:
            for spec in topics:
                known = self._specs.get(spec.name)
                check_topic(spec, None if known is None else known.partitions)
            for spec in topics:
                self._specs[spec.name] = spec
                for number in range(spec.partitions):
                    self._partitions.setdefault(TopicPartition(spec.name, number), _Partition())

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; ``NotFoundError`` if it does not exist."""
        with self._changed:
            return self._spec(topic).partitions

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        with self._changed:
            return sorted(self._specs)

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Append all of them before returning."""
        with self._changed:
            spec = self._spec(topic)
            now_ms = int(self._clock() * 1000)
            for message in messages:
                where = TopicPartition(topic, partition_for(message.key, spec.partitions))
                self._partitions[where].append(where, message, now_ms)
            for where in self._of(topic):
                self._partitions[where].prune(spec, now_ms)
            self._changed.notify_all()

    def prune(self) -> int:
        """Delete now what retention no longer keeps; returns how many messages that were."""
        with self._changed:
            now_ms = int(self._clock() * 1000)
            return sum(
                partition.prune(self._specs[where.topic], now_ms)
                for where, partition in self._partitions.items()
            )

    def reader(self, positions: Mapping[TopicPartition, int]) -> MemoryReader:
        """Start reading at these offsets; ``NotFoundError`` if a partition does not exist."""
        with self._changed:
            for where in positions:
                if where not in self._partitions:
                    raise NotFoundError(f"topic {where.topic!r} has no partition {where.partition}")
            return MemoryReader(self._changed, self._partitions, Turns(positions))

    def begin_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset of the earliest message left in each partition (the end's, if none is)."""
        with self._changed:
            return {where: self._partitions[where].begin for where in self._of(topic)}

    def end_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset that the next message of each partition will have."""
        with self._changed:
            return {where: self._partitions[where].end for where in self._of(topic)}

    def offsets_for_time(self, topic: str, appended_ms: int) -> dict[TopicPartition, int]:
        """The first offset appended at that Unix time in ms or later; the end's, if none is."""
        with self._changed:
            return {
                where: self._partitions[where].first_since(appended_ms) for where in self._of(topic)
            }

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far a group has come."""
        with self._changed:
            self._committed.setdefault(group, {}).update(positions)

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """How far a group has said it has come."""
        with self._changed:
            return dict(self._committed.get(group, {}))

    def close(self) -> None:
        """Nothing to give back; what was appended stays as long as the object does."""

    def _spec(self, topic: str) -> TopicSpec:
        spec = self._specs.get(topic)
        if spec is None:
            raise NotFoundError(f"topic {topic!r} does not exist")
        return spec

    def _of(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._spec(topic).partitions)]


class _Partition:
    """Messages in offset order; ``starts[i]`` are the bytes appended before ``messages[i]``."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.starts: list[int] = []
        self.begin = 0
        self.appended_bytes = 0
        self.last_ms = 0

    @property
    def end(self) -> int:
        return self.begin + len(self.messages)

    def append(self, where: TopicPartition, message: Outgoing, now_ms: int) -> None:
        self.last_ms = max(self.last_ms, now_ms)
        key, value, headers = message
        self.messages.append(Message(*where, self.end, self.last_ms, key, value, tuple(headers)))
        self.starts.append(self.appended_bytes)
        self.appended_bytes += len(key.encode()) + len(value)

    def first_since(self, appended_ms: int) -> int:
        return self.begin + bisect_left(self.messages, appended_ms, key=attrgetter("appended_ms"))

    def prune(self, spec: TopicSpec, now_ms: int) -> int:
        gone = 0
        if spec.retention_seconds is not None:
            gone = self.first_since(now_ms - int(spec.retention_seconds * 1000)) - self.begin
        if spec.retention_bytes is not None and self.messages:
            surplus = bisect_left(self.starts, self.appended_bytes - spec.retention_bytes)
            gone = max(gone, min(surplus, len(self.messages) - 1))
        del self.messages[:gone], self.starts[:gone]
        self.begin += gone
        return gone


class MemoryReader:
    """A ``Reader`` of a ``MemoryLog``."""

    def __init__(
        self,
        changed: Condition,
        partitions: Mapping[TopicPartition, _Partition],
        turns: Turns,
    ) -> None:
        self._changed = changed
        self._partitions = partitions
        self._turns = turns

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return the next messages, at most so many; none only once the timeout has passed."""
        messages: list[Message] = []

        def found() -> bool:
            messages.extend(self._take(max_messages))
            return bool(messages)

        with self._changed:
            self._changed.wait_for(found, timeout_seconds)
        return messages

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of polls until they are resumed."""
        self._turns.pause(partitions)

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Poll these partitions again."""
        self._turns.resume(partitions)

    def close(self) -> None:
        """Nothing to give back."""

    def _take(self, max_messages: int) -> list[Message]:
        spans = self._turns.plan(self._bounds, max_messages)
        self._turns.took(spans)
        taken: list[Message] = []
        for where, first, stop in spans:
            partition = self._partitions[where]
            taken += partition.messages[first - partition.begin : stop - partition.begin]
        return taken

    def _bounds(self, where: TopicPartition) -> tuple[int, int]:
        partition = self._partitions[where]
        return partition.begin, partition.end
