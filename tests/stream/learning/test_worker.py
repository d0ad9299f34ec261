from __future__ import annotations

import gc
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import LogUnavailableError, StoreError
from estimator.storage.model_store import ModelStore
from estimator.storage.store import InMemoryStore, Store
from stream.joining.merge import Entry
from stream.learning import checkpoint, plain
from stream.learning import worker as worker_module
from stream.learning.checkpoint import Checkpoints
from stream.learning.pools import pool
from stream.learning.publisher import Publisher
from stream.learning.shard import read
from stream.learning.worker import Parts, Worker, relax_garbage_collection
from stream.letters.dead_letters import DeadLetter, DeadLetters, describe
from stream.log.memory import MemoryLog
from stream.log.protocol import Message, Outgoing, Reader, TopicPartition, TopicSpec
from stream.records import DEAD_TOPIC, POWER_TOPIC, USAGE_TOPIC, encode
from tests.stream.builders import (
    START_MS,
    ManualClock,
    Record,
    append,
    filled_log,
    fleet,
    gauge,
    topics,
    usage,
    zones,
)


def parts_of(
    log: Any, store: Store | None = None, clock: ManualClock | None = None, **more: Any
) -> Parts:
    store = InMemoryStore() if store is None else store
    defaults: dict[str, Any] = {
        "log": log,
        "pool": pool(["ridge"]),
        "checkpoints": Checkpoints(store, "g"),
        "publisher": None,
        "dead_letter": DeadLetters(log).send,
        "clock": ManualClock() if clock is None else clock,
        "commit_seconds": 1e9,
    }
    return Parts(**{**defaults, **more})


def final_state(log: Any) -> bytes:
    worker = Worker(parts_of(log), [0])
    worker.run_to_end()
    return checkpoint.encode(worker.shards[0].state())


def letters(log: MemoryLog) -> list[DeadLetter]:
    with closing(log.reader(log.begin_offsets(DEAD_TOPIC))) as reader:
        return [describe(message) for message in reader.poll(1000, 0.0)]


class Ends(threading.Event):
    """A stop event whose waits are told to a script instead of passing real time."""

    def __init__(self, script: Callable[[int], None]) -> None:
        super().__init__()
        self._script, self.waits = script, 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        self._script(self.waits)
        return self.is_set()


# The store is away


class Outage(InMemoryStore):
    away = False

    def put(self, path: str, data: bytes) -> str:
        if self.away:
            raise StoreError(f"{path}: the store is away")
        return super().put(path, data)


def test_while_the_store_is_away_learning_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    log, store, clock = Few(filled_log(fleet(nodes=1, steps=30)), 20), Outage(), late_clock()
    worker = Worker(parts_of(log, store, clock, commit_seconds=10.0), [0])
    with closing(worker._reader()) as reader:
        store.away = True
        learned = []
        for _ in range(3):
            clock.now += 11
            worker.step(reader, 0.0)
            learned.append(worker.shards[0].learner.counts["samples"])
        assert learned == sorted(set(learned))
        assert written(worker) == 0
        assert caplog.text.count("could not commit, learning goes on in memory") == 3
        assert Checkpoints(store, "g").read(0) is None
        store.away = False
        worker.step(reader, 0.0)  # it is not time yet
        assert written(worker) == 0
        clock.now += 11
        worker.step(reader, 0.0)
    state = Checkpoints(store, "g").read(0)
    assert state is not None
    assert checkpoint.encode(state) == checkpoint.encode(worker.shards[0].state())
    assert written(worker) == len(checkpoint.encode(state))


def written(worker: Worker) -> int:
    """The bytes of the last commit; 0 before the first."""
    return 0 if worker.last_commit is None else worker.last_commit.bytes


def test_offsets_are_committed_for_monitoring() -> None:
    log = filled_log(fleet(nodes=1, steps=10))
    worker = Worker(parts_of(log), [0])
    worker.run_to_end()
    assert log.committed("wattstream") == {}
    assert worker.commit()
    assert log.committed("wattstream") == log.end_offsets(USAGE_TOPIC) | log.end_offsets(
        POWER_TOPIC
    )


def test_what_has_not_changed_is_not_written_again() -> None:
    log, store = filled_log(fleet(nodes=1, steps=10)), InMemoryStore()
    worker = Worker(parts_of(log, store), [0])
    assert worker.commit()
    assert store.list("") == ["checkpoints/g/0/current.json"]  # claimed, and nothing written
    worker.run_to_end()
    assert worker.commit()
    there = store.list("")
    assert worker.commit()
    assert store.list("") == there


