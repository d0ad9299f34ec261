from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from random import Random
from typing import Final, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import LogUnavailableError, RefusedError
from stream.collecting.outbox import Counts, Outbox
from stream.log.partitioning import partition_for
from stream.log.protocol import Outgoing
from stream.records import PowerRecord, UsageRecord, Zone, decode_power, decode_usage
from stream.sources.protocol import Record

Fate = Literal["taken", "before", "after", "partly"]
"""How an append ends: well, or with an error before, after or in the middle of writing."""

NODES: Final = ("a", "b", "c", "too-large")
PARTITIONS: Final = 2


class FlakyLog:
    """Fails as told. It never takes records of one node; of a partition it has a prefix, always."""

    def __init__(self, fates: Iterable[Fate] = (), rng: Random | None = None) -> None:
        self.taken: dict[tuple[str, int], list[int]] = defaultdict(list)
        self.offered: set[int] = set()
        self._fates = iter(fates)
        self._rng = rng or Random(0)

    def append_many(self, topic: str, messages: Sequence[Outgoing]) -> None:
        self.offered.update(_number(message) for message in messages)
        fate = next(self._fates, "taken")
        large = [n for n, message in enumerate(messages) if message.key == "too-large"]
        parts: dict[int, list[int]] = defaultdict(list)
        for message in messages:
            if message.key != "too-large":
                parts[partition_for(message.key, PARTITIONS)].append(_number(message))
        for partition, numbers in parts.items():
            count = {"taken": len(numbers), "after": len(numbers), "before": 0}.get(fate)
            if count is None:
                count = self._rng.randint(0, len(numbers))
            self.taken[topic, partition] += numbers[:count]
        if fate != "taken":
            raise LogUnavailableError("no acknowledgement")
        if large:
            raise RefusedError(f"{len(large)} of some refused: limit is 4194304", tuple(large))

    @property
    def numbers(self) -> set[int]:
        return set(itertools.chain.from_iterable(self.taken.values()))


class Sequel:
    """Records numbered by their time, each put once; remembers who must be refused."""

    def __init__(self) -> None:
        self.made = 0
        self.large: set[int] = set()

    def next(self, nodes: Iterable[str]) -> list[Record]:
        records = [power(node, self.made + n) for n, node in enumerate(nodes)]
        for n, record in enumerate(records):
            if record.at % 2:
                records[n] = usage(record.node, record.at)
            if record.node == "too-large":
                self.large.add(record.at)
        self.made += len(records)
        return records


def power(node: str, at: int) -> Record:
    return PowerRecord(1, node, at, "rapl-sysfs", [Zone("package", "package-0", 1.0)])


def usage(node: str, at: int) -> Record:
    return UsageRecord(1, node, at, "rate", 1.0, node_features={"cpu_cycles": 1.0})


def _number(message: Outgoing) -> int:
    read = decode_power if b"zones" in message.value else decode_usage
    return read(message.value).at


def test_a_record_that_the_log_never_takes_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = FlakyLog()
    outbox = Outbox(log, batch_records=4)
    outbox.put([power("too-large", 1), power("a", 2), power("too-large", 3), power("b", 4)])
    outbox.flush()
    assert log.numbers == {2, 4}
    assert outbox.counts == Counts(appended=2, refused=2)
    assert "limit is 4194304" in caplog.text
    outbox.flush()
    assert outbox.counts == Counts(appended=2, refused=2)


def test_what_was_offered_is_never_dropped_for_it_may_be_there() -> None:
    log = FlakyLog(["after", "before"])
    outbox = Outbox(log, capacity=4)
    for at in range(10):
        outbox.put([power("a", at)])
        if at in (0, 5):
            with pytest.raises(LogUnavailableError):
                outbox.flush()
    assert log.numbers == {0}
    assert outbox.counts == Counts(dropped=6, buffered=4)
    outbox.flush()
    assert log.numbers == {0, 7, 8, 9}
    assert outbox.counts == Counts(appended=4, dropped=6)


def test_what_is_put_at_once_is_kept_whole() -> None:
    outbox = Outbox(FlakyLog(), capacity=3)
    assert outbox.put([power("a", 1)]) == 0
    assert outbox.put([power("a", at) for at in range(2, 9)]) == 1
    assert len(outbox) == 7
    assert outbox.put([power("a", 9)]) == 5
    assert outbox.counts == Counts(dropped=6, buffered=3)


