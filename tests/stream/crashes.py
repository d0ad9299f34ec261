"""A stream that is worth learning, a world that can end at any moment, and who lives in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from typing import Any

from hypothesis import strategies as st

from estimator.isolation.choose import make_isolator
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore, Store
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.learning.learner import Pool
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.memory import MemoryLog
from stream.log.protocol import Log, Message, Outgoing, Reader, TopicPartition
from stream.records import POWER_TOPIC, USAGE_TOPIC, encode
from tests.stream.builders import ManualClock, Record, filled_log, fleet, gauge

PARTITIONS = 2
BAD: list[tuple[str, Outgoing]] = [
    (USAGE_TOPIC, Outgoing("n0", b"not json")),
    (POWER_TOPIC, Outgoing("n1", b'{"v":2}')),
    (USAGE_TOPIC, Outgoing("n1", b'{"v":1,"node":"n1","at":5,"mode":"rate","interval":1e300}')),
    (POWER_TOPIC, Outgoing("n0", encode(gauge(1, node="n0", source="rapl", package=1)))),
]


class Killed(BaseException):
    """The process is gone: nobody catches that."""


class Fuse:
    """Kills at the n-th thing that reaches the outside world, before it is done or after."""

    def __init__(self) -> None:
        self.left = -1
        self.after = False
        self.passed: list[str] = []

    @contextmanager
    def burn(self, what: str) -> Iterator[None]:
        self.passed.append(what)
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Killed(what)
        yield
        if self.left == 0:
            raise Killed(what)


class FusedStore:
    """A store with a fuse in every method."""

    def __init__(self, store: Store, fuse: Fuse) -> None:
        self._store, self._fuse = store, fuse

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._store, name)

        def fused(*arguments: object) -> object:
            with self._fuse.burn(name):
                return method(*arguments)

        return fused


class FusedLog:
    """A log with a fuse in ``commit`` and ``append_many``; readers poll as few as they like."""

    def __init__(self, log: Log, fuse: Fuse, size: Callable[[], int]) -> None:
        self._log, self._fuse, self._size = log, fuse, size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        with self._fuse.burn("offsets"):
            self._log.commit(group, positions)

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        with self._fuse.burn("append"):
            self._log.append_many(topic, messages)

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        return FewAtATime(self._log.reader(positions), self._size)


class FewAtATime:
    """Polls at most so many as it is told each time."""

    def __init__(self, reader: Reader, size: Callable[[], int]) -> None:
        self._reader, self._size = reader, size

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        return self._reader.poll(min(max_messages, self._size()), 0.0)


def records() -> list[Record | tuple[str, Outgoing]]:
    """Some nodes of both partitions, restless, with bad records in between."""
    found: list[Record | tuple[str, Outgoing]] = list(fleet(nodes=4, steps=22, seed=2))
    for place, bad in enumerate(BAD):
        found.insert(60 + 50 * place, bad)
    return found


@cache
def log_of_all() -> MemoryLog:
    return filled_log(records(), PARTITIONS)


def pool_of_all() -> Pool:
    """Of all isolators the one that learns most: workloads "2" are its background."""
    return pool(isolator=make_isolator("trainer", {"bg_hints": ["2"]}))


def make_worker(log: Any, store: Any, clock: ManualClock, commit_seconds: float = 1e9) -> Worker:
    parts = Parts(
        log=log,
        pool=pool_of_all(),
        checkpoints=Checkpoints(store, "g"),
        publisher=Publisher(ModelStore(store)),
        dead_letter=DeadLetters(log).send,
        clock=clock,
        commit_seconds=commit_seconds,
    )
    return Worker(parts, range(PARTITIONS))


def states(worker: Worker) -> dict[int, bytes]:
    return {number: checkpoint.encode(shard.state()) for number, shard in worker.shards.items()}


@cache
def undisturbed() -> dict[int, bytes]:
    worker = make_worker(log_of_all(), InMemoryStore(), ManualClock())
    worker.run_to_end()
    return states(worker)


def clock_after(seconds: float) -> ManualClock:
    last = max(
        message.appended_ms
        for topic in (USAGE_TOPIC, POWER_TOPIC)
        for message in all_of(log_of_all(), topic)
    )
    return ManualClock(last / 1000 + seconds)


def all_of(log: Log, topic: str) -> list[Message]:
    with closing(log.reader(log.begin_offsets(topic))) as reader:
        return reader.poll(10**6, 0.0)


late = st.sampled_from([0.0, 5.0, 3600.0])
"""How long after the last record the worker runs."""
