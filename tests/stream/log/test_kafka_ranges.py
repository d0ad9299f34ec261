from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream.log.kafka_ranges import KnownRanges


def assigned(partitions: int, names: list[str]) -> dict[str, dict[str, list[int]]]:
    """What each member is given of topics ``u`` and ``p``, by a leader that knows of neither."""
    metadata = SimpleNamespace(topics=["u", "p"])
    members = [
        SimpleNamespace(metadata=metadata, group_instance_id=name, member_id=f"{name}-1")
        for name in names
    ]
    found: dict[str, Any] = KnownRanges(partitions).assign(None, members)
    return {
        name: {topic: list(numbers) for topic, numbers in found[f"{name}-1"].assigned_partitions}
        for name in names
    }


@given(partitions=st.integers(1, 40), names=st.sets(st.text("abc", min_size=1), min_size=1))
def test_every_partition_has_one_owner_of_both_topics(partitions: int, names: set[str]) -> None:
    found = assigned(partitions, sorted(names))
    for one in found.values():
        assert one.get("u") == one.get("p")
    everything = [number for one in found.values() for number in one.get("u", [])]
    assert sorted(everything) == list(range(partitions))
    sizes = [len(one.get("u", [])) for one in found.values()]
    assert max(sizes) - min(sizes) <= 1
