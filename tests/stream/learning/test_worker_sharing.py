"""Workers that share partitions, give them up, lose them, die: together they learn the same."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import DamagedError, FencedError, LogUnavailableError, StoreError
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore, Store
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.learning.publisher import Publisher
from stream.learning.shared_models import SharedModels
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.memory import MemoryLog
from stream.log.protocol import Assignment, Reader, TopicPartition
from stream.records import POWER_TOPIC, USAGE_TOPIC
from tests.stream.builders import ManualClock, filled_log, fleet
from tests.stream.crashes import (
    PARTITIONS,
    Fuse,
    FusedLog,
    FusedStore,
    Killed,
    clock_after,
    log_of_all,
    pool_of_all,
    states,
    undisturbed,
)


class Group:
    """A consumer group's coordinator: who has which partitions, and since which generation."""

    def __init__(self, partitions: int = PARTITIONS) -> None:
        self.partitions = partitions
        self.generation = 0
        self.owners: dict[int, str] = {}
        self.committed: dict[TopicPartition, int] = {}

    def assign(self, owners: Mapping[int, str]) -> None:
        """Assign all partitions anew."""
        self.generation += 1
        self.owners = dict(owners)


class Member:
    """A membership as the coordinator sees it; one that is ``deaf`` does not hear of changes."""

    def __init__(self, group: Group, name: str) -> None:
        self._group, self._name = group, name
        self._heard = Assignment(0, (), group.partitions)
        self.deaf = self.away = False

    def poll(self, timeout_seconds: float, give_up: Callable[[], None]) -> Assignment:
        if self.away:
            raise LogUnavailableError("no coordinator")
        group = self._group
        if not self.deaf and self._heard.number != group.generation:
            if self._heard.partitions:
                give_up()
            mine = tuple(sorted(n for n, name in group.owners.items() if name == self._name))
            self._heard = Assignment(group.generation, mine, group.partitions)
        return self._heard

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if self._heard.number != self._group.generation:
            raise FencedError(f"generation {self._heard.number} is over")
        assert {where.partition for where in positions} <= set(self._heard.partitions)
        self._group.committed.update(positions)

    def close(self) -> None:
        pass


def worker_of(
    name: str, group: Group, log: Any, store: Any, clock: ManualClock, **more: Any
) -> tuple[Worker, Member]:
    member, experts = Member(group, name), pool_of_all()
    parts: dict[str, Any] = {
        "log": log,
        "pool": experts,
        "checkpoints": Checkpoints(store, "g", name),
        "publisher": Publisher(ModelStore(store)),
        "dead_letter": DeadLetters(log).send,
        "clock": clock,
        "commit_seconds": 1e9,
        "membership": member,
        "shared": SharedModels(store, "g", experts),
    }
    return Worker(Parts(**{**parts, **more})), member


class Life:
    """A worker's steps one by one, as `Worker.run` takes them."""

    def __init__(self, worker: Worker, member: Member) -> None:
        self.worker, self.member = worker, member

    def step(self) -> None:
        try:
            if self.worker.follow():
                self.worker._step()
        except (LogUnavailableError, StoreError):
            pass


def newest(store: Store, partitions: int = PARTITIONS) -> dict[int, bytes]:
    found = {}
    for number in range(partitions):
        state = Checkpoints(store, "g").read(number)
        if state is not None:
            found[number] = checkpoint.encode(state)
    return found


def finish(log: Any, store: Any, clock: ManualClock) -> dict[int, bytes]:
    """One worker takes all over and learns to the end."""
    group = Group()
    group.assign(dict.fromkeys(range(PARTITIONS), "last"))
    worker, _ = worker_of("last", group, log, store, clock)
    assert worker.follow()
    worker.run_to_end()
    assert worker.commit()
    assert states(worker) == newest(store)
    return states(worker)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_whoever_learns_when_and_whoever_dies_the_same_is_learned(seed: int) -> None:
    """Partitions move at random; some hear of it late, and write what is not theirs any more."""
    rng = random.Random(seed)
    fuse, store, clock, group = Fuse(), InMemoryStore(), clock_after(0), Group()
    log = FusedLog(log_of_all(), fuse, lambda: rng.choice([1, 5, 20, 60]))
    fused = FusedStore(store, fuse)

    def born(name: str) -> Life:
        return Life(*worker_of(name, group, log, fused, clock))

    lives = {name: born(name) for name in ("one", "two", "three")}
    for _ in range(60):
        if rng.random() < 0.15:
            group.assign({n: rng.choice(list(lives)) for n in range(PARTITIONS)})
        name = rng.choice(list(lives))
        life = lives[name]
        life.member.deaf = rng.random() < 0.2
        life.member.away = rng.random() < 0.1
        fuse.left, fuse.after = rng.choice([-1, -1, rng.randint(1, 12)]), rng.random() < 0.5
        try:
            life.step()
            if rng.random() < 0.3:
                life.worker.commit()
        except Killed:
            lives[name] = born(name)
    fuse.left = -1
    assert finish(log, store, clock) == undisturbed()


