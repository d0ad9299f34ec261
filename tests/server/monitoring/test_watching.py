from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from estimator.errors import LogUnavailableError, SourceUnavailableError
from estimator.model_key import ModelKey
from estimator.storage.store import open_store
from server.monitoring.live import Live
from server.monitoring.watching import LiveObserver, Watcher
from stream.collecting.collect import Collector
from stream.learning.checkpoint import Checkpoints
from stream.learning.learner import Learned
from stream.learning.pools import pool
from stream.learning.worker import Parts, Worker
from stream.letters.dead_letters import DeadLetters
from stream.log.memory import MemoryLog
from stream.log.protocol import Outgoing
from stream.records import POWER_TOPIC, USAGE_TOPIC
from stream.sources.protocol import Record
from tests.stream.builders import ManualClock, filled_log, fleet

AT = 1_700_000_000_000


def _learned(
    group: str,
    at: int,
    estimated: float,
    measured: float = 100.0,
    node: str = "a",
    source: str = "rapl-sysfs",
    node_type: str = "t",
) -> Learned:
    key = ModelKey(node_type, source, "AbsPower", group)
    estimate, measure = np.array([[estimated, 0.0]]), np.array([[measured, 0.0]])
    return Learned(key, ("package", "uncore"), [node], at, estimate, measure)


def _shown(live: Live) -> list[tuple[str, str, str, float, float | None, float | None]]:
    return [(*one.series, *one.point) for one in live.since(0)]


def test_each_round_is_shown_once_by_the_model_that_has_been_wrong_the_least() -> None:
    live = Live()
    observe = LiveObserver(live)
    for step in range(6):
        at = AT + 1000 * step
        observe(_learned("Bad", at, 150.0))
        observe(_learned("Good", at, 101.0))
    points = [one.point for one in live.since(0)]
    assert [point.at for point in points] == [AT / 1000 + step for step in range(6)]
    # At first nobody knows; from then on the better one is known.
    assert [point.estimated for point in points] == [150.0] + [101.0] * 5
    assert {point.measured for point in points} == {100.0}


def test_who_is_best_may_change() -> None:
    live = Live()
    observe = LiveObserver(live)
    for step in range(200):
        at = AT + 1000 * step
        first_is_good = step < 100
        observe(_learned("First", at, 101.0 if first_is_good else 150.0))
        observe(_learned("Second", at, 150.0 if first_is_good else 101.0))
    estimated = [one.point.estimated for one in live.since(0)]
    assert len(estimated) == 200
    assert estimated[50] == 101.0
    assert estimated[-1] == 101.0


def test_what_is_always_zero_is_not_shown() -> None:
    live = Live()
    LiveObserver(live)(_learned("Any", AT, 99.0))
    assert _shown(live) == [("a", "rapl-sysfs", "package", AT / 1000, 100.0, 99.0)]


def test_sources_and_node_types_have_a_best_model_each() -> None:
    live = Live()
    observe = LiveObserver(live)
    for step in range(3):
        at = AT + 1000 * step
        observe(_learned("X", at, 100.0))
        observe(_learned("Y", at, 200.0))
        observe(_learned("X", at, 300.0, source="acpi"))
        observe(_learned("Y", at, 100.0, source="acpi"))
        observe(_learned("X", at, 300.0, node="b", node_type="u"))
        observe(_learned("Y", at, 100.0, node="b", node_type="u"))
    last = {(node, source): estimated for node, source, _, _, _, estimated in _shown(live)}
    assert last == {("a", "rapl-sysfs"): 100.0, ("a", "acpi"): 100.0, ("b", "rapl-sysfs"): 100.0}


def test_the_nodes_shown_are_bounded_and_stay_the_same() -> None:
    live = Live()
    observe = LiveObserver(live)
    for step in range(3):
        for number in range(100):
            observe(_learned("Any", AT + 1000 * step, 99.0, node=f"n{number}"))
    shown = _shown(live)
    assert {node for node, *_ in shown} == {f"n{number}" for number in range(16)}
    assert len(shown) == 3 * 16
    assert live.left_out == 0


def _worker(log: MemoryLog, clock: ManualClock | None = None) -> Worker:
    parts = Parts(
        log=log,
        pool=pool(["ridge"]),
        checkpoints=Checkpoints(open_store("memory:"), "g"),
        publisher=None,
        dead_letter=DeadLetters(log).send,
        group="g",
        clock=clock or ManualClock(),
        stop=threading.Event(),
    )
    return Worker(parts, range(log.partitions(USAGE_TOPIC)))


