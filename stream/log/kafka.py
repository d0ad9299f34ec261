"""The log on an Apache Kafka cluster."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from estimator.errors import LogUnavailableError, NotFoundError
from stream.log.alone import common_count
from stream.log.closing import Closing
from stream.log.kafka_admin import EARLIEST, LATEST, KafkaAdmin, TopicInfo
from stream.log.kafka_clients import Connector
from stream.log.kafka_membership import KafkaMembership
from stream.log.kafka_reader import KafkaReader
from stream.log.kafka_topics import COMPRESSION, differences, topic_configs
from stream.log.kafka_writer import KafkaWriter
from stream.log.protocol import Outgoing, TopicPartition, TopicSpec
from stream.log.topics import check_topic

_log = logging.getLogger(__name__)

_PING_SECONDS: Final = 1.0


class KafkaLog(Closing):
    """A ``Log`` on Kafka 2.4 or later, named ``kafka://host:port[,host:port]``.

    Nothing is connected until it is needed. Whatever needs the cluster raises
    ``LogUnavailableError`` if that does not answer within about ``timeout_seconds``, and works
    again when it is back. ``appended_ms`` is the time of the partition's leader: it falls where
    the leader's clock does. ``replication`` -1 leaves that to the cluster; ``options`` are
    kafka-python's, for security.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout_seconds: float = 10.0,
        replication: int = -1,
        compression: str | None = COMPRESSION,
        options: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._connector = Connector(url, timeout_seconds, options)
        self._admin = KafkaAdmin(self._connector)
        self._writer = KafkaWriter(self._connector, compression)
        self._replication = replication
        self._known: dict[str, TopicInfo] = {}
        self._away = False

    def create_topics(self, topics: Sequence[TopicSpec]) -> None:
        """Make sure that these topics exist; ``MisuseError`` if one has other partitions.

        What else is other in one that exists is left as it is, and said in a warning.
        """
        for spec in topics:
            check_topic(spec, None)
        existing = self._check(topics)
        missing = {spec.name: spec for spec in topics if spec.name not in existing}
        if missing:
            taken = self._admin.create(
                {
                    spec.name: {
                        "num_partitions": spec.partitions,
                        "replication_factor": self._replication,
                        "configs": topic_configs(spec),
                    }
                    for spec in missing.values()
                }
            )
            # Somebody else has just made them.
            self._check([missing[name] for name in taken])
        for spec in topics:
            if spec.name in existing:
                for difference in differences(spec, self._admin.configs(spec.name)):
                    _log.warning("topic %r: %s", spec.name, difference)

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; ``NotFoundError`` if it does not exist."""
        found = self._admin.describe([topic]).get(topic)
        if found is None:
            raise NotFoundError(f"topic {topic!r} does not exist")
        return found

    def topics(self) -> list[str]:
        """The names of all topics, sorted, without Kafka's own."""
        return sorted(self._admin.describe())

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Append all of them, durably, before returning; ``LogUnavailableError`` if it cannot.

        ``RefusedError`` if some are too large for the topic; all others are appended then. Some may
        be appended twice: if an acknowledgement was lost, or if the caller tries again.
        """
        if self._away:
            # To send takes the whole timeout to fail, this fails at once.
            self._admin.ask(lambda client: client.describe_cluster(), _PING_SECONDS)
        info = self._info(topic)
        try:
            self._writer.append(topic, info.partitions, info.max_message_bytes, messages)
        except LogUnavailableError:
            self._away = True
            self._known.pop(topic, None)  # it may have been made anew
            raise
        self._away = False

    def reader(self, positions: Mapping[TopicPartition, int]) -> KafkaReader:
        """Start reading at these offsets; ``NotFoundError`` if a partition does not exist."""
        counts = {topic: self.partitions(topic) for topic in {where.topic for where in positions}}
        for topic, number in positions:
            if not 0 <= number < counts[topic]:
                raise NotFoundError(f"topic {topic!r} has no partition {number}")
        return KafkaReader(self._connector, positions, self.end_offsets)

    def begin_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset of the earliest message left in each partition (the end's, if none is)."""
        return self._admin.offsets(topic, self._info(topic).partitions, EARLIEST)

    def end_offsets(self, topic: str) -> dict[TopicPartition, int]:
        """The offset that the next message of each partition will have."""
        return self._admin.offsets(topic, self._info(topic).partitions, LATEST)

    def offsets_for_time(self, topic: str, appended_ms: int) -> dict[TopicPartition, int]:
        """The first offset appended at that Unix time in ms or later; the end's, if none is."""
        # The ends first: what is appended between the two questions may not be skipped.
        ends = self.end_offsets(topic)
        found = self._admin.offsets(topic, len(ends), max(0, appended_ms))
        return {where: end if found[where] < 0 else found[where] for where, end in ends.items()}

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far a group has come. For lag monitoring: checkpoints hold the truth.

        ``MisuseError`` if the group has members (which commit by themselves).
        """
        self._admin.commit(group, positions)

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """How far a group has said it has come."""
        return self._admin.committed(group)

    def join(
        self, group: str, topics: Sequence[str], member: str, session_seconds: float
    ) -> KafkaMembership:
        """Become a static member of a group that shares these topics, of equal partition counts.

        It takes part once it is polled.
        """
        count = common_count(self, topics)
        return KafkaMembership(self._connector, group, topics, count, member, session_seconds)

    def close(self) -> None:
        """Close the connections; readers and memberships close their own."""
        self._admin.close()
        self._writer.close()

    def _check(self, topics: Sequence[TopicSpec]) -> dict[str, int]:
        """Which of the topics exist, by partitions; ``MisuseError`` if one has others."""
        existing = self._admin.describe([spec.name for spec in topics])
        for spec in topics:
            check_topic(spec, existing.get(spec.name))
        return existing

    def _info(self, topic: str) -> TopicInfo:
        info = self._known.get(topic)  # another thread may forget it
        if info is None:
            info = TopicInfo(self.partitions(topic), self._admin.configs(topic))
            self._known[topic] = info
        return info