def test_what_was_only_flushed_is_written_too() -> None:
    log, store = filled_log(fleet(nodes=1, steps=10)), InMemoryStore()
    live = Worker(parts_of(log, store, late_clock()), [0])
    with closing(live._reader()) as reader:
        live.step(reader, 0.0)
    assert live._offsets() == log.end_offsets(USAGE_TOPIC) | log.end_offsets(POWER_TOPIC)
    assert live.commit()
    worker = Worker(parts_of(log, store), [0])
    worker.run_to_end()
    assert worker.commit()
    state = Checkpoints(store, "g").read(0)
    assert state is not None
    assert checkpoint.encode(state) == final_state(log)


def test_models_are_published_by_a_commit() -> None:
    store = InMemoryStore()
    models = ModelStore(store)
    worker = Worker(
        parts_of(filled_log(fleet(nodes=1, steps=20)), store, publisher=Publisher(models)), [0]
    )
    worker.run_to_end()
    assert worker.commit()
    assert len(models.indexes()) == 4


# To the end


def test_on_the_way_to_the_end_it_commits_if_told_to() -> None:
    log = filled_log(fleet(nodes=1, steps=30))
    for commits in (False, True):
        store = InMemoryStore()
        worker = Worker(parts_of(Few(log, 20), store, late_clock(), commit_seconds=0.0), [0])
        assert worker.run_to_end(commits=commits)
        assert (Checkpoints(store, "g").read(0) is not None) == commits
        assert worker.commit()
        state = Checkpoints(store, "g").read(0)
        assert state is not None
        assert checkpoint.encode(state) == final_state(log)


def test_on_the_way_to_the_end_it_can_be_stopped() -> None:
    log, store, stop = filled_log(fleet(nodes=1, steps=30)), InMemoryStore(), threading.Event()
    worker = Worker(parts_of(Few(log, 20), store, stop=stop), [0])
    assert not worker.run_to_end(lambda done, _: stop.set() if done > 30 else None)
    assert worker.commit()
    state = Checkpoints(store, "g").read(0)
    assert state is not None
    assert 30 < sum(state["positions"].values()) < 100
    again = Worker(parts_of(log, store), [0])
    assert again.run_to_end()
    assert checkpoint.encode(again.shards[0].state()) == final_state(log)


def test_what_retention_took_before_it_was_read_counts_at_the_end() -> None:
    log = filled_log(fleet(nodes=1, steps=10))
    worker = Worker(parts_of(log), [0])
    for partition in log._partitions.values():  # as retention would
        partition.begin, partition.messages = partition.end, []
    told: list[tuple[int, int]] = []
    assert worker.run_to_end(lambda *figures: told.append(figures))
    ends = log.end_offsets(USAGE_TOPIC) | log.end_offsets(POWER_TOPIC)
    assert worker._offsets() == ends
    assert worker.shards[0].counts == {"skipped_messages": sum(ends.values())}
    assert told[-1] == (sum(ends.values()), sum(ends.values()))


def test_messages_that_are_left_out_are_as_if_they_were_not_there() -> None:
    strange = [usage(START_MS + 500 * i, node="x", x=1) for i in range(60)]
    records = sorted([*fleet(nodes=1, steps=20), *strange], key=lambda record: record.at)

    def known(message: Message) -> Entry:
        if message.key == "x":
            return Entry(message, None, "strangers", left_out=True)
        return read(message)

    log = filled_log(records)
    worker = Worker(parts_of(log, read=known), [0])
    assert worker.run_to_end()
    shard = worker.shards[0]
    assert shard.counts["left out strangers"] == len(strange)
    assert letters(log) == []
    alone = Worker(parts_of(filled_log(fleet(nodes=1, steps=20))), [0])
    assert alone.run_to_end()
    for part in ("join", "learner"):
        expected = alone.shards[0].state()[part]
        assert plain.dump(shard.state()[part]) == plain.dump(expected)


# The log is away


class Few:
    """A log that gives at most so many messages a poll, and is away when told."""

    def __init__(self, log: MemoryLog, most: int = 1000) -> None:
        self._log, self._most = log, most
        self.away = self.refuses = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        if self.away or self.refuses:
            raise LogUnavailableError("the disk is full")
        self._log.append_many(topic, messages)

    def reader(self, positions: Mapping[TopicPartition, int]) -> Reader:
        return _FewReader(self, self._log.reader(positions), self._most)


