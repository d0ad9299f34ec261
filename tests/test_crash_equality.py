"""Three learners on a real broker, killed again and again: what they learn is what one learns.

While a fixed stream comes in, one learner after the other is killed and started again, the broker
too, and the store is away for a while. At the end every shard's state is, bit for bit, that of one
learner which read the same log in one go.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Final

import pytest

from estimator.errors import LogUnavailableError
from estimator.storage.store import open_store
from stream.learning import checkpoint, checkpoint_pointer
from stream.learning.checkpoint import Checkpoints
from stream.log.kafka import KafkaLog
from stream.log.protocol import Outgoing
from stream.records import GROUP, POWER_TOPIC, USAGE_TOPIC, encode, topic_of
from tests.kafka.broker import Broker
from tests.kafka.fixtures import LEFT_SOCKETS
from tests.server.commands.processes import Command, eventually
from tests.stream.builders import fleet, topics

pytestmark = [pytest.mark.slow, *LEFT_SOCKETS]

RECORDS: Final = 20_000
PARTITIONS: Final = 6
LEARNERS: Final = ("one", "two", "three")
SESSION_SECONDS: Final = 1.5
PATIENCE_SECONDS: Final = 120.0
STORE_AWAY_SECONDS: Final = 10.0


class Stream:
    """Appends a fixed stream to the log, spread over the time that the test takes."""

    def __init__(self, log: KafkaLog, chunks: int) -> None:
        self._log = log
        records = fleet(nodes=24, steps=190, seed=11)[:RECORDS]
        assert len(records) == RECORDS
        size = -(-RECORDS // chunks)
        self._chunks = [records[start : start + size] for start in range(0, RECORDS, size)]
        self.sent = 0

    def send(self) -> None:
        """Append the next part of it; tries again while the broker is away."""
        if not self._chunks:
            return
        by_topic: dict[str, list[Outgoing]] = {USAGE_TOPIC: [], POWER_TOPIC: []}
        chunk = self._chunks.pop(0)
        for record in chunk:
            topic = topic_of(record)
            by_topic[topic].append(Outgoing(record.node, encode(record)))
        for topic, messages in by_topic.items():
            eventually(lambda t=topic, m=messages: self._try(t, m), PATIENCE_SECONDS)  # type: ignore[misc]  # mypy cannot infer lambdas with defaults
        self.sent += len(chunk)

    def send_all(self) -> None:
        while self._chunks:
            self.send()

    def _try(self, topic: str, messages: Sequence[Outgoing]) -> bool:
        try:
            self._log.append_many(topic, messages)
        except LogUnavailableError:
            return False
        return True


class Learners:
    """The processes, by name."""

    def __init__(self, folder: Path, url: str, stack: ExitStack) -> None:
        self._folder, self._url, self._stack = folder, url, stack
        self.store = folder / "store"
        self.running: dict[str, Command] = {}

    def start(self, name: str) -> None:
        words = ["learn", "--data", self._folder / name, "--store", f"file:{self.store}"]
        words += ["--log", self._url, "--partitions", PARTITIONS, "--commit-interval", 0.2]
        words += ["--learner", name, "--session-timeout", SESSION_SECONDS]
        self.running[name] = self._stack.enter_context(Command(self._folder, words))

    def kill(self, name: str) -> None:
        command = self.running.pop(name)
        assert command.stop(SIGKILL) == -SIGKILL

    def owners(self) -> dict[int, str]:
        """Who has claimed each partition last."""
        found = {}
        for number in range(PARTITIONS):
            path = self.store / "checkpoints" / GROUP / str(number) / "current.json"
            if path.exists():
                found[number] = checkpoint_pointer.decode(path.read_bytes()).owner
        return found

    def share(self) -> bool:
        """Whether every learner that runs has partitions, and nobody else has any."""
        for name, command in self.running.items():
            assert command.is_running, (name, command.said)
        owners = self.owners()
        return len(owners) == PARTITIONS and set(owners.values()) == set(self.running)

    def have_read(self, log: KafkaLog) -> bool:
        """Whether every record is behind the offsets of the group."""
        try:
            committed = log.committed(GROUP)
            ends = {**log.end_offsets(USAGE_TOPIC), **log.end_offsets(POWER_TOPIC)}
        except LogUnavailableError:
            return False
        return all(committed.get(where, 0) >= end for where, end in ends.items() if end)


def learn_once(folder: Path, url: str, store: Path) -> dict[int, bytes]:
    """Learn to the log's end in one process; every shard's state then."""
    words = ["learn", "--once", "--data", folder, "--store", f"file:{store}", "--log", url]
    words += ["--partitions", PARTITIONS, "--session-timeout", SESSION_SECONDS]
    with Command(folder.parent, words) as command:
        assert command.wait(PATIENCE_SECONDS) == 0, command.said
    found = {}
    checkpoints = Checkpoints(open_store(f"file:{store}"), GROUP)
    for number in range(PARTITIONS):
        state = checkpoints.read(number)
        assert state is not None
        found[number] = checkpoint.encode(state)
    return found


@contextmanager
def store_away(store: Path) -> Iterator[None]:
    """Something else is there in place of the store for a while: nothing can be read or written."""
    elsewhere = store.with_name("elsewhere")
    store.rename(elsewhere)
    store.touch()
    yield
    store.unlink()
    elsewhere.rename(store)


def restart(broker: Broker) -> None:
    broker.kill()
    broker.start()


@pytest.mark.timeout(900)
def test_killed_learners_a_killed_broker_and_a_store_that_is_away_change_no_bit(
    own_kafka: Broker, tmp_path: Path
) -> None:
    rng = random.Random(3)
    kills = [*LEARNERS * 3, rng.choice(LEARNERS)]
    rng.shuffle(kills)
    moves = 0
    with ExitStack() as stack, KafkaLog(own_kafka.url) as log:
        topics(log, PARTITIONS)
        stream = Stream(log, 4 * len(kills))
        learners = Learners(tmp_path, own_kafka.url, stack)
        for name in LEARNERS:
            learners.start(name)
        eventually(learners.share, PATIENCE_SECONDS)
        for number, name in enumerate(kills):
            stream.send()
            time.sleep(rng.uniform(0, 0.6))  # any moment: within a poll, a round, a commit
            learners.kill(name)
            stream.send()
            if number in (3, 7):
                restart(own_kafka)
            stream.send()
            eventually(learners.share, PATIENCE_SECONDS)  # what it had has gone to the others
            learners.start(name)
            stream.send()
            eventually(learners.share, PATIENCE_SECONDS)
            moves += 2
            if number == 5:
                with store_away(learners.store):
                    stream.send()
                    time.sleep(STORE_AWAY_SECONDS)
        stream.send_all()
        assert stream.sent == RECORDS
        eventually(lambda: learners.have_read(log), PATIENCE_SECONDS)
        for command in learners.running.values():
            assert command.stop(SIGTERM) == 0, command.said
            assert "Traceback" not in command.said
        ends = {**log.end_offsets(USAGE_TOPIC), **log.end_offsets(POWER_TOPIC)}
        assert sum(ends.values()) >= RECORDS
    assert moves == 20
    expected = learn_once(tmp_path / "calm", own_kafka.url, tmp_path / "calm-store")
    assert learn_once(tmp_path / "last", own_kafka.url, learners.store) == expected
    assert len(set(expected.values())) == PARTITIONS
