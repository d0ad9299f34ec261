"""What was recorded, in a file or in the log, once more through the join: samples to look at."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from estimator.errors import MisuseError, NotFoundError, WattstreamError
from estimator.isolation.isolator import Isolator
from stream.analysis.feeding import feed_log, feed_source
from stream.joining.join import LATENESS_SECONDS
from stream.joining.merge import Entry
from stream.learning.intake import TOPICS
from stream.learning.learner import Learner, Pool
from stream.learning.shard import Shard
from stream.log.protocol import Log, Message, TopicPartition
from stream.log.window import Span, WindowLog
from stream.records import (
    FUTURE_SECONDS,
    PowerRecord,
    UsageRecord,
)
from stream.replaying.selection import Selection
from stream.replaying.when import parse_time
from stream.sample import Sample
from stream.sources.prometheus_json import PrometheusJsonSource
from stream.sources.protocol import Source
from stream.sources.trace import TraceSource

Take = Callable[[Sample], None]
See = Callable[[UsageRecord | PowerRecord], None]

_FOR_EVER_MS: Final = 2**53


class Wanted(NamedTuple):
    """Which records count: of event times in [start, end) as people write them, of these nodes."""

    start: str | None = None
    end: str | None = None
    nodes: tuple[str, ...] = ()

    def span(self, now: float) -> tuple[int, int]:
        """From when to when, in Unix ms; ``MisuseError`` if that makes no sense."""
        start = parse_time(self.start, now) if self.start else 0
        end = parse_time(self.end, now) if self.end else _FOR_EVER_MS
        if start >= end:
            raise MisuseError(f"--from is {self.start}, which is not before --to, {self.end}")
        return start, end


EVERYTHING: Final = Wanted()


class Played(NamedTuple):
    """What became of the records: samples made, what was left out by reason, what was unreadable.

    Of unreadable records ``dead`` has the first reasons; ``outside`` is what was not asked for.
    """

    samples: int
    counts: Counter[str]
    dead: list[str]
    outside: str = ""

    @property
    def words(self) -> str:
        """What there was, in one line."""
        counted = ", ".join(f"{count} {name}" for name, count in self.counts.items() if count)
        reason = f"; the first unreadable record: {self.dead[0]}" if self.dead else ""
        beside = f"; {self.outside}" if self.outside and not self.samples else ""
        return f"{counted or 'no records'}{reason}{beside}"


class Recording(ABC):
    """Records that can be gone through; ``name`` is for people.

    ``names`` are those of workloads by id, where somebody has said them, once it was played.
    """

    def __init__(self, name: str, wanted: Wanted, lateness_seconds: float) -> None:
        self.name = name
        self._wanted = wanted
        self._lateness_seconds = lateness_seconds
        self.names: dict[str, str] = {}

    def play(
        self, take: Take, see: See = lambda _record: None, isolator: Isolator | None = None
    ) -> Played:
        """Go through all of it: ``see`` every record, ``take`` every sample that they make.

        Samples are made by the join of live data. With an isolator that has hints they know what
        background workloads used.
        """
        pool = Pool({}, {}, isolator)
        tap = _Tap(pool, take)
        start, end = self._wanted.span(time.time())
        selection = Selection(start, end, self._wanted.nodes)
        dead: list[str] = []

        def read(message: Message) -> Entry:
            entry = selection.read(message)
            if entry.record is not None:
                see(entry.record)
            return entry

        def bury(_message: Message, reason: str) -> None:
            if len(dead) < 5:
                dead.append(reason)

        shards = self._play(pool, tap, read, bury)
        counts = sum((shard.counts + shard.join.counts for shard in shards), Counter[str]())
        return Played(tap.counts["samples"], counts, dead, selection.outside.words)

    def samples(self, isolator: Isolator | None = None) -> list[Sample]:
        """All samples, by time and node; ``WattstreamError`` if there are none."""
        found: list[Sample] = []
        played = self.play(found.append, isolator=isolator)
        if not found:
            raise WattstreamError(
                f"{self.name}: there are no samples, intervals with usage and power: {played.words}"
            )
        return sorted(found, key=lambda one: (one.end, one.node, one.source))

    @abstractmethod
    def _play(
        self,
        pool: Pool,
        tap: Learner,
        read: Callable[[Message], Entry],
        bury: Callable[[Message, str], None],
    ) -> list[Shard]:
        """Go through the messages with shards that hand their samples to ``tap``."""


class FileRecording(Recording):
    """A trace in CSV, or what Prometheus answered (JSON)."""

    def __init__(
        self,
        path: Path,
        wanted: Wanted = EVERYTHING,
        *,
        node: str | None = None,
        features: Sequence[str] | None = None,
        lateness_seconds: float = LATENESS_SECONDS,
    ) -> None:
        super().__init__(str(path), wanted, lateness_seconds)
        self._source: Source
        if path.suffix == ".csv":
            self._source = TraceSource(path, node or "trace", features=features)
        elif path.suffix == ".json":
            self._source = answer = PrometheusJsonSource(path, node)
            self.names = answer.names
        else:
            raise MisuseError(
                f"{path}: a trace (.csv) or what Prometheus answered (.json) is needed"
            )

    def _play(
        self,
        pool: Pool,
        tap: Learner,
        read: Callable[[Message], Entry],
        bury: Callable[[Message, str], None],
    ) -> list[Shard]:
        shard = Shard(0, pool, bury, self._lateness_seconds)
        shard.learner = tap
        feed_source(self._source, shard, read)
        self._source.close()
        return [shard]


class LogRecording(Recording):
    """What the log has now, all of it or a stretch of event time, whenever it was appended."""

    def __init__(
        self, log: Log, wanted: Wanted = EVERYTHING, *, lateness_seconds: float = LATENESS_SECONDS
    ) -> None:
        super().__init__("the log", wanted, lateness_seconds)
        self._log = log

    def _play(
        self,
        pool: Pool,
        tap: Learner,
        read: Callable[[Message], Entry],
        bury: Callable[[Message, str], None],
    ) -> list[Shard]:
        window = WindowLog(self._log, self._spans())
        return list(feed_log(window, tap, read, bury, pool, self._lateness_seconds))

    def _spans(self) -> dict[TopicPartition, Span]:
        """From where the first of the records may be to the end.

        The log takes no record more than an hour before its event time, but any time after it.
        """
        log, (start, _) = self._log, self._wanted.span(time.time())
        since = max(0, start - round(FUTURE_SECONDS * 1000))
        spans: dict[TopicPartition, Span] = {}
        for topic in TOPICS:
            try:
                begins, ends = log.offsets_for_time(topic, since), log.end_offsets(topic)
            except NotFoundError as error:
                raise WattstreamError(f"the log has no records: {error}") from error
            # What is appended after the one and before the other question is for the next time.
            spans |= {where: Span(min(begins[where], end), end) for where, end in ends.items()}
        return spans


class _Tap(Learner):
    """Learns nothing: hands samples on."""

    def __init__(self, pool: Pool, take: Take) -> None:
        super().__init__(pool)
        self._take = take

    def learn_one(self, sample: Sample) -> None:
        self.counts["samples"] += 1
        self._take(sample)
