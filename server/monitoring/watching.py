"""What the page shows of the learner: measured and estimated power, and how it all goes."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from server.monitoring.live import Live
from server.monitoring.status import (
    CheckpointStatus,
    DriftStatus,
    GuardStatus,
    LearnerStatus,
    PartitionStatus,
    ShardStatus,
    SourceStatus,
    Status,
)
from stream.collecting.collect import Collector
from stream.learning.intake import TOPICS
from stream.learning.learner import Learned
from stream.learning.shard import Shard
from stream.learning.worker import Worker
from stream.log.protocol import Log, TopicPartition

_MEMORY: Final = 0.95
"""What is kept of a model's recent error with every round, to tell which one to show."""
_LEAST_WATTS: Final = 0.1
"""Errors of what draws less are not made greater by dividing by it."""


class LiveObserver:
    """Shows, for each node and energy source, what the model with the least recent error said.

    Readings of nodes that are watched are kept; of all others only how wrong the estimate was.
    """

    def __init__(self, live: Live) -> None:
        self._live = live
        self._wrong: dict[tuple[str, str], dict[str, float]] = {}
        self._shown: dict[tuple[str, str], tuple[int, str]] = {}

    def __call__(self, learned: Learned) -> None:
        """Take in what one model said of one round."""
        key = learned.key
        place = (key.node_type, key.source)
        rivals = self._wrong.setdefault(place, {})
        at, shown = self._shown.get(place, (-1, ""))
        if at != learned.at:  # A round's first model: whom to show is settled for all of them.
            shown = min(rivals, key=rivals.__getitem__, default=key.feature_group)
            self._shown[place] = (learned.at, shown)
        wrong = float(np.abs(learned.estimated - learned.measured).mean())
        before = rivals.get(key.feature_group, wrong)
        rivals[key.feature_group] = _MEMORY * before + (1 - _MEMORY) * wrong
        if key.feature_group != shown:
            return
        errors = np.abs(learned.estimated - learned.measured).sum(axis=1)
        power = learned.measured.sum(axis=1)
        shares = errors / np.maximum(power, _LEAST_WATTS)
        self._live.nodes.note(learned.nodes, learned.at / 1000, shares.tolist(), key.node_type)
        for row, node in enumerate(learned.nodes):
            if self._live.nodes.is_watched(node):
                self._add(learned, row)

    def _add(self, learned: Learned, row: int) -> None:
        node, source, at = learned.nodes[row], learned.key.source, learned.at / 1000
        for column, component in enumerate(learned.components):
            measured = float(learned.measured[row, column])
            estimated = float(learned.estimated[row, column])
            if measured or estimated:
                self._live.add(node, source, component, at, measured, estimated)


class Watcher:
    """The status of the collector and the learner that run in this process.

    They may be set when they are there, and ``waiting`` says what they wait for until then.
    """

    def __init__(
        self, log: Log, worker: Worker | None = None, collector: Collector | None = None
    ) -> None:
        self._log = log
        self.worker, self.collector = worker, collector
        self.waiting = ""
        self.failure = ""
        """Why the learner has stopped, if it has."""

    def wait_for(self, what: str) -> None:
        """Have ``what`` keep the parts from being ready; nothing does if it is empty."""
        self.waiting = what

    def status(self) -> Status:
        """The parts as they are now."""
        sources = self._sources()
        missing = [self.waiting] if self.waiting else []
        if self.failure:
            missing.append(f"the learner has stopped: {self.failure}")
        elif self.worker is not None and self.worker.waiting:
            missing.append(f"the learner waits: {self.worker.waiting}")
        if sources and not any(source.up for source in sources):
            missing.append(f"no source is up: {sources[0].last_error or sources[0].name}")
        return Status(sources=sources, learner=self._learner(), missing=tuple(missing))

    def _sources(self) -> tuple[SourceStatus, ...] | None:
        if self.collector is None:
            return None
        return tuple(
            SourceStatus(
                name=source.name,
                up=source.up,
                since=source.since,
                records=source.records,
                errors=source.errors,
                last_error=source.last_error or "",
                dropped=source.dropped,
                refused=source.refused,
                buffered=source.buffered,
            )
            for source in self.collector.status
        )

    def _learner(self) -> LearnerStatus | None:
        worker = self.worker
        if worker is None:
            return None
        shards = tuple(_shard_status(shard) for shard in worker.shards.values())
        dropped: Counter[str] = Counter()
        dead_letters: Counter[str] = Counter()
        for shard in shards:
            dropped.update(shard.dropped)
            dead_letters.update(shard.dead_letters)
        return LearnerStatus(
            records=sum(shard.records for shard in shards),
            samples=sum(shard.samples for shard in shards),
            dropped=dict(dropped),
            dead_letters=dict(+dead_letters),
            shards=shards,
            partitions=self._partitions(worker),
            fenced=worker.fenced,
            checkpoint=self._checkpoint(worker),
        )

    def _partitions(self, worker: Worker) -> tuple[PartitionStatus, ...]:
        shards = worker.shards
        if not shards:
            return ()
        ends = {topic: self._log.end_offsets(topic) for topic in TOPICS}
        return tuple(
            PartitionStatus(
                topic, number, position, ends[topic][TopicPartition(topic, number)] - position
            )
            for number, shard in shards.items()
            for topic, position in dict(shard.positions).items()
        )

    def _checkpoint(self, worker: Worker) -> CheckpointStatus | None:
        last = worker.last_commit
        return None if last is None else CheckpointStatus(last.at, last.seconds, last.bytes)


def _shard_status(shard: Shard) -> ShardStatus:
    counts, learned = Counter(shard.counts), dict(shard.learner.counts)
    samples = learned.pop("samples", 0)
    dropped = {**shard.join.counts, **learned}
    if counts["skipped_messages"]:
        dropped["deleted by retention"] = counts["skipped_messages"]
    return ShardStatus(
        partition=shard.partition,
        records=counts["usage_records"] + counts["power_records"],
        samples=samples,
        dropped=dropped,
        # With those of none, so that the first to come is seen to have come.
        dead_letters={topic: counts[f"dead {topic}"] for topic in TOPICS},
        drifts=tuple(
            DriftStatus(key, drift.count, None if drift.last is None else drift.last.at / 1000)
            for key, drift in shard.learner.drifts()
        ),
        guards=tuple(GuardStatus(*counts) for counts in shard.learner.guarded()),
    )