def two_workers(
    log: Any, store: Store, clock: ManualClock | None = None, **more: Any
) -> tuple[Group, dict[str, Life]]:
    group = Group()
    clock = clock_after(0) if clock is None else clock
    lives = {
        name: Life(*worker_of(name, group, log, store, clock, **more)) for name in ("one", "two")
    }
    return group, lives


def test_a_worker_that_lost_its_partition_cannot_overwrite_the_new_owners_checkpoint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log, store = FusedLog(log_of_all(), Fuse(), lambda: 60), InMemoryStore()
    group, lives = two_workers(log, store)
    one, two = lives["one"], lives["two"]
    group.assign({0: "one", 1: "one"})
    one.step()
    assert one.worker.commit()
    group.assign({0: "one", 1: "two"})
    one.member.deaf = True  # it hangs, say, and the group has given up on it
    one.step()
    two.step()
    assert two.worker.commit()
    by_two = newest(store)
    assert not one.worker.commit()
    assert newest(store)[1] == by_two[1]
    assert one.worker.fenced == 1
    assert "partition 1 was taken over by two (generation 2, ours is 1)" in caplog.text
    one.step()  # it tries to take over again what it was assigned, and is told off
    assert one.worker.shards == {}
    one.member.deaf = False
    one.step()
    assert list(one.worker.shards) == [0]
    two.step()  # which finds that somebody has touched its shard, and takes it back
    assert not two.worker.commit()
    two.step()
    assert two.worker.commit()
    assert finish(log, store, clock_after(0)) == undisturbed()


def test_what_is_given_up_in_an_orderly_way_is_not_learned_twice() -> None:
    log, store = log_of_all(), InMemoryStore()
    group, lives = two_workers(log, store)
    group.assign({0: "one", 1: "one"})
    lives["one"].step()
    positions = dict(lives["one"].worker.shards[1].positions)
    assert sum(positions.values()) > 0
    group.assign({0: "one", 1: "two"})
    lives["one"].step()
    assert lives["two"].worker.follow()
    assert dict(lives["two"].worker.shards[1].positions) == positions


def test_offsets_are_committed_by_the_member() -> None:
    log, store = log_of_all(), InMemoryStore()
    group, lives = two_workers(log, store)
    group.assign({0: "one", 1: "two"})
    lives["one"].step()
    assert lives["one"].worker.commit()
    assert {where.partition for where in group.committed} == {0}
    shard = lives["one"].worker.shards[0]
    for topic in (USAGE_TOPIC, POWER_TOPIC):
        assert group.committed[TopicPartition(topic, 0)] == shard.positions[topic]


class Away(InMemoryStore):
    """A store that refuses all while it is away."""

    away = False

    def get(self, path: str) -> Any:
        self._check()
        return super().get(path)

    def put(self, path: str, data: bytes) -> str:
        self._check()
        return super().put(path, data)

    def _check(self) -> None:
        if self.away:
            raise StoreError("the store is away")


def test_while_the_store_is_away_nothing_can_be_taken_over_and_nothing_is_lost() -> None:
    log, store = log_of_all(), Away()
    group, lives = two_workers(log, store)
    group.assign({0: "one", 1: "one"})
    lives["one"].step()
    store.away = True
    group.assign({0: "two", 1: "two"})
    lives["one"].step()  # gives up, and cannot write what it had learned
    with pytest.raises(StoreError):
        lives["two"].worker.follow()
    assert lives["two"].worker.shards == {}
    store.away = False
    lives["two"].step()
    assert list(lives["two"].worker.shards) == [0, 1]
    assert finish(log, store, clock_after(0)) == undisturbed()


def damage(store: Store, partition: int) -> None:
    for path in store.list(f"checkpoints/g/{partition}"):
        if path.endswith(".ckpt"):
            store.put(path, b"?")


def test_a_shard_that_cannot_be_read_stops_no_other(caplog: pytest.LogCaptureFixture) -> None:
    log, store, clock = log_of_all(), InMemoryStore(), clock_after(0)
    finish(log, store, clock)
    damage(store, 1)
    group, stop = Group(), threading.Event()
    group.assign({0: "one", 1: "one"})
    worker, _ = worker_of("one", group, log, store, clock, stop=stop)
    step = worker._step

    def one_step() -> None:
        step()
        stop.set()

    worker._step = one_step  # type: ignore[method-assign]  # to see when it has made one
    worker.run()
    assert list(worker.shards) == [0]
    assert "partition 1 is not learned: no checkpoint of partition 1 can be read" in caplog.text
    assert "no checkpoint of partition 1 can be read" in worker.waiting
    damage(store, 0)
    group.assign({0: "two", 1: "two"})
    other, _ = worker_of("two", group, log, store, clock)
    with pytest.raises(DamagedError, match="no checkpoint of partition 0 can be read"):
        other.follow()


