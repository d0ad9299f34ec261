"""How Wattstream's topics are set up on Kafka, and what to say of those that are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stream.log.protocol import TopicSpec

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""The largest record: one of a node with 50 workloads of 9 features takes 10 KiB."""
COMPRESSION: Final = "lz4"
"""Halves what is sent and stored, at no cost that can be measured; zstd takes a third, slowly."""
_SEGMENT_BYTES: Final = (2 * MAX_MESSAGE_BYTES, 1024**3)
_SEGMENT_MS: Final = (10_000, 7 * 24 * 3600 * 1000)
_ADVICE: Final = {
    "message.timestamp.type": "records are then merged and found by their producers' clocks",
    "max.message.bytes": "larger records are refused one by one",
    "retention.ms": "left as it is",
    "retention.bytes": "left as it is",
}


def topic_configs(spec: TopicSpec) -> dict[str, str]:
    """Kafka's settings for a new topic.

    Kafka deletes whole segments only: they are a quarter of what is retained, within bounds.

    >>> configs = topic_configs(TopicSpec("t", 1, retention_seconds=86400))
    >>> configs["retention.ms"], configs["segment.ms"], configs["retention.bytes"]
    ('86400000', '21600000', '-1')
    """
    configs = {
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(MAX_MESSAGE_BYTES),
        # The broker compresses anew what foreign producers send: readers need this codec only.
        "compression.type": COMPRESSION,
        "retention.ms": "-1",
        "retention.bytes": "-1",
    }
    if spec.retention_seconds is not None:
        retention_ms = max(1, int(spec.retention_seconds * 1000))
        configs["retention.ms"] = str(retention_ms)
        configs["segment.ms"] = str(_clamp(retention_ms // 4, _SEGMENT_MS))
    if spec.retention_bytes is not None:
        configs["retention.bytes"] = str(spec.retention_bytes)
        configs["segment.bytes"] = str(_clamp(spec.retention_bytes // 4, _SEGMENT_BYTES))
    return configs


def differences(spec: TopicSpec, found: Mapping[str, str]) -> list[str]:
    """What is other in a topic that exists than it would be in a new one, and what that means.

    >>> differences(TopicSpec("t", 1), {"retention.ms": "1000", "retention.bytes": "-1"})
    ['retention.ms is 1000, not -1: left as it is']
    """
    wanted = topic_configs(spec)
    return [
        f"{name} is {found[name]}, not {wanted[name]}: {advice}"
        for name, advice in _ADVICE.items()
        if name in found and found[name] != wanted[name]
    ]


def _clamp(value: int, bounds: tuple[int, int]) -> int:
    return min(max(value, bounds[0]), bounds[1])
