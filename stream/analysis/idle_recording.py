"""Recording idle profiles: between which watts the machines of each type are, for a while."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Final

from estimator.errors import WattstreamError
from estimator.isolation.profile import SCHEMA, IdleProfile, PowerRange
from stream.analysis.feeding import feed_log
from stream.collecting.collect import Collector
from stream.joining.join import LATENESS_SECONDS
from stream.joining.merge import Entry
from stream.learning.intake import TOPICS
from stream.learning.learner import Learner, Pool
from stream.log.memory import MemoryLog
from stream.log.protocol import Log, Message, TopicPartition, TopicSpec
from stream.records import USAGE_TOPIC, decode_usage
from stream.replaying.selection import Selection
from stream.sample import Sample
from stream.sources.protocol import Source

RESTLESS: Final = 1.5
"""A greatest power that many times the least is not that of an idle machine."""


class IdleRecorder(Learner):
    """Learns of samples only between which watts they are, by node type, source and component."""

    def __init__(self) -> None:
        super().__init__(Pool({}, {}))
        self._ranges: dict[tuple[str, str], dict[str, PowerRange]] = {}
        self._times: dict[str, tuple[int, int]] = {}

    def learn_one(self, sample: Sample) -> None:
        """Widen the ranges of the sample's components by its watts."""
        node_type = sample.machine.node_type
        ranges = self._ranges.setdefault((node_type, sample.source), {})
        for component, watts in zip(sample.components, sample.watts, strict=True):
            before = ranges.get(component, PowerRange(watts, watts, 0))
            ranges[component] = PowerRange(
                min(before.min, watts), max(before.max, watts), before.samples + 1
            )
        since, until = self._times.get(node_type, (sample.start, sample.end))
        self._times[node_type] = min(since, sample.start), max(until, sample.end)

    def profiles(self) -> list[IdleProfile]:
        """What was recorded, by node type."""
        return [
            IdleProfile(
                SCHEMA,
                node_type,
                *times,
                {
                    source: ranges
                    for (of, source), ranges in sorted(self._ranges.items())
                    if of == node_type
                },
            )
            for node_type, times in sorted(self._times.items())
        ]


def record_idle(
    log: Log, read: Callable[[Message], Entry], lateness_seconds: float = LATENESS_SECONDS
) -> list[IdleProfile]:
    """The profiles of what a log has, by the very path that live data take.

    ``read`` says which records count. ``WattstreamError`` if there was no usage with power beside
    it: then nobody knows of which time the power would be.
    """
    recorder = IdleRecorder()
    feed_log(log, recorder, read, lambda *_: None, lateness_seconds=lateness_seconds)
    found = recorder.profiles()
    if not found:
        raise WattstreamError("nothing was recorded: there was no usage with power beside it")
    return found


def record_source(
    source: Source, seconds: float, lateness_seconds: float = LATENESS_SECONDS
) -> list[IdleProfile]:
    """The profiles of the first ``seconds`` of a source that ends."""
    with MemoryLog() as log:
        log.create_topics([TopicSpec(topic, 1) for topic in TOPICS])
        with Collector([source], log) as collector:
            collector.join()
        if collector.failure is not None:
            raise collector.failure
        begin = _begin(log)
        end = begin + round(seconds * 1000)
        # The record at the end is of the interval before it.
        return record_idle(log, Selection(begin, end + 1).read, lateness_seconds)


def _begin(log: Log) -> int:
    """When the first usage interval began (Unix ms); ``WattstreamError`` without usage."""
    with closing(log.reader({TopicPartition(USAGE_TOPIC, 0): 0})) as reader:
        for message in reader.poll(1, 0.0):
            record = decode_usage(message.value)
            return record.at - round((record.interval or 0.0) * 1000)
    raise WattstreamError("nothing was recorded: there was no usage")


def restless(profile: IdleProfile) -> list[str]:
    """The components that were not idle while the profile was recorded, with what they drew."""
    return [
        f"{component} of {source} from {one.min:.1f} to {one.max:.1f} W"
        for source, ranges in profile.sources.items()
        for component, one in ranges.items()
        if one.max > RESTLESS * one.min
    ]
