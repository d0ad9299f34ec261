"""Kafka's range assignor for topics whose partitions are counted already."""

from __future__ import annotations

from typing import Any

from kafka.coordinator.assignors.range import RangePartitionAssignor


class KnownRanges(RangePartitionAssignor):  # type: ignore[misc]  # it has no types
    """Gives every member a range of partitions, the same numbers of every topic.

    The client's own view of topics that were made a moment ago may lack them: then its leader
    would give nobody anything. Topics are checked before a group is joined, so we know better.
    """

    def __init__(self, partitions: int) -> None:
        self._known = _Known(partitions)

    def assign(self, cluster: object, members: Any) -> Any:  # noqa: ARG002 - what it knows is older
        """The members' assignments, as Kafka's own range assignor makes them."""
        return super().assign(self._known, members)


class _Known:
    """As much of a cluster as the assignor asks for."""

    def __init__(self, partitions: int) -> None:
        self._partitions = set(range(partitions))

    def partitions_for_topic(self, _topic: str) -> set[int]:
        """The numbers of the topic's partitions."""
        return self._partitions
