"""A worker that dies, at any moment and as often as it may, learns what one that lives learns."""

from __future__ import annotations

import random
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.storage.store import InMemoryStore, Store
from estimator.vocabulary import OUTPUT_TYPES
from stream.learning import checkpoint
from stream.learning.checkpoint import Checkpoints
from stream.learning.worker import Worker
from stream.log.memory import MemoryLog
from stream.records import POWER_TOPIC, USAGE_TOPIC
from tests.stream.builders import ManualClock, append, topics
from tests.stream.crashes import (
    PARTITIONS,
    Fuse,
    FusedLog,
    FusedStore,
    Killed,
    clock_after,
    late,
    log_of_all,
    make_worker,
    records,
    states,
    undisturbed,
)


def test_the_stream_is_worth_the_test() -> None:
    worker = make_worker(log_of_all(), InMemoryStore(), ManualClock())
    worker.run_to_end()
    totals: dict[str, int] = {}
    for shard in worker.shards.values():
        assert shard.learner.counts["samples"] > 30
        assert {key.output_type for key in shard.learner.models} == set(OUTPUT_TYPES)
        for counted in (shard.counts, shard.join.counts):
            for name, count in counted.items():
                totals[name] = totals.get(name, 0) + count
    assert totals["usage_records"] + totals["power_records"] > 300
    assert totals["duplicate"]
    assert totals["reset"]
    assert totals[f"dead {USAGE_TOPIC}"] == totals[f"dead {POWER_TOPIC}"] == 2


def test_two_undisturbed_runs_are_the_same() -> None:
    worker = make_worker(log_of_all(), InMemoryStore(), ManualClock())
    worker.run_to_end()
    assert states(worker) == undisturbed()


@given(seed=st.integers(0, 2**32), late=late)
@settings(max_examples=15, deadline=None)
def test_polls_of_any_size_make_no_difference(seed: int, late: float) -> None:
    rng = random.Random(seed)
    log = FusedLog(log_of_all(), Fuse(), lambda: rng.choice([1, 2, 7, 50, 400]))
    worker = make_worker(log, InMemoryStore(), clock_after(late))
    worker.run_to_end()
    assert states(worker) == undisturbed()


def live_until_killed(worker: Worker, rng: random.Random, steps: int) -> None:
    """Poll, learn and commit at random until the fuse has burnt or time is up."""
    reader = worker._reader()
    with closing(reader):
        for _ in range(steps):
            worker.step(reader, 0.0)
            if rng.random() < 0.3:
                worker.commit()


@given(seed=st.integers(0, 2**32), late=late)
@settings(max_examples=25, deadline=None)
def test_crashes_anywhere_make_no_difference(seed: int, late: float) -> None:
    rng = random.Random(seed)
    fuse, store, clock = Fuse(), InMemoryStore(), clock_after(late)
    log = FusedLog(log_of_all(), fuse, lambda: rng.choice([1, 5, 20, 60]))
    for _ in range(rng.randint(1, 5)):
        fuse.left, fuse.after = rng.randint(1, 80), rng.random() < 0.5
        try:
            worker = make_worker(log, FusedStore(store, fuse), clock)
            live_until_killed(worker, rng, rng.randint(1, 12))
        except Killed:
            pass
    fuse.left = -1
    worker = make_worker(log, FusedStore(store, fuse), clock)
    worker.run_to_end()
    assert states(worker) == undisturbed()
    assert worker.commit()
    for number, expected in undisturbed().items():
        state = Checkpoints(store, "g").read(number)
        assert state is not None
        assert checkpoint.encode(state) == expected


def one_commit_more(store: Store, fuse: Fuse, left: int) -> list[str]:
    """A life of a worker: some records and a commit with that fuse; what the commit did."""
    log = FusedLog(log_of_all(), fuse, lambda: 60)
    worker = make_worker(log, FusedStore(store, fuse), clock_after(0))
    with closing(worker._reader()) as reader:
        for _ in range(3):
            worker.step(reader, 0.0)
        fuse.left, fuse.passed = left, []
        if left < 0:
            assert worker.commit()
        else:
            with pytest.raises(Killed):
                worker.commit()
    return fuse.passed


def test_a_crash_at_every_step_of_a_commit_makes_no_difference() -> None:
    store = InMemoryStore()
    one_commit_more(store, Fuse(), -1)  # so that there is one before
    steps = one_commit_more(store, Fuse(), -1)
    assert steps.count("offsets") == 1  # step 5, of all partitions
    assert steps.index("put") < steps.index("swap") < steps.index("offsets")
    for place in range(1, len(steps) + 1):
        store = InMemoryStore()
        one_commit_more(store, Fuse(), -1)
        assert one_commit_more(store, Fuse(), place) == steps[:place]
        worker = make_worker(log_of_all(), store, clock_after(0))
        worker.run_to_end()
        assert states(worker) == undisturbed(), steps[:place]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=10, deadline=None)
def test_learning_live_is_learning_from_a_replay(seed: int) -> None:
    """Records come while the worker polls; it waits, passes, dies, and ends where a replay does."""
    rng = random.Random(seed)
    clock, store = ManualClock(), InMemoryStore()
    log = MemoryLog(clock)
    topics(log, PARTITIONS)
    few = FusedLog(log, Fuse(), lambda: rng.choice([1, 10, 100]))
    worker = make_worker(few, store, clock)
    reader = worker._reader()
    for record in records():
        if isinstance(record, tuple):
            log.append_many(record[0], [record[1]])
        else:
            # Sometimes a topic is late by more than the other waits for it.
            clock.now = max(clock.now, record.at / 1000) + rng.choice([0, 0, 0, 0, 0.1, 12.0])
            append(log, record)
        if rng.random() < 0.2:
            worker.step(reader, 0.0)
        if rng.random() < 0.02:
            worker.commit()
        if rng.random() < 0.01:
            reader.close()
            worker = make_worker(few, store, clock)
            reader = worker._reader()
    reader.close()
    worker = make_worker(few, store, clock)  # one last crash
    worker.run_to_end()
    replayed = make_worker(log, InMemoryStore(), clock)
    replayed.run_to_end()
    assert states(worker) == states(replayed)


@pytest.mark.parametrize("commit_seconds", [0.0, 1.0])
def test_a_worker_commits_by_itself(commit_seconds: float) -> None:
    store, clock = InMemoryStore(), clock_after(0)
    worker = make_worker(log_of_all(), store, clock, commit_seconds)
    with closing(worker._reader()) as reader:
        worker.step(reader, 0.0)
        assert (Checkpoints(store, "g").read(0) is not None) == (commit_seconds == 0.0)
        clock.now += commit_seconds
        worker.step(reader, 0.0)
        assert Checkpoints(store, "g").read(0) is not None
