"""A group of one: how a log that only one machine reads shares its partitions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from estimator.errors import MisuseError
from stream.log.protocol import Assignment, Log, TopicPartition


def common_count(log: Log, topics: Sequence[str]) -> int:
    """How many partitions each of the topics has; ``MisuseError`` if they have not equally many."""
    counts = {topic: log.partitions(topic) for topic in topics}
    if len(set(counts.values())) != 1:
        found = ", ".join(f"{topic!r} has {count}" for topic, count in counts.items())
        raise MisuseError(f"topics need equal partition counts: {found}")
    return counts[topics[0]]


class Alone:
    """A ``Membership`` without other members: all partitions, for ever."""

    def __init__(self, log: Log, group: str, topics: Sequence[str]) -> None:
        self._log, self._group = log, group
        count = common_count(log, topics)
        self._all = Assignment(1, tuple(range(count)), count)

    def poll(self, timeout_seconds: float, give_up: Callable[[], None]) -> Assignment:  # noqa: ARG002 - nothing is waited for, nothing given up
        """All partitions."""
        return self._all

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far the group has come."""
        self._log.commit(self._group, positions)

    def close(self) -> None:
        """Nothing is held."""


class JoinedAlone:
    """The ``join`` of a log whose groups have one member: nobody else reads it."""

    def join(
        self: Log,
        group: str,
        topics: Sequence[str],
        member: str,  # noqa: ARG002 - there is no other
        session_seconds: float,  # noqa: ARG002 - and nobody who would wait
    ) -> Alone:
        """Become the only member of a group: all partitions are its own."""
        return Alone(self, group, topics)
