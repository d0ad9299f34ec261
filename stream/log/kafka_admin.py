"""Questions to a Kafka cluster that are asked again while they may still be answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar

from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import (
    AuthorizationError,
    BrokerResponseError,
    KafkaError,
    NotCoordinatorError,
    RetriableError,
    SaslAuthenticationFailedError,
    UnknownMemberIdError,
    for_code,
)
from kafka.structs import OffsetAndMetadata

from estimator.errors import LogUnavailableError, MisuseError
from stream.log.kafka_clients import TOO_OLD, Connector
from stream.log.protocol import TopicPartition

T = TypeVar("T")

EARLIEST: Final = -2
LATEST: Final = -1
DEFAULT_LIMIT: Final = 1_048_588
"""``max.message.bytes`` of a broker that was not told otherwise."""
_RETRY_SECONDS: Final = 0.1
_OF_CLIENT: Final = (NotCoordinatorError, SaslAuthenticationFailedError)
"""Answers that another client may not get: this one remembers what is no longer so."""
_UNKNOWN_TOPIC: Final = 3
_EXISTS: Final = 36
_CONFIGS: Final = ("max.message.bytes", "message.timestamp.type", "retention.ms", "retention.bytes")


class TopicInfo(NamedTuple):
    """What a topic is like; ``configs`` is empty if we are not allowed to see it."""

    partitions: int
    configs: Mapping[str, str]

    @property
    def max_message_bytes(self) -> int:
        """What the topic takes at most as one batch."""
        return int(self.configs.get("max.message.bytes", DEFAULT_LIMIT))


class KafkaAdmin:
    """One administrative client, opened when first needed. Safe to share between threads.

    An answer that may come later (a leader is being elected, a connection is lost) is waited for,
    up to the connector's timeout; then ``LogUnavailableError``. After a lost connection the client
    is opened anew: it remembers coordinators and controllers that may be gone.
    """

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._opening = Lock()
        self._opened: Any = None
        self._closed = False

    def ask(self, question: Callable[[Any], T], patience_seconds: float | None = None) -> T:
        """The answer to a question, which is put as a function of the client."""
        if patience_seconds is None:
            patience_seconds = self._connector.timeout_ms / 1000
        deadline = time.monotonic() + patience_seconds
        while True:
            client = self._client(max(0.0, deadline - time.monotonic()))
            try:
                return question(client)
            except TOO_OLD as error:
                raise self._connector.too_old(error) from error
            except (KafkaError, RuntimeError) as error:
                if not isinstance(error, BrokerResponseError) or isinstance(error, _OF_CLIENT):
                    self._drop(client)
                # The client raises RuntimeError when another thread has just dropped it.
                again = isinstance(error, RetriableError | RuntimeError)
                if not again or time.monotonic() >= deadline:
                    raise self._connector.unavailable(error) from error
            time.sleep(_RETRY_SECONDS)

    def describe(self, topics: list[str] | None = None) -> dict[str, int]:
        """How many partitions each of these topics has, or all topics; those missing are left out.

        Kafka's own topics are left out of "all".
        """

        def question(client: Any) -> dict[str, int]:
            found = {}
            for topic in client.describe_topics(topics):
                error = for_code(topic["error_code"])
                if topic["error_code"] == _UNKNOWN_TOPIC or topic["is_internal"]:
                    continue
                if topic["error_code"]:
                    raise error(topic["name"])
                found[topic["name"]] = len(topic["partitions"])
            return found

        return self.ask(question) if topics != [] else {}

    def create(self, topics: Mapping[str, Mapping[str, Any]]) -> list[str]:
        """Make these topics and wait until they have leaders; which of them existed already."""

        def question(client: Any) -> list[str]:
            answer = client.create_topics(dict(topics), raise_errors=False)
            existed = []
            for topic in answer["topics"]:
                if topic["error_code"] == _EXISTS:
                    existed.append(topic["name"])
                elif topic["error_code"]:
                    raise for_code(topic["error_code"])(
                        f"{topic['name']}: {topic['error_message']}"
                    )
            client.wait_for_topics(list(topics), self._connector.timeout_ms)
            return existed

        return self.ask(question)

    def configs(self, topic: str) -> dict[str, str]:
        """The topic's settings that matter to us; none if we are not allowed to see them."""
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, list(_CONFIGS))

        def question(client: Any) -> dict[str, str]:
            try:
                found = client.describe_configs([resource], config_filter="all")["topic"][topic]
            except AuthorizationError:
                return {}
            return {name: str(config["value"]) for name, config in found.items()}

        return self.ask(question)

    def offsets(self, topic: str, partitions: int, spec: int) -> dict[TopicPartition, int]:
        """An offset of each partition: ``EARLIEST``, ``LATEST``, or the first since a Unix ms.

        -1 where nothing was appended since that time.
        """
        specs = {KafkaPartition(topic, number): spec for number in range(partitions)}
        found = self.ask(lambda client: client.list_partition_offsets(specs))
        return {
            TopicPartition(topic, number): found[topic, number].offset
            for number in range(partitions)
        }

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        """Note a group's positions; ``MisuseError`` if members of it are at work."""
        offsets = {
            KafkaPartition(*where): OffsetAndMetadata(position, "", -1)
            for where, position in positions.items()
        }

        def question(client: Any) -> None:
            for error in client.alter_group_offsets(group, offsets).values():
                if error is UnknownMemberIdError:
                    raise MisuseError(f"group {group!r} has members: only they commit its offsets")
                if error.errno:
                    raise error(f"group {group!r}")

        if offsets:
            self.ask(question)

    def committed(self, group: str) -> dict[TopicPartition, int]:
        """A group's positions, of all topics."""
        found = self.ask(lambda client: client.list_group_offsets({group: None}))[group]
        return {TopicPartition(*where): at.offset for where, at in found.items() if at.offset >= 0}

    def close(self) -> None:
        """Close the client; whoever is asking gets ``LogUnavailableError``."""
        self._closed = True
        self._drop(self._opened)

    def _client(self, patience_seconds: float) -> Any:
        with self._opening:
            if self._closed:
                raise LogUnavailableError(f"log {self._connector.url}: it has been closed")
            if self._opened is None:
                # Even at the end of all patience a broker that is there gets a chance to answer.
                wait_ms = max(500, int(patience_seconds * 1000))
                self._opened = self._connector.open(KafkaAdminClient, wait_ms)
            return self._opened

    def _drop(self, client: Any) -> None:
        with self._opening:
            if client is None or client is not self._opened:
                return
            self._opened = None
        client.close()
