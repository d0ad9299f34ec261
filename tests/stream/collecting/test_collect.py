from __future__ import annotations

import itertools
import logging
import math
import random
import threading
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.errors import LogUnavailableError, MisuseError, SourceUnavailableError
from stream.collecting.collect import Collector
from stream.collecting.source_runner import SourceRunner, SourceStatus
from stream.log.protocol import Outgoing
from stream.records import (
    POWER_TOPIC,
    USAGE_TOPIC,
    VERSION,
    PowerRecord,
    UsageRecord,
    decode_power,
    decode_usage,
)
from stream.sources.protocol import Record

Answer = list[Record] | Exception | None


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeLog:
    """Takes records, unless it is away; can fail on one topic only, or after so many appends."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Outgoing]] = []
        self.appends: list[tuple[str, int]] = []
        self.away: set[str] = set()
        self.error: Exception = LogUnavailableError("broker b1 does not answer")

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        if topic in self.away:
            raise self.error
        self.appends.append((topic, len(messages)))
        self.taken += [(topic, message) for message in messages]

    def times(self, topic: str) -> list[int]:
        read: Callable[[bytes], Record] = decode_usage if topic == USAGE_TOPIC else decode_power
        return [read(message.value).at for name, message in self.taken if name == topic]

    def go_away(self) -> None:
        self.away = {USAGE_TOPIC, POWER_TOPIC}


class FakeSource:
    def __init__(
        self, answers: Iterable[Answer], interval: float | None = 3.0, name: str = "fake"
    ) -> None:
        self.name = name
        self.interval_seconds = interval
        self.asked = 0
        self.asked_at: list[float] = []
        self.closed: list[str] = []
        self.before_answer: Callable[[], object] = lambda: None
        self._answers = iter(answers)

    def poll(self) -> list[Record] | None:
        self.asked += 1
        self.before_answer()
        answer = next(self._answers, [])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed.append(self.name)


def usage(at: int, node: str = "n1") -> UsageRecord:
    return UsageRecord(VERSION, node, at, "rate", 1.0, node_features={"cpu_cycles": 1.0})


def power(at: int, node: str = "n1") -> PowerRecord:
    return PowerRecord(VERSION, node, at, "acpi", watts={"platform": 1.0})


def both(count: int, node: str = "n1") -> list[Answer]:
    """So many answers of one usage and one power record each."""
    return [[usage(i, node), power(i, node)] for i in range(count)]


class Bench:
    """One runner whose time passes by being waited for."""

    def __init__(self, source: FakeSource, log: FakeLog, buffer_records: int = 10_000) -> None:
        self.clock = FakeClock()
        self.log = log
        source.before_answer = lambda: source.asked_at.append(self.clock.now)
        self.runner = SourceRunner(
            source,
            log,
            clock=self.clock,
            monotonic=self.clock,
            rng=random.Random(0),
            buffer_records=buffer_records,
        )

    @property
    def status(self) -> SourceStatus:
        return self.runner.status

    def step(self) -> float | None:
        """What both threads would do now; the seconds until either has more to do."""
        self.runner.may_ask.clear()
        delays = [delay for delay in (self.runner.ask(), self.runner.send()) if delay is not None]
        delay = min(delays, default=None)
        if delay == math.inf:
            assert self.runner.may_ask.is_set()
            return 0.0
        return delay

    def run(self, seconds: float) -> None:
        end = self.clock.now + seconds
        while (delay := self.step()) is not None and self.clock.now + delay < end:
            self.clock.now += delay
        self.clock.now = end


def test_records_go_to_their_topics_keyed_by_node() -> None:
    log = FakeLog()
    bench = Bench(FakeSource([[usage(5), power(4, "n2"), power(6)]]), log)
    bench.step()
    assert [(topic, message.key) for topic, message in log.taken] == [
        (POWER_TOPIC, "n2"),
        (POWER_TOPIC, "n1"),
        (USAGE_TOPIC, "n1"),
    ]
    assert decode_usage(log.taken[2][1].value) == usage(5)
    assert (bench.status.up, bench.status.records, bench.status.since) == (True, 3, 1000.0)


def test_the_schedule_does_not_drift_and_skips_what_has_passed() -> None:
    source = FakeSource([])
    bench = Bench(source, FakeLog())
    costs = iter([0.5, 0.2, 7.5, 0.1, 0.0])

    def take_time() -> None:
        source.asked_at.append(bench.clock.now)
        bench.clock.now += next(costs, 0.0)

    source.before_answer = take_time
    bench.run(20)
    assert [at - 1000 for at in source.asked_at] == pytest.approx([0, 3, 6, 15, 18])


def test_an_outage_is_one_warning_backoff_and_a_recovery(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down: list[Answer] = [SourceUnavailableError(f"http://x refused, try {i}") for i in range(9)]
    source = FakeSource([[usage(1)], *down, [usage(2)], [usage(3)]])
    bench = Bench(source, FakeLog())
    with caplog.at_level(logging.INFO):
        bench.run(40)
        assert (bench.status.up, bench.status.since) == (False, 1003.0)
        assert bench.status.last_error is not None
        assert "http://x refused" in bench.status.last_error
        bench.run(400)
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("WARNING", "fake is unavailable: http://x refused, try 0"),
        ("INFO", "fake is back"),
    ]
    waits = [b - a for a, b in itertools.pairwise(source.asked_at)][1:10]
    assert all(1 <= wait <= 60 for wait in waits)
    assert waits[0] < 1.3
    assert waits[-1] >= 48
    assert (bench.status.up, bench.status.errors) == (True, 9)
    assert bench.log.times(USAGE_TOPIC) == [1, 2, 3]


def test_a_second_outage_is_told_again_and_waits_from_the_start(
    caplog: pytest.LogCaptureFixture,
) -> None:
    down = SourceUnavailableError("gone")
    source = FakeSource([down, down, [usage(1)], down, [usage(2)]])
    Bench(source, FakeLog()).run(30)
    assert [r.levelname for r in caplog.records if r.levelno >= logging.WARNING] == ["WARNING"] * 2
    assert source.asked_at[4] - source.asked_at[3] < 1.3


def test_a_bug_is_logged_once_with_its_traceback_and_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bug = ZeroDivisionError("oops")
    bench = Bench(FakeSource([bug, bug, bug, [usage(1)]]), FakeLog())
    bench.run(60)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert errors[0].exc_info is not None
    assert (bench.status.up, bench.status.errors) == (True, 3)


def test_another_error_stops_the_source_and_is_kept() -> None:
    error = MisuseError("trace.csv, line 7: no")
    source = FakeSource([[usage(1)], error, [usage(2)]])
    bench = Bench(source, FakeLog())
    bench.run(60)
    assert source.asked == 2
    assert bench.runner.error is error
    assert (bench.status.finished, bench.status.failed, bench.status.up) == (True, True, False)
    assert bench.status.last_error == "trace.csv, line 7: no"
    assert bench.log.times(USAGE_TOPIC) == [1]


def test_while_the_log_is_away_records_wait_in_order(caplog: pytest.LogCaptureFixture) -> None:
    log = FakeLog()
    log.go_away()
    bench = Bench(FakeSource(both(10)), log)
    bench.run(15)
    assert (bench.status.buffered, bench.status.records, bench.status.dropped) == (10, 0, 0)
    assert bench.status.up
    log.away.clear()
    with caplog.at_level(logging.INFO):
        bench.run(100)
    assert log.times(USAGE_TOPIC) == log.times(POWER_TOPIC) == list(range(10))
    assert (bench.status.buffered, bench.status.records) == (0, 20)
    messages = [record.getMessage() for record in caplog.records]
    assert messages == [
        "fake: the log takes no records: broker b1 does not answer",
        "fake: the log takes records again",
    ]


def test_one_topic_away_holds_back_that_topic_only() -> None:
    log = FakeLog()
    log.away = {POWER_TOPIC}
    bench = Bench(FakeSource(both(4)), log)
    bench.run(8)
    log.away.clear()
    bench.run(100)
    assert log.times(USAGE_TOPIC) == log.times(POWER_TOPIC) == list(range(4))


def test_beyond_the_bound_the_oldest_are_dropped_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FakeLog()
    log.go_away()
    answers: list[Answer] = [[usage(i)] for i in range(50)]
    bench = Bench(FakeSource(answers), log, buffer_records=7)
    bench.run(50 * 3)
    assert (bench.status.buffered, bench.status.dropped) == (7, 43)
    log.away.clear()
    with caplog.at_level(logging.INFO):
        bench.run(100)
    # The first was offered when the log went away: nobody could know that it was not taken.
    assert log.times(USAGE_TOPIC) == [0, *range(44, 50)]
    assert (bench.status.records, bench.status.dropped) == (7, 43)
    assert [record.getMessage() for record in caplog.records] == [
        "fake: the log takes no records: broker b1 does not answer",
        "fake: too many records wait for the log, the oldest are dropped",
        "fake: the log takes records again, 43 were dropped meanwhile",
    ]


def test_one_poll_larger_than_the_buffer_is_no_reason_to_drop() -> None:
    bench = Bench(FakeSource([[usage(i) for i in range(2000)]]), FakeLog(), buffer_records=10)
    bench.run(1)
    assert (bench.status.records, bench.status.dropped) == (2000, 0)


def test_an_unexpected_error_of_the_log_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    log = FakeLog()
    log.go_away()
    log.error = OSError("disk on fire")
    bench = Bench(FakeSource([[usage(1)]]), log)
    bench.run(5)
    log.away.clear()
    bench.run(100)
    assert log.times(USAGE_TOPIC) == [1]
    assert any(record.exc_info for record in caplog.records)


def test_a_file_waits_for_the_log_rather_than_drop() -> None:
    log = FakeLog()
    log.go_away()
    source = FakeSource([*both(30), None], interval=None)
    bench = Bench(source, log, buffer_records=1)
    bench.run(300)
    assert source.asked == 1
    log.away.clear()
    bench.run(100)
    assert log.times(USAGE_TOPIC) == log.times(POWER_TOPIC) == list(range(30))
    assert (bench.status.finished, bench.status.dropped, bench.status.records) == (True, 0, 60)
    assert bench.step() is None


def test_a_file_of_any_size_goes_in_small_batches_of_both_topics() -> None:
    log = FakeLog()
    records: list[Record] = [usage(i) for i in range(5000)]
    records += [power(i) for i in range(5000)]
    bench = Bench(FakeSource([records, None], interval=None), log)
    bench.run(1)
    assert log.times(USAGE_TOPIC) == log.times(POWER_TOPIC) == list(range(5000))
    counts = {USAGE_TOPIC: 0, POWER_TOPIC: 0}
    for topic, count in log.appends:
        counts[topic] += count
        assert abs(counts[USAGE_TOPIC] - counts[POWER_TOPIC]) <= 500


def test_at_the_end_what_waits_is_offered_once_more() -> None:
    log = FakeLog()
    log.go_away()
    bench = Bench(FakeSource([[usage(1)], [usage(2)]]), log)
    bench.run(4)
    log.away.clear()
    bench.runner.drain()
    assert log.times(USAGE_TOPIC) == [1, 2]


def test_what_cannot_be_delivered_at_the_end_is_counted_and_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FakeLog()
    log.go_away()
    bench = Bench(FakeSource(both(2)), log)
    bench.run(4)
    bench.runner.drain()
    # Of the first poll the usage was offered, and may be there; nothing else was.
    assert (bench.status.dropped, bench.status.unsure) == (3, 1)
    assert (bench.status.buffered, bench.status.records) == (0, 0)
    assert "fake: 3 records lost, the log is away" in caplog.text
    assert "fake: 1 records were sent and never acknowledged" in caplog.text


def test_what_a_source_says_after_the_end_is_counted_as_dropped() -> None:
    bench = Bench(FakeSource([[usage(1)], [usage(2)]]), FakeLog())
    bench.run(1)
    bench.runner.drain()
    bench.run(4)
    assert bench.log.times(USAGE_TOPIC) == [1]
    assert (bench.status.dropped, bench.status.buffered, bench.status.records) == (1, 0, 1)


def test_a_log_that_does_not_answer_keeps_no_source_waiting() -> None:
    asked_again, answer = threading.Event(), threading.Event()
    source = FakeSource([[usage(i)] for i in range(5)], interval=0.01)
    source.before_answer = lambda: asked_again.set() if source.asked == 5 else None

    class Silent(FakeLog):
        def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
            assert answer.wait(30)
            super().append_many(topic, messages)

    log = Silent()
    with Collector([source], log) as collector:
        assert asked_again.wait(30)
        answer.set()
    assert log.times(USAGE_TOPIC) == [0, 1, 2, 3, 4]
    assert (collector.status[0].records, collector.status[0].dropped) == (5, 0)


def test_at_the_end_a_log_that_does_not_answer_is_not_waited_for() -> None:
    offered, answer = threading.Event(), threading.Event()

    class Silent(FakeLog):
        def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
            offered.set()
            answer.wait(30)

    source = FakeSource([[usage(1), power(2)]], interval=3600.0)
    collector = Collector([source], Silent())
    collector.start()
    assert offered.wait(30)
    collector.stop(timeout=0.1)
    status = collector.status[0]
    assert (status.dropped, status.unsure, status.buffered, status.records) == (1, 1, 0, 0)
    answer.set()
    assert not collector.join(30)
    assert collector.status[0] == status


@given(
    outages=st.lists(st.booleans(), max_size=60),
    capacity=st.integers(1, 20),
    sizes=st.lists(st.integers(0, 5), min_size=1, max_size=40),
)
def test_every_record_is_appended_once_waiting_or_counted_as_dropped(
    outages: list[bool], capacity: int, sizes: list[int]
) -> None:
    times = itertools.count()
    answers: list[Answer] = [[usage(next(times)) for _ in range(size)] for size in sizes]
    log = FakeLog()
    bench = Bench(FakeSource(answers), log, buffer_records=capacity)
    for away in outages:
        log.away = {USAGE_TOPIC} if away else set()
        bench.run(2.0)
    log.away.clear()
    bench.run(3.0 * len(sizes) + 70)
    seen = log.times(USAGE_TOPIC)
    assert seen == sorted(set(seen))
    assert len(seen) + bench.status.dropped == sum(sizes)
    assert (bench.status.records, bench.status.buffered) == (len(seen), 0)


def test_the_collector_runs_finite_sources_to_their_end() -> None:
    log = FakeLog()
    sources = [FakeSource([*both(10, f"n{k}"), None], None, f"s{k}") for k in range(3)]
    closed: list[str] = []
    for source in sources:
        source.closed = closed
    with Collector(sources, log) as collector:
        assert collector.join(timeout=30)
        assert collector.finished
    assert closed == ["s2", "s1", "s0"]
    assert [(s.name, s.records, s.finished) for s in collector.status] == [
        ("s0", 20, True),
        ("s1", 20, True),
        ("s2", 20, True),
    ]
    assert collector.failure is None


def test_one_source_that_fails_stops_no_other() -> None:
    error = MisuseError("broken")
    good = FakeSource([*both(5), None], None, "good")
    sources = [FakeSource([error], None, "bad"), good]
    log = FakeLog()
    with Collector(sources, log) as collector:
        assert collector.join(timeout=30)
    assert collector.failure is error
    assert log.times(USAGE_TOPIC) == list(range(5))


def test_a_source_that_hangs_holds_up_no_other() -> None:
    release = threading.Event()
    slow = FakeSource([None], None, "slow")
    slow.before_answer = lambda: release.wait(30)
    quick = FakeSource([[usage(1)], None], None, "quick")
    done = threading.Event()

    class Watching(FakeLog):
        def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
            super().append_many(topic, messages)
            done.set()

    with Collector([slow, quick], Watching()) as collector:
        assert done.wait(30)
        assert not collector.finished
        release.set()
        assert collector.join(timeout=30)


def test_stopping_interrupts_the_wait_for_the_next_poll() -> None:
    polled = threading.Event()
    source = FakeSource([[usage(1)]], interval=3600.0)
    source.before_answer = polled.set
    log = FakeLog()
    collector = Collector([source], log)
    collector.start()
    assert polled.wait(30)
    collector.stop()
    collector.close()
    assert log.times(USAGE_TOPIC) == [1]
    assert source.closed == ["fake"]
    assert not collector.finished


def test_a_source_that_does_not_close_keeps_no_other_open(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Stuck(FakeSource):
        def close(self) -> None:
            raise OSError("stuck")

    first = FakeSource([None], None, "first")
    with Collector([first, Stuck([None], None, "stuck")], FakeLog()) as collector:
        collector.join(timeout=30)
    assert first.closed == ["first"]
    assert "stuck does not close" in caplog.text
