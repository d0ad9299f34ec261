"""What the parts beside the model server tell it of themselves: plain data, taken at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from estimator.model_key import ModelKey


class SourceStatus(msgspec.Struct, frozen=True):
    """One source. ``since`` (Unix seconds) is when it came up or went down.

    ``records`` are in the log, ``buffered`` wait for it, ``refused`` it will never take, and
    ``dropped`` were lost because it was away.
    """

    name: str
    up: bool
    since: float
    records: int
    errors: int
    last_error: str = ""
    dropped: int = 0
    refused: int = 0
    buffered: int = 0


class PartitionStatus(msgspec.Struct, frozen=True):
    """How far the learner has read a partition, and how many records lie before it."""

    topic: str
    partition: int
    position: int
    lag: int


class DriftStatus(msgspec.Struct, frozen=True):
    """How often a shard's model has drifted, and when last (Unix seconds; None if never)."""

    key: ModelKey
    count: int
    at: float | None = None


class GuardStatus(msgspec.Struct, frozen=True):
    """How many rows of a shard's model lay beyond what it had seen, and how many it disbelieved."""

    key: ModelKey
    clipped: int
    outliers: int


class ShardStatus(msgspec.Struct, frozen=True):
    """What became of one partition's records and models, since learning it began, by whomever.

    ``dropped`` counts by reason what never became a sample (late, orphaned, duplicate, ...),
    ``dead_letters`` by topic what could not be read.
    """

    partition: int
    records: int
    samples: int
    dropped: Mapping[str, int] = {}
    dead_letters: Mapping[str, int] = {}
    drifts: tuple[DriftStatus, ...] = ()
    guards: tuple[GuardStatus, ...] = ()


class CheckpointStatus(msgspec.Struct, frozen=True):
    """The last checkpoint: when (Unix seconds), how long its commit took, how large it is."""

    at: float
    duration_seconds: float
    size_bytes: int


class LearnerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What has been learned of the partitions that are this learner's now.

    The figures of ``shards`` added up, and how far it has read. ``fenced`` counts how often it
    found that another had taken a shard over.
    """

    records: int
    samples: int
    dropped: Mapping[str, int] = {}
    dead_letters: Mapping[str, int] = {}
    shards: tuple[ShardStatus, ...] = ()
    partitions: tuple[PartitionStatus, ...] = ()
    fenced: int = 0
    checkpoint: CheckpointStatus | None = None


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that run beside the server; None stands for a part that does not run here.

    ``missing`` says, one sentence each, what keeps these parts from being ready.
    """

    sources: tuple[SourceStatus, ...] | None = None
    learner: LearnerStatus | None = None
    missing: tuple[str, ...] = ()


class StatusProvider(Protocol):
    """Whoever composes the parts. Asked from any thread, about twice a second."""

    def status(self) -> Status:
        """The parts as they are now."""
        ...


class ServerAlone:
    """The provider of a server with nothing beside it.

    >>> ServerAlone().status().learner is None
    True
    """

    def status(self) -> Status:
        """No parts, nothing missing."""
        return Status()