def test_the_learners_figures_are_those_of_all_its_partitions() -> None:
    records = fleet(nodes=4, steps=30, restless=False)
    log = filled_log([*records, (USAGE_TOPIC, Outgoing("a", b"no JSON"))], partitions=2)
    clock = ManualClock(1234.0)
    worker = _worker(log, clock)
    watcher = Watcher(log, worker, None)
    before = watcher.status()
    assert before.sources is None
    assert before.learner is not None
    assert (before.learner.records, before.learner.samples) == (0, 0)
    assert before.learner.checkpoint is None
    assert sum(one.lag for one in before.learner.partitions) == len(records) + 1

    worker.run_to_end()
    assert worker.commit()
    after = watcher.status().learner
    assert after is not None
    assert after.records == len(records)
    assert after.samples == sum(shard.learner.counts["samples"] for shard in worker.shards.values())
    assert after.samples > 100
    assert after.dead_letters == {USAGE_TOPIC: 1}
    # A partition shows none as none: an alert sees the first one come.
    assert [set(shard.dead_letters) for shard in after.shards] == [{USAGE_TOPIC, POWER_TOPIC}] * 2
    assert "samples" not in after.dropped
    assert {(one.topic, one.partition) for one in after.partitions} == {
        (topic, number) for topic in (USAGE_TOPIC, POWER_TOPIC) for number in range(2)
    }
    assert {one.lag for one in after.partitions} == {0}
    assert sum(one.position for one in after.partitions) == len(records) + 1
    assert after.checkpoint is not None
    assert after.checkpoint.at == 1234.0
    assert after.checkpoint.size_bytes > 1000
    assert watcher.status().missing == ()


def test_what_is_dropped_is_counted_by_reason() -> None:
    records = fleet(nodes=2, steps=20)
    log = filled_log([*records, *records])  # all of it twice
    worker = _worker(log)
    worker.run_to_end()
    learner = Watcher(log, worker, None).status().learner
    assert learner is not None
    expected: dict[str, int] = {}
    for shard in worker.shards.values():
        for counts in (shard.join.counts, shard.learner.counts):
            for reason, count in counts.items():
                expected[reason] = expected.get(reason, 0) + count
    del expected["samples"]
    assert dict(learner.dropped) == expected
    assert sum(expected.values()) > 0


def test_a_learner_that_has_stopped_is_missing() -> None:
    log = filled_log([])
    watcher = Watcher(log, _worker(log), None)
    assert watcher.status().missing == ()
    watcher.failure = "the disk is full"
    assert watcher.status().missing == ("the learner has stopped: the disk is full",)


class Given:
    """A source that says what it was given, and then that it is unavailable or at its end."""

    interval_seconds: float | None = None

    def __init__(self, name: str, records: list[Record], ends: bool = True) -> None:
        self.name = name
        self._records: list[Record] = records
        self._ends = ends
        self.asked = threading.Event()

    def poll(self) -> list[Record] | None:
        if self._records:
            records, self._records = self._records, []
            return records
        if self._ends:
            return None
        self.asked.set()
        raise SourceUnavailableError("the plug is out")

    def close(self) -> None:
        pass


def test_sources_are_shown_as_they_are() -> None:
    log = filled_log([])
    good, bad = Given("good", list(fleet(nodes=1, steps=2))), Given("bad", [], ends=False)
    with Collector([good, bad], log) as collector:
        watcher = Watcher(log, None, collector)
        assert bad.asked.wait(10)
        while not collector.status[0].finished:
            threading.Event().wait(0.001)
        while not collector.status[1].errors:
            threading.Event().wait(0.001)
        status = watcher.status()
    assert status.learner is None
    assert status.sources is not None
    first, second = status.sources
    # A file that has been read to its end is no source that is down.
    assert (first.name, first.up, first.errors) == ("good", True, 0)
    assert first.records == sum(log.end_offsets(USAGE_TOPIC).values()) + sum(
        log.end_offsets(POWER_TOPIC).values()
    )
    assert (second.name, second.up, second.last_error) == ("bad", False, "the plug is out")
    assert second.errors >= 1
    assert status.missing == ()


class Away(MemoryLog):
    """A log that takes no records."""

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        raise LogUnavailableError("nobody is there")


def test_records_that_wait_or_were_dropped_are_shown() -> None:
    log = Away()
    source = Given("good", list(fleet(nodes=1, steps=2)), ends=False)
    source.interval_seconds = 3600.0
    count = len(list(fleet(nodes=1, steps=2)))
    with Collector([source], log) as collector:
        while not collector.status[0].buffered:
            threading.Event().wait(0.001)
        (shown,) = Watcher(log, None, collector).status().sources or ()
        assert (shown.records, shown.buffered, shown.dropped) == (0, count, 0)
    (shown,) = Watcher(log, None, collector).status().sources or ()
    assert (shown.records, shown.buffered, shown.refused) == (0, 0, 0)
    # The first topic of the batch was offered.
    assert 0 < shown.dropped < count


def test_no_source_is_up() -> None:
    log = filled_log([])
    bad = Given("bad", [], ends=False)
    with Collector([bad], log) as collector:
        assert bad.asked.wait(10)
        while not collector.status[0].errors:
            threading.Event().wait(0.001)
        assert Watcher(log, None, collector).status().missing == (
            "no source is up: the plug is out",
        )