def test_what_the_log_did_not_say_it_has_is_neither_appended_nor_dropped() -> None:
    log = FlakyLog(["taken", "partly"])
    outbox = Outbox(log, batch_records=4)
    outbox.put([power("a", 0), usage("a", 1), usage("b", 2), usage("c", 3), power("a", 4)])
    with pytest.raises(LogUnavailableError):
        outbox.flush()
    assert outbox.counts == Counts(appended=1, buffered=4)
    assert outbox.close() == (1, 3)
    assert outbox.put([power("a", 5)]) == 1
    assert outbox.close() == (0, 0)
    outbox.flush()
    assert log.offered == {0, 1, 2, 3}
    assert outbox.counts == Counts(appended=1, dropped=2, unsure=3)


steps = st.one_of(
    st.lists(st.sampled_from(NODES), max_size=8),  # put these
    st.just("flush"),
)
fates = st.lists(st.sampled_from(["taken", "before", "after", "partly"]), max_size=25)


@settings(deadline=None)
@given(
    steps=st.lists(steps, max_size=40),
    fates=fates,
    capacity=st.integers(1, 12),
    drop=st.booleans(),
    batch_records=st.integers(1, 6),
    rng=st.randoms(use_true_random=False),
    in_the_end=st.booleans(),
)
def test_a_record_is_in_the_log_or_counted_as_what_became_of_it(
    steps: list[list[str] | str],
    fates: list[Fate],
    capacity: int,
    drop: bool,
    batch_records: int,
    rng: Random,
    in_the_end: bool,
) -> None:
    log, made = FlakyLog(fates, rng), Sequel()
    outbox = Outbox(log, capacity=capacity, batch_records=batch_records)
    for step in steps:
        if isinstance(step, list):
            outbox.put(made.next(step), drop=drop)
        else:
            with suppress(LogUnavailableError):
                outbox.flush()
        assert sum(outbox.counts) == made.made
        assert not drop or len(outbox) <= max(capacity, 8 + batch_records)
    while in_the_end and outbox:
        with suppress(LogUnavailableError):
            outbox.flush()
    given_up, _ = outbox.close()
    counts = outbox.counts
    assert drop or counts.dropped == given_up
    everything = set(range(made.made))
    # Dropped is who was never offered, exactly; who was offered is there, refused, or unsure.
    assert counts.dropped == len(everything - log.offered)
    lost = log.offered - log.numbers - made.large
    assert counts.buffered == 0
    assert len(lost) <= counts.unsure
    assert sum(counts) == made.made
    if in_the_end:
        assert counts.unsure == 0
        assert counts.refused == len(log.offered & made.large)
        assert counts.appended == len(log.numbers)
    for numbers in log.taken.values():
        first = list(dict.fromkeys(numbers))
        assert first == sorted(first)


@pytest.mark.parametrize("seed", range(5))
def test_two_threads_may_put_and_flush_and_a_third_may_end_it(seed: int) -> None:
    rng = Random(seed)
    kinds: tuple[Fate, ...] = ("taken", "taken", "before", "after", "partly")
    log, made = FlakyLog((rng.choice(kinds) for _ in itertools.count()), rng), Sequel()
    outbox = Outbox(log, capacity=40, batch_records=7)
    enough, ended = threading.Event(), threading.Event()

    def put() -> None:
        nodes = Random(seed)
        while not ended.is_set():
            outbox.put(made.next(nodes.choices(NODES, k=nodes.randint(0, 9))))
            if made.made > 3000:
                enough.set()

    def flush() -> None:
        while not ended.is_set():
            with suppress(LogUnavailableError):
                outbox.flush()

    threads = [threading.Thread(target=put), threading.Thread(target=flush)]
    for thread in threads:
        thread.start()
    assert enough.wait(60)
    outbox.close()
    ended.set()
    for thread in threads:
        thread.join(60)
    counts = outbox.counts
    assert sum(counts) == made.made
    assert counts.buffered == 0
    assert counts.dropped == made.made - len(log.offered)
    assert len(log.offered - log.numbers - made.large) <= counts.unsure
