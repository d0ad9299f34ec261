"""What every log can do. Partitions, keys, offsets and times mean what they mean in Kafka."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol, Self

import msgspec


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int


class Outgoing(NamedTuple):
    """What is appended. The key decides the partition; headers travel beside the value."""

    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Message(NamedTuple):
    """What is polled. ``appended_ms`` is set by the log and never falls within a partition."""

    topic: str
    partition: int
    offset: int
    appended_ms: int
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class TopicSpec(msgspec.Struct, frozen=True):
    """A topic as it shall be. Retention in seconds and bytes per partition; None keeps all."""

    name: str
    partitions: int
    retention_seconds: float | None = None
    retention_bytes: int | None = None


class Reader(Protocol):
    """A position in each of some partitions, moved by polling."""

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        """Return the next messages, at most so many; none only once the timeout has passed.

        Messages of one partition come in offset order. Where retention has deleted the position,
        reading goes on at the earliest offset that is left (the gap shows in the offsets).
        """
        ...

    def pause(self, partitions: Sequence[TopicPartition]) -> None:
        """Leave these partitions out of polls until they are resumed; their positions stay."""
        ...

    def resume(self, partitions: Sequence[TopicPartition]) -> None:
        """Poll these partitions again."""
        ...

    def close(self) -> None:
        """Give back what the reader holds."""
        ...


class Assignment(NamedTuple):
    """The partitions that are ours, ``of`` so many: of every topic those with these numbers.

    ``number`` is another each time that the group has assigned anything, 0 before it has.
    """

    number: int
    partitions: tuple[int, ...]
    of: int

    @property
    def is_all(self) -> bool:
        """Whether nobody else has any."""
        return len(self.partitions) == self.of


class Membership(Protocol):
    """A place in a consumer group, whose members share the partitions of some topics."""

    def poll(self, timeout_seconds: float, give_up: Callable[[], None]) -> Assignment:
        """Take part in the group; what is ours now. Waits so long if that is nothing yet.

        ``give_up`` is called, in this or in another thread, before partitions go to others: when
        it returns, they may. ``LogUnavailableError`` if the group cannot be reached; what was
        assigned then stays ours for the time being. ``WattstreamError`` if we are shut out.
        """
        ...

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far the group has come in partitions that are ours. For lag monitoring.

        ``FencedError`` if they are not ours any more.
        """
        ...

    def close(self) -> None:
        """Take no part any more."""
        ...


class Log(Protocol):
    """Topics of ordered partitions. Safe to share between threads; readers are not."""

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Make sure that these topics exist; ``MisuseError`` if one has other partitions."""
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; ``NotFoundError`` if it does not exist."""
        ...

    def topics(self) -> list[str]:
        """The names of all topics, sorted."""
        ...

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Append all of them, durably, before returning; ``LogUnavailableError`` if it cannot.

        ``RefusedError`` if some are of a kind or size that the log never takes: it has all others.
        """
        ...

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        """Start reading at these offsets (the next one to read of each partition)."""
        ...

    def begin_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset of the earliest message left in each partition (the end's, if none is)."""
        ...

    def end_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset that the next message of each partition will have."""
        ...

    def offsets_for_time(self, topic: str, appended_ms: int) -> dict[TopicPartition, int]:
        """The first offset appended at that Unix time in ms or later; the end's, if none is."""
        ...

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far a group has come. For lag monitoring: checkpoints hold the truth."""
        ...

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """How far a group has said it has come."""
        ...

    def join(
        self, group: str, topics: Sequence[str], member: str, session_seconds: float
    ) -> Membership:
        """Become a member of a group that shares these topics, all of equal partition counts.

        Who comes back under the same name within ``session_seconds`` finds what it had; else its
        partitions go to others.
        """
        ...

    def close(self) -> None:
        """Give back what the log holds; what was appended stays."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...