class _FewReader:
    def __init__(self, log: Few, reader: Reader, most: int) -> None:
        self._log, self._reader, self._most = log, reader, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def poll(self, max_messages: int, timeout_seconds: float) -> list[Message]:
        if self._log.away:
            raise LogUnavailableError("the log is away")
        return self._reader.poll(min(max_messages, self._most), 0.0)


def run_until_learned(log: Few, script: Callable[[int], None], clock: ManualClock) -> Worker:
    """``Worker.run`` until all of the log is learned; the script is told of every wait."""
    stop = Ends(script)
    worker = Worker(parts_of(log, clock=clock, stop=stop), [0])
    step = worker.step

    def one_step(reader: Reader, timeout_seconds: float) -> int:
        came = step(reader, timeout_seconds)
        ends = log.end_offsets(USAGE_TOPIC) | log.end_offsets(POWER_TOPIC)
        if worker._offsets() == ends:
            stop.set()
        return came

    worker.step = one_step  # type: ignore[method-assign]  # to see when it is done
    worker.run()
    worker.run_to_end()
    return worker


def backlog(worker: Worker) -> int:
    """How many usage messages wait in partition 0."""
    return worker._intakes[0].backlog()[TopicPartition(USAGE_TOPIC, 0)]


def late_clock() -> ManualClock:
    return ManualClock(START_MS / 1000 + 1e6)


def test_while_the_log_is_away_the_worker_waits(caplog: pytest.LogCaptureFixture) -> None:
    memory = filled_log(fleet(nodes=1, steps=20))
    log = Few(memory, 30)
    log.away = True

    def comes_back(waits: int) -> None:
        log.away = waits < 3

    worker = run_until_learned(log, comes_back, late_clock())
    assert caplog.text.count("the log cannot be read, trying again: the log is away") == 1
    assert worker.waiting == ""
    assert checkpoint.encode(worker.shards[0].state()) == final_state(memory)


def test_nothing_is_lost_while_dead_letters_cannot_be_written() -> None:
    records: list[Record | tuple[str, Outgoing]] = list(fleet(nodes=1, steps=20))
    for place, topic in ((10, USAGE_TOPIC), (20, POWER_TOPIC), (20, USAGE_TOPIC)):
        records.insert(place, (topic, Outgoing("n0", b"nonsense")))
    # Refused by the join, which is only asked when it is the record's turn:
    records.insert(30, gauge(records[30].at, node="n0", source="rapl", package=1))  # type: ignore[union-attr]  # a record
    memory = filled_log(records)
    log = Few(memory, 7)
    log.refuses = True
    refused: list[int] = []

    def lets_one_pass(waits: int) -> None:
        refused.append(waits)
        log.refuses = waits % 3 != 0

    worker = run_until_learned(log, lets_one_pass, late_clock())
    assert len(refused) >= 3
    assert [letter.topic for letter in letters(memory)].count(POWER_TOPIC) == 2
    assert len(letters(memory)) == 4
    assert checkpoint.encode(worker.shards[0].state()) == final_state(memory)


def test_memory_is_bounded_while_dead_letters_cannot_be_written() -> None:
    memory = MemoryLog(ManualClock())
    topics(memory)
    memory.append_many(USAGE_TOPIC, [Outgoing("a", b"nonsense")] * 5000)
    log = Few(memory)
    log.refuses = True
    worker = Worker(parts_of(log), [0])
    with closing(worker._reader()) as reader:
        for _ in range(20):
            with pytest.raises(LogUnavailableError):
                worker.step(reader, 0.0)
    assert backlog(worker) <= worker_module._QUEUED + worker_module._POLLED


# One topic is far ahead, or gone


def test_a_topic_that_is_far_ahead_is_paused_and_nothing_is_lost() -> None:
    clock = ManualClock()
    log = MemoryLog(clock)
    topics(log)
    records = fleet(nodes=1, steps=60, restless=False)
    for record in sorted(records, key=lambda record: hasattr(record, "source")):
        append(log, record)
    many = [usage(START_MS + 400_000 + i, node="m", x=1) for i in range(6000)]
    log.append_many(USAGE_TOPIC, [Outgoing("m", encode(record)) for record in many])
    worker = Worker(parts_of(log, clock=clock), [0])
    most = 0
    with closing(worker._reader()) as reader:
        for _ in range(40):
            worker.step(reader, 0.0)
            most = max(most, backlog(worker))
        assert most <= worker_module._QUEUED + worker_module._POLLED
        assert (
            worker.shards[0].counts["power_records"]
            == log.end_offsets(POWER_TOPIC)[TopicPartition(POWER_TOPIC, 0)]
        )
        clock.now += 1e5  # now nobody waits for power any more
        for _ in range(40):
            worker.step(reader, 0.0)
    assert worker.shards[0].counts["usage_records"] == 6060


