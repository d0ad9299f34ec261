"""A shard: everything that was learned from one partition, and how far it had been read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from estimator.arrays import State
from estimator.errors import RecordError
from stream.joining.guest_clocks import GuestClocks
from stream.joining.join import LATENESS_SECONDS, Join
from stream.joining.merge import Entry
from stream.joining.rivals import Rivals
from stream.joining.usage_decoder import UsageDecoder
from stream.learning.learner import Learner, Observer, Pool
from stream.log.protocol import Message
from stream.records import (
    POWER_TOPIC,
    USAGE_TOPIC,
    PowerRecord,
    UsageRecord,
    decode_power,
)
from stream.sample import Sample

DeadLetter = Callable[[Message, str], None]

_usage = UsageDecoder()


def read(message: Message) -> Entry:
    """The message with the record that it holds, or with the reason why it holds none."""
    try:
        if message.topic == USAGE_TOPIC:
            return Entry(message, _usage.decode(message.value, message.appended_ms))
        return Entry(message, decode_power(message.value, message.appended_ms))
    except RecordError as error:
        return Entry(message, None, str(error))


class Shard:
    """Join, learner and positions of one partition: written and read as one unit."""

    def __init__(
        self,
        partition: int,
        pool: Pool,
        dead_letter: DeadLetter,
        lateness_seconds: float = LATENESS_SECONDS,
        observer: Observer | None = None,
    ) -> None:
        self.partition = partition
        self.positions = {USAGE_TOPIC: 0, POWER_TOPIC: 0}
        self.join = Join(lateness_seconds, pool.isolator.hints if pool.isolator else None)
        self.learner = Learner(pool, observer)
        self.counts: Counter[str] = Counter()
        self._dead_letter = dead_letter
        self._rivals = Rivals()
        self._clocks = GuestClocks()

    def process(self, entry: Entry) -> None:
        """Join the entry's record, learn what became complete, and move the position on."""
        message, record = entry.message, entry.record
        if entry.left_out:
            self.counts[f"left out {entry.reason}"] += 1
        elif record is None:
            self._bury(message, entry.reason)
        else:
            self._learn(message, record)
        skipped = message.offset - self.positions[message.topic]
        if skipped > 0:
            self.counts["skipped_messages"] += skipped
        self.positions[message.topic] = message.offset + 1

    def skip_to(self, topic: str, offset: int) -> None:
        """Move the position of a topic on: what lies before that offset will never come."""
        missing = offset - self.positions[topic]
        if missing > 0:
            self.counts["skipped_messages"] += missing
            self.positions[topic] = offset

    def _learn(self, message: Message, record: UsageRecord | PowerRecord) -> None:
        try:
            if isinstance(record, PowerRecord):
                kind, samples = "power_records", self._joined_power(message, record)
            else:
                kind, samples = "usage_records", self._joined_usage(message, record)
        except RecordError as error:
            self._bury(message, str(error))
            return
        self.counts[kind] += 1
        self._rivals.notice(message, record)
        for sample in samples:
            self.learner.learn_one(sample)

    def _joined_power(self, message: Message, record: PowerRecord) -> list[Sample]:
        samples = self.join.add_power(record)  # first: it may refuse the record
        if self._clocks.hear_host(record, message.appended_ms):
            self.join.forget_usage(record.node)  # its times have not been compared
        return samples

    def _joined_usage(self, message: Message, record: UsageRecord) -> list[Sample]:
        moved, has_jumped = self._clocks.moved(record, message.appended_ms)
        if has_jumped:
            self.join.forget_usage(record.node)
        if moved is None:
            self.join.counts["clock"] += 1
            return []
        return self.join.add_usage(moved)

    def _bury(self, message: Message, reason: str) -> None:
        self._dead_letter(message, reason)
        self.counts[f"dead {message.topic}"] += 1

    def state(self) -> State:
        """Everything that `restore` needs to go on, bit for bit; valid until the next entry."""
        return {
            "partition": self.partition,
            "positions": self.positions,
            "counts": dict(self.counts),
            "join": self.join.state(),
            "clocks": self._clocks.state(),
            "learner": self.learner.state(),
        }

    def restore(self, state: State) -> None:
        """Go on from a state that `state` gave."""
        self.positions = dict(state["positions"])
        self.counts = Counter(state["counts"])
        self.join.restore(state["join"])
        self._clocks.restore(state["clocks"])
        self.learner.restore(state["learner"])
