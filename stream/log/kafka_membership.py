"""A place in a Kafka consumer group: only for who reads what, the records come by another way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from kafka import ConsumerRebalanceListener, KafkaConsumer
from kafka import TopicPartition as KafkaPartition
from kafka.errors import (
    CommitFailedError,
    FencedInstanceIdError,
    IllegalGenerationError,
    KafkaError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)
from kafka.structs import OffsetAndMetadata

from estimator.errors import FencedError, WattstreamError
from stream.log.kafka_clients import Connector, said
from stream.log.kafka_ranges import KnownRanges
from stream.log.protocol import Assignment, TopicPartition

_log = logging.getLogger(__name__)

OPTIONS: Final[Mapping[str, Any]] = {
    "enable_auto_commit": False,
    "auto_offset_reset": "earliest",
    "metrics_enabled": False,
}
LONGEST_STEP_MS: Final = 300_000
"""A member that is not heard from its own thread for so long has hung, and is shut out."""
_HEARTBEATS: Final = 15
"""So many in a session: a member may miss some."""
_ASK_SECONDS: Final = 0.1
"""Changes are looked for so often, however often is polled."""
_PATIENCE_SECONDS: Final = 10.0
"""Who has not been told what it has for longer, and longer than a session, joins anew.

The client (3.0) forgets about a join under way if its view of the topics changes meanwhile: it
would wait for ever, and the group would give what it had to others. Who has joined and waits for
slow members loses nothing by joining again: the place is the name's.
"""
_LOST: Final = (
    CommitFailedError,
    IllegalGenerationError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)


class KafkaMembership(ConsumerRebalanceListener):  # type: ignore[misc]  # it has no types
    """A static member of a consumer group, by a consumer that fetches nothing.

    Who is killed and comes back under the same name within the session is given what it had, and
    nobody else notices. Heartbeats go on in a thread of the client, however long a step takes. A
    member that is started under a name in use shuts the older one out.
    """

    def __init__(
        self,
        connector: Connector,
        group: str,
        topics: Sequence[str],
        partitions: int,
        member: str,
        session_seconds: float,
    ) -> None:
        session_ms = int(session_seconds * 1000)
        self._connector = connector
        self._group, self._topics, self._member = group, tuple(topics), member
        self._options = {
            **OPTIONS,
            "partition_assignment_strategy": (KnownRanges(partitions),),
            "group_id": group,
            "group_instance_id": member,
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": max(100, min(3000, session_ms // _HEARTBEATS)),
            "max_poll_interval_ms": max(LONGEST_STEP_MS, session_ms),
        }
        self._consumer: Any = None
        self._credentials: Mapping[str, Any] = {}
        self._asked_at = -_ASK_SECONDS
        self._assignment = Assignment(0, (), partitions)
        self._give_up: Callable[[], None] = _nothing
        self._failure: Exception | None = None
        self._patience = max(_PATIENCE_SECONDS, session_seconds)
        self._waiting_since: float | None = None

    def poll(self, timeout_seconds: float, give_up: Callable[[], None]) -> Assignment:
        """Take part in the group; what is ours now. Waits so long if that is nothing yet."""
        now = time.monotonic()
        if self._assignment.partitions:
            timeout_seconds = 0.0
            if now - self._asked_at < _ASK_SECONDS:
                return self._assignment
        self._asked_at = now
        if self._consumer is not None and self._connector.changed(self._credentials):
            self._come_again(give_up)
        if self._waiting_since is not None and now - self._waiting_since > self._patience:
            _log.info("group %r has not answered %r: joining anew", self._group, self._member)
            self._come_again(give_up)
        if self._consumer is None:
            self._waiting_since = now
            self._credentials = self._connector.credentials()
            self._consumer = self._connector.open(KafkaConsumer, **self._options)
            self._consumer.subscribe(self._topics, listener=self)
            self._tell_the_client_of_topics()
        self._give_up = give_up
        try:
            self._consumer.poll(int(timeout_seconds * 1000), 1)
        except FencedInstanceIdError as error:
            raise self._shut_out() from error
        except KafkaError as error:
            if self._failure is not None:  # ``give_up``'s own, which the client has wrapped
                failure, self._failure = self._failure, None
                raise failure from None
            raise self._connector.unavailable(error) from error
        finally:
            self._give_up = _nothing
        return self._assignment

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Note how far the group has come in partitions that are ours. For lag monitoring.

        ``FencedError`` if they are not ours any more, or are about to go to others.
        """
        offsets = {
            KafkaPartition(*where): OffsetAndMetadata(position, "", -1)
            for where, position in positions.items()
        }
        if self._consumer is None:
            raise FencedError(f"group {self._group!r}: {self._member!r} is no member")
        try:
            self._consumer.commit(offsets, timeout_ms=self._connector.timeout_ms)
        except FencedInstanceIdError as error:
            raise self._shut_out() from error
        except _LOST as error:
            raise FencedError(f"group {self._group!r}: {said(error)}") from error
        except KafkaError as error:
            raise self._connector.unavailable(error) from error

    def close(self) -> None:
        """Take no part any more. The place is kept for the session: a restart moves nothing."""
        consumer, self._consumer = self._consumer, None
        self._assignment, self._waiting_since = self._next(()), None
        if consumer is not None:
            consumer.close(timeout_ms=self._connector.timeout_ms)

    # What the client calls, in its own thread, while `poll` waits for it.

    def on_partitions_revoked(self, revoked: Collection[Any]) -> None:
        """Everything is given up before it is assigned anew: the state must be written now."""
        self._waiting_since = time.monotonic()
        if not self._assignment.partitions:
            return
        _log.info("group %r assigns its partitions anew: %d given up", self._group, len(revoked))
        self._assignment = self._next(())
        try:
            self._give_up()
        except Exception as error:
            self._failure = error
            raise

    def on_partitions_assigned(self, assigned: Collection[Any]) -> None:
        """Note what is ours, and fetch none of it."""
        self._waiting_since = None
        self._consumer.pause(*assigned)
        numbers = tuple(sorted({partition for _, partition in assigned}))
        self._assignment = self._next(numbers)
        _log.info("group %r gives %r the partitions %s", self._group, self._member, list(numbers))

    def _tell_the_client_of_topics(self) -> None:
        """What it will be told of the topics in a moment is nothing new: see `KnownRanges`.

        Else a group assigns once more what it has just assigned, as soon as its leader has heard
        of the topics; and whose join is under way then may be forgotten.
        """
        known = {topic: set(range(self._assignment.of)) for topic in self._topics}
        self._consumer._coordinator._metadata_snapshot = known

    def _come_again(self, give_up: Callable[[], None]) -> None:
        """Leave as who is started again does: a client keeps the password that it began with."""
        if self._assignment.partitions:
            give_up()
        self.close()

    def _next(self, partitions: tuple[int, ...]) -> Assignment:
        return Assignment(self._assignment.number + 1, partitions, self._assignment.of)

    def _shut_out(self) -> WattstreamError:
        return WattstreamError(
            f"group {self._group!r}: another learner has come under the name {self._member!r};"
            " names must differ"
        )


def _nothing() -> None:
    """Nothing is held that could be given up."""