def test_retention_that_took_one_topic_whole_does_not_stop_the_other() -> None:
    clock = ManualClock()
    log = MemoryLog(clock)
    log.create_topics([TopicSpec(USAGE_TOPIC, 1), TopicSpec(DEAD_TOPIC, 1)])
    log.create_topics([TopicSpec(POWER_TOPIC, 1, retention_seconds=60)])
    append(log, gauge(START_MS, platform=1))
    store = InMemoryStore()
    worker = Worker(parts_of(log, store, clock), [0])
    worker.run_to_end()
    assert worker.commit()
    append(log, gauge(START_MS + 1, platform=1))
    for second in range(5):
        append(log, usage(START_MS + 1000 * second, x=second))
    clock.now += 1000
    log.prune()  # the power that the checkpoint's position points at is gone
    for run in (live_once, Worker.run_to_end):
        again = Worker(parts_of(log, store, clock), [0])
        run(again)
        assert again.shards[0].counts["usage_records"] == 5


def live_once(worker: Worker) -> None:
    with closing(worker._reader()) as reader:
        worker.step(reader, 0.0)


def test_a_log_that_was_replaced_is_read_from_its_beginning() -> None:
    store = InMemoryStore()
    worker = Worker(parts_of(filled_log(fleet(nodes=1, steps=30)), store), [0])
    worker.run_to_end()
    assert worker.commit()
    known = worker.shards[0].counts["usage_records"]
    shorter = filled_log(fleet(nodes=1, steps=5, restless=False))
    again = Worker(parts_of(shorter, store), [0])
    again.run_to_end()
    assert again.shards[0].counts["usage_records"] == known + 5


# Bad records


BAD: dict[str, tuple[str, bytes, str]] = {
    "no JSON": (USAGE_TOPIC, b"<html>", "malformed"),
    "no text": (POWER_TOPIC, b"\xff\xfe", "JSON|utf"),
    "nothing": (USAGE_TOPIC, b"", "truncated"),
    "a field lacks": (USAGE_TOPIC, b'{"v":1,"node":"n0","at":1}', "mode"),
    "wrong type": (POWER_TOPIC, b'{"v":1,"node":"n0","at":"now","source":"acpi"}', "at"),
    "NaN": (POWER_TOPIC, b'{"v":1,"node":"n0","at":1,"source":"a","watts":{"x":NaN}}', "mal"),
    "infinity": (POWER_TOPIC, b'{"v":1,"node":"n0","at":1,"source":"a","watts":{"x":1e999}}', ""),
    "negative": (USAGE_TOPIC, encode(usage(START_MS, x=1)).replace(b":1.0", b":-1.0"), ">= 0"),
    "version": (USAGE_TOPIC, encode(usage(START_MS, x=1)).replace(b'"v":1', b'"v":9'), "v is 9"),
    "future": (USAGE_TOPIC, encode(usage(START_MS + 10**8, x=1)), "after the log took"),
    "no length": (USAGE_TOPIC, encode(usage(START_MS, interval=1e-7, x=1)), "interval is"),
    "kind": (POWER_TOPIC, encode(gauge(START_MS, node="n0", source="rapl", dram=1)), "changed"),
    "deep": (USAGE_TOPIC, b'{"x":' + b"[" * 9999 + b"]" * 9999 + b"}", ""),
}


def test_bad_records_of_every_kind_are_set_aside_and_the_stream_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = fleet(nodes=1, steps=40)
    records: list[Record | tuple[str, Outgoing]] = list(good)
    for place, (topic, value, _) in enumerate(BAD.values()):
        records.insert(20 + 8 * place, (topic, Outgoing("n0", value)))
    log = filled_log(records)
    worker = Worker(parts_of(log), [0])
    worker.run_to_end()
    shard = worker.shards[0]
    assert shard.counts["usage_records"] + shard.counts["power_records"] == len(good)
    assert shard.counts[f"dead {USAGE_TOPIC}"] + shard.counts[f"dead {POWER_TOPIC}"] == len(BAD)
    by_value = {letter.value: letter for letter in letters(log)}
    assert len(by_value) == len(BAD)
    for topic, value, reason in BAD.values():
        letter = by_value[value]
        assert (letter.topic, letter.partition, letter.key) == (topic, 0, "n0")
        assert letter.reason
        assert re.search(reason, letter.reason), letter.reason
        with closing(log.reader({TopicPartition(topic, 0): letter.offset})) as reader:
            assert reader.poll(1, 0.0)[0].value == value

    alone = Worker(parts_of(filled_log(good)), [0])
    alone.run_to_end()
    assert plain.dump(alone.shards[0].learner.state()) == plain.dump(shard.learner.state())


