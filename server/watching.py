"""What the page shows of the learner: measured and estimated power, and how it all goes."""

from __future__ import annotations

from collections import Counter
from typing import Final

import numpy as np

from server.live import Live
from server.status import (
    CheckpointStatus,
    LearnerStatus,
    PartitionStatus,
    SourceStatus,
    Status,
)
from stream.collect import Collector
from stream.learner import Learned
from stream.log.protocol import Log, TopicPartition
from stream.records import POWER_TOPIC, USAGE_TOPIC
from stream.worker import Worker

_WATCHED_NODES: Final = 16
"""So many nodes, the first to be seen, are shown live: a page has no room for more."""
_MEMORY: Final = 0.95
"""What is kept of a model's recent error with every round, to tell which one to show."""


class LiveObserver:
    """Shows, for each node and energy source, what the model with the least recent error said."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._wrong: dict[tuple[str, str], dict[str, float]] = {}
        self._shown: dict[tuple[str, str], tuple[int, str]] = {}
        self._watched: set[str] = set()

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
        for row, node in enumerate(learned.nodes):
            if not self._is_watched(node):
                continue
            for column, component in enumerate(learned.components):
                measured = float(learned.measured[row, column])
                estimated = float(learned.estimated[row, column])
                if measured or estimated:
                    self._live.add(
                        node, key.source, component, learned.at / 1000, measured, estimated
                    )

    def _is_watched(self, node: str) -> bool:
        if node not in self._watched and len(self._watched) < _WATCHED_NODES:
            self._watched.add(node)
        return node in self._watched


class Watcher:
    """The status of the collector and the learner that run in this process."""

    def __init__(self, log: Log, worker: Worker | None, collector: Collector | None) -> None:
        self._log, self._worker, self._collector = log, worker, collector
        self.failure = ""
        """Why the learner has stopped, if it has."""

    def status(self) -> Status:
        """The parts as they are now."""
        sources = self._sources()
        missing = []
        if self.failure:
            missing.append(f"the learner has stopped: {self.failure}")
        if sources and not any(source.up for source in sources):
            missing.append(f"no source is up: {sources[0].last_error or sources[0].name}")
        return Status(sources=sources, learner=self._learner(), missing=tuple(missing))

    def _sources(self) -> tuple[SourceStatus, ...] | None:
        if self._collector is None:
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
            for source in self._collector.status
        )

    def _learner(self) -> LearnerStatus | None:
        if self._worker is None:
            return None
        counts: Counter[str] = Counter()
        dropped: Counter[str] = Counter()
        samples = 0
        for shard in self._worker.shards.values():
            counts.update(dict(shard.counts))
            dropped.update(dict(shard.join.counts))
            learned = dict(shard.learner.counts)
            samples += learned.pop("samples", 0)
            dropped.update(learned)
        if counts["skipped_messages"]:
            dropped["deleted by retention"] = counts["skipped_messages"]
        return LearnerStatus(
            records=counts["usage_records"] + counts["power_records"],
            samples=samples,
            dropped=dict(dropped),
            dead_letters={
                topic: counts[f"dead {topic}"]
                for topic in (USAGE_TOPIC, POWER_TOPIC)
                if counts[f"dead {topic}"]
            },
            partitions=self._partitions(self._worker),
            checkpoint=self._checkpoint(self._worker),
        )

    def _partitions(self, worker: Worker) -> tuple[PartitionStatus, ...]:
        ends = {topic: self._log.end_offsets(topic) for topic in (USAGE_TOPIC, POWER_TOPIC)}
        return tuple(
            PartitionStatus(
                topic, number, position, ends[topic][TopicPartition(topic, number)] - position
            )
            for number, shard in worker.shards.items()
            for topic, position in dict(shard.positions).items()
        )

    def _checkpoint(self, worker: Worker) -> CheckpointStatus | None:
        last = worker.last_commit
        return None if last is None else CheckpointStatus(last.at, last.seconds, last.bytes)