# Publishing what several workers have learned


def alike(nodes: int) -> MemoryLog:
    """Nodes of one type in both partitions."""
    return filled_log(fleet(nodes=nodes, steps=30, restless=False), PARTITIONS)


def published(store: Store) -> dict[str, Any]:
    models = ModelStore(store)
    return {slug: models.artifact(index.current) for slug, index in models.indexes().items()}


def learn_all(worker: Worker) -> None:
    assert worker.follow()
    worker.run_to_end()


def test_what_is_published_is_what_all_workers_have_learned() -> None:
    log, clock = alike(6), clock_after(0)
    alone, shared = InMemoryStore(), InMemoryStore()
    finish(log, alone, clock)
    group, lives = two_workers(log, shared, clock)
    group.assign({0: "one", 1: "two"})
    for life in (lives["two"], lives["one"], lives["two"]):
        learn_all(life.worker)
        assert life.worker.commit()
    expected, found = published(alone), published(shared)
    assert set(found) == set(expected)
    rows = {slug: np.ones((1, len(one.manifest.features))) for slug, one in expected.items()}
    for slug, artifact in expected.items():
        assert found[slug].manifest.samples == artifact.manifest.samples
        assert found[slug].manifest.offsets == artifact.manifest.offsets
        at_all = artifact.model.seen[1] * rows[slug]
        np.testing.assert_array_equal(
            found[slug].model.opinions(at_all), artifact.model.opinions(at_all)
        )


def test_nothing_is_published_before_every_worker_has_shown_what_it_has() -> None:
    log, store, clock = alike(6), InMemoryStore(), clock_after(0)
    finish(log, store, clock)  # a worker that had all, and showed nothing
    before = published(store)
    for folder in ("models", "artifacts"):
        for path in store.list(folder):
            store.delete(path)
    group, lives = two_workers(log, store, clock)
    group.assign({0: "one", 1: "two"})
    learn_all(lives["one"].worker)
    assert lives["one"].worker.commit()
    assert published(store) == {}
    learn_all(lives["two"].worker)
    lives["one"].worker._dirty = True
    assert lives["one"].worker.commit()
    found = published(store)
    assert {slug: one.manifest.samples for slug, one in found.items()} == {
        slug: one.manifest.samples for slug, one in before.items()
    }


def test_who_has_all_shows_nothing() -> None:
    log, store, clock = alike(4), InMemoryStore(), clock_after(0)
    group, lives = two_workers(log, store, clock)
    group.assign({0: "one", 1: "two"})
    for life in lives.values():
        learn_all(life.worker)
        assert life.worker.commit()
    assert store.list("shards") == ["shards/g/0.models", "shards/g/1.models"]
    group.assign({0: "one", 1: "one"})
    learn_all(lives["one"].worker)
    assert lives["one"].worker.commit()
    assert store.list("shards") == []


def test_damaged_models_of_others_are_none() -> None:
    log, store, clock = alike(4), InMemoryStore(), clock_after(0)
    group, lives = two_workers(log, store, clock)
    group.assign({0: "one", 1: "two"})
    learn_all(lives["two"].worker)
    assert lives["two"].worker.commit()
    shared = SharedModels(store, "g", pool_of_all())
    found = shared.read(1)
    assert found is not None
    assert found.partition == 1
    assert found.positions == lives["two"].worker.shards[1].positions
    assert set(found.learner.models) == set(lives["two"].worker.shards[1].learner.models)
    store.put("shards/g/1.models", b"?")
    assert shared.read(1) is None
    assert shared.read(0) is None


def test_the_models_shown_are_small() -> None:
    log, store, clock = alike(4), InMemoryStore(), clock_after(0)
    group, lives = two_workers(log, store, clock)
    group.assign({0: "one", 1: "two"})
    learn_all(lives["one"].worker)
    assert lives["one"].worker.commit()
    whole = len(checkpoint.encode(lives["one"].worker.shards[0].state()))
    assert len(store.get("shards/g/0.models").data) < whole / 2


def test_a_reader_is_closed_when_the_partitions_move() -> None:
    opened: list[Closable] = []

    class Closable:
        def __init__(self, reader: Reader) -> None:
            self._reader, self.closed = reader, False
            opened.append(self)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._reader, name)

        def close(self) -> None:
            self.closed = True

    class Watched(FusedLog):
        def reader(self, positions: Mapping[TopicPartition, int]) -> Any:
            return Closable(super().reader(positions))

    log = Watched(log_of_all(), Fuse(), lambda: 10)
    group, lives = two_workers(log, InMemoryStore())
    group.assign({0: "one", 1: "one"})
    lives["one"].step()
    group.assign({0: "one", 1: "two"})
    lives["one"].step()
    assert [reader.closed for reader in opened] == [True, False]