def odd_records() -> Iterator[Record]:
    """What can be decoded and is odd all the same."""
    yield usage(0, x=0)
    yield usage(START_MS, x=1e100, cpu_cycles=1e100, cache_miss=0, cpu_instructions=1e100)
    yield usage(START_MS + 1, {}, ids=[])
    yield usage(START_MS + 2, {"cpu_cycles": [1e100, 0.0]})
    yield zones(0, {"package": 1e100, "nowhere": 1e-300})
    yield zones(START_MS, {"package": 1e100}, wraps_at=1e300)
    yield zones(START_MS + 1, {"package": 0}, wraps_at=1e-300)
    yield gauge(START_MS, platform=1e100)
    yield gauge(START_MS, platform=1e6)
    yield gauge(START_MS + 4000, platform=0)
    yield usage(START_MS + 3000, interval=0.001, bpf_cpu_time_ms=1e100)
    yield usage(START_MS + 3500, interval=86_400.0, bpf_cpu_time_ms=1e-300)
    yield usage(START_MS + 3600, interval=0.05, bpf_cpu_time_ms=0)
    yield gauge(START_MS + 5000, platform=1e100)
    yield gauge(START_MS + 6000, strange=5)


def test_odd_records_do_not_stop_the_stream() -> None:
    log = filled_log([])
    for record in odd_records():
        append(log, record)
    worker = Worker(parts_of(log, pool=pool()), [0])
    worker.run_to_end()
    assert worker.shards[0].counts == {
        "usage_records": 7,
        "power_records": 6,
        f"dead {POWER_TOPIC}": 2,
    }
    assert worker.commit()


def test_a_node_whose_clock_is_decades_behind_does_not_stop_the_stream() -> None:
    clock = late_clock()
    right = fleet(nodes=1, steps=10, restless=False)
    log = filled_log(right, clock=clock)
    clock.now += 60
    for record in right:
        append(log, msgspec.structs.replace(record, node="n9", at=record.at - START_MS))
    worker = Worker(parts_of(log, pool=pool(), clock=clock), [0])
    worker.run_to_end()
    assert worker.shards[0].counts["usage_records"] == 20
    assert worker.commit()


def test_garbage_collection_is_relaxed_and_can_be_again() -> None:
    before = gc.get_threshold()
    try:
        relax_garbage_collection()
        assert gc.get_threshold()[0] > before[0]
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def test_the_worker_says_nothing_when_all_is_well(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        final_state(filled_log(fleet(nodes=2, steps=20)))
    assert caplog.text == ""


amounts = st.one_of(st.sampled_from([0.0, 1e-300, 1.0, 1e6, 1e100]), st.floats(0, 1e100))
columns = st.sampled_from(["bpf_cpu_time_ms", "cpu_cycles", "cache_miss", "cpu_instructions"])
times = st.integers(0, 30).map(lambda second: START_MS + 1000 * second)
any_usage = st.builds(
    lambda at, workloads, interval, features: usage(
        at, {name: [value] for name, value in workloads.items()}, interval=interval, **features
    ),
    times,
    st.dictionaries(columns, amounts, max_size=4),
    st.sampled_from([None, 0.001, 0.5, 1.0, 1.0, 3.0]),
    st.dictionaries(columns, amounts, max_size=4),
)
any_zones = st.builds(
    lambda at, joules: zones(at, joules, source="rapl"),
    times,
    st.dictionaries(st.sampled_from(["package", "dram"]), amounts, min_size=1),
)
any_gauge = st.builds(
    lambda at, watts: gauge(at, **watts),
    times,
    st.dictionaries(st.sampled_from(["platform", "psys"]), amounts, min_size=1),
)


@given(st.lists(st.one_of(any_usage, any_zones, any_gauge), max_size=60))
@settings(max_examples=60, deadline=None)
def test_no_record_that_can_be_read_stops_the_stream(records: list[Record]) -> None:
    log = filled_log([])
    for record in sorted(records, key=lambda record: record.at):
        append(log, record)
    worker = Worker(
        parts_of(log, pool=pool(), publisher=Publisher(ModelStore(InMemoryStore()))), [0]
    )
    worker.run_to_end()
    assert worker.commit()
    for model in worker.shards[0].learner.models.values():
        assert model.current is not None
        assert np.isfinite(model.current.weights).all()
