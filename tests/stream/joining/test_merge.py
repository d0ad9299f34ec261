from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.joining.merge import PATIENCE_SECONDS, Entry, Merge
from stream.log.protocol import Message
from stream.records import POWER_TOPIC, USAGE_TOPIC
from tests.stream.builders import ManualClock, gauge, usage

TOPICS = (USAGE_TOPIC, POWER_TOPIC)
USAGE, POWER = 0, 1
PATIENCE_MS = round(PATIENCE_SECONDS * 1000)


class Item(NamedTuple):
    """A record of a topic: when it says it was, when the log took it; unreadable if at is None."""

    topic: int
    at: int | None
    appended_ms: int


def entry(item: Item, offset: int = 0) -> Entry:
    message = Message(TOPICS[item.topic], 0, offset, item.appended_ms, "a", b"")
    if item.at is None:
        return Entry(message, None, "broken")
    record = usage(item.at) if item.topic == USAGE else gauge(item.at, platform=1)
    return Entry(message, record)


class Bench:
    """A merge, and a log of two topics whose records become visible as the clock goes on."""

    def __init__(self, items: Sequence[Item], now: float = 0.0) -> None:
        self.clock = ManualClock(now)
        self.logs = [[item for item in items if item.topic == topic] for topic in (0, 1)]
        self.read = [0, 0]
        self.merge = Merge(self.clock, self.at_end)
        self.order: list[Item] = []

    def visible(self, topic: int) -> int:
        return sum(item.appended_ms <= self.clock.now * 1000 for item in self.logs[topic])

    def at_end(self, topic: int) -> bool:
        return self.read[topic] >= self.visible(topic)

    def poll(self, topic: int, most: int) -> None:
        for _ in range(min(most, self.visible(topic) - self.read[topic])):
            offset = self.read[topic]
            self.merge.add(topic, entry(self.logs[topic][offset], offset))
            self.read[topic] += 1

    def drain(self) -> list[Item]:
        came = []
        while (found := self.merge.next()) is not None:
            topic = TOPICS.index(found.message.topic)
            came.append(self.logs[topic][found.message.offset])
        self.order += came
        return came

    def finish(self) -> list[Item]:
        """What a replay of all that is there does at its end."""
        self.clock.now = 1e9
        for topic in (0, 1):
            self.poll(topic, 10**6)
        self.merge.ended[:] = [True, True]
        self.drain()
        return self.order


def replay(items: Sequence[Item]) -> list[Item]:
    return Bench(items).finish()


def test_the_earlier_goes_first_and_usage_before_power_of_the_same_time() -> None:
    items = [
        Item(USAGE, 100, 0),
        Item(USAGE, 300, 0),
        Item(POWER, 50, 0),
        Item(POWER, 300, 0),
        Item(POWER, 400, 0),
    ]
    assert [(item.topic, item.at) for item in replay(items)] == [
        (POWER, 50),
        (USAGE, 100),
        (USAGE, 300),
        (POWER, 300),
        (POWER, 400),
    ]


def test_one_that_stands_alone_waits() -> None:
    bench = Bench([Item(USAGE, 100, 0), Item(POWER, 50, 9000)])
    bench.poll(USAGE, 1)
    assert bench.drain() == []
    bench.clock.now = 9.0
    assert bench.drain() == []
    bench.poll(POWER, 1)
    assert [item.topic for item in bench.drain()] == [POWER]
    assert bench.merge.waiting(USAGE) == 1


def test_but_not_for_ever() -> None:
    bench = Bench([Item(USAGE, 100, 0), Item(POWER, 50, 60_000)])
    bench.poll(USAGE, 1)
    bench.clock.now = PATIENCE_SECONDS + 0.25
    assert bench.drain() == []  # what was appended just now may not be visible yet
    bench.clock.now += 0.01
    assert [item.topic for item in bench.drain()] == [USAGE]


def test_it_waits_as_long_as_the_other_topic_is_not_read_to_its_end() -> None:
    bench = Bench([Item(USAGE, 100, 0), Item(POWER, 50, 9000), Item(POWER, 200, 9000)], now=1000)
    bench.poll(USAGE, 1)
    assert bench.drain() == []
    bench.poll(POWER, 1)
    assert [item.topic for item in bench.drain()] == [POWER]
    bench.poll(POWER, 1)
    assert [item.topic for item in bench.drain()] == [USAGE, POWER]


def test_the_end_of_the_other_topic_is_not_asked_for_every_record() -> None:
    asked: list[int] = []

    def at_end(topic: int) -> bool:
        asked.append(topic)
        return True

    merge = Merge(ManualClock(1000.0), at_end)
    for offset in range(50):
        merge.add(POWER, entry(Item(POWER, offset, offset), offset))
    while merge.next() is not None:
        pass
    assert asked == [USAGE]


@pytest.mark.parametrize("late", [1, 60_000])
def test_the_log_knows_who_was_not_waited_for(late: int) -> None:
    """So that a replay has the order that was learned in."""
    usage_first = [Item(USAGE, 100, 0), Item(POWER, 50, PATIENCE_MS + late)]
    assert [item.topic for item in replay(usage_first)] == [USAGE, POWER]
    power_first = [Item(POWER, 100, 0), Item(USAGE, 50, PATIENCE_MS + late)]
    assert [item.topic for item in replay(power_first)] == [POWER, USAGE]
    in_time = [Item(USAGE, 100, 0), Item(POWER, 50, PATIENCE_MS)]
    assert [item.topic for item in replay(in_time)] == [POWER, USAGE]


@pytest.mark.parametrize("topic", [USAGE, POWER])
def test_the_unreadable_pass_at_once(topic: int) -> None:
    broken = Item(topic, None, 0)
    alone = Bench([broken])
    alone.poll(topic, 1)
    assert alone.drain() == [broken]
    both = Bench([broken, Item(1 - topic, 5, 0)])
    for each in (USAGE, POWER):
        both.poll(each, 1)
    assert both.drain() == [broken]


@pytest.mark.parametrize("topic", [USAGE, POWER])
def test_nobody_waits_for_a_topic_that_has_ended(topic: int) -> None:
    bench = Bench([Item(topic, 100, 0)])
    bench.poll(topic, 1)
    bench.merge.ended[topic] = True
    assert bench.drain() == []
    bench.merge.ended[1 - topic] = True
    assert len(bench.drain()) == 1


def test_what_is_put_back_comes_again() -> None:
    merge = Merge(ManualClock(0.0), lambda _: False)
    items = [Item(USAGE, 1, 0), Item(USAGE, 3, 0), Item(POWER, 2, 0), Item(POWER, 4, 0)]
    for offset, item in enumerate(items):
        merge.add(item.topic, entry(item, offset))
    first = merge.next()
    assert first is not None
    assert first.message.offset == 0
    merge.put_back(USAGE, first)
    assert (merge.waiting(USAGE), merge.waiting(POWER)) == (2, 2)
    found = [merge.next() for _ in range(4)]
    offsets = [each.message.offset for each in found if each is not None]
    assert offsets == [0, 2, 1]  # the last waits: usage may still come before it


def stream_of(gaps: list[tuple[int, int, int, bool]]) -> list[Item]:
    """Records by the time of appending, which never falls."""
    appended, items = 0, []
    for topic, gap, back, broken in gaps:
        appended += gap
        items.append(Item(topic, None if broken else max(0, appended - back), appended))
    return items


def gaps_up_to(longest_ms: int) -> st.SearchStrategy[list[tuple[int, int, int, bool]]]:
    return st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, longest_ms),
            st.integers(0, 5000),
            st.integers(0, 9).map(lambda dice: dice == 0),
        ),
        max_size=30,
    )


def readable(items: list[Item]) -> list[Item]:
    return [item for item in items if item.at is not None]


@given(gaps=gaps_up_to(300), seed=st.integers(0, 2**32))
def test_the_order_does_not_depend_on_the_polls(
    gaps: list[tuple[int, int, int, bool]], seed: int
) -> None:
    items, rng = stream_of(gaps), random.Random(seed)
    bench = Bench(items, now=rng.choice([10.0, 1e6]))
    while not all(read == len(log) for read, log in zip(bench.read, bench.logs, strict=True)):
        bench.poll(rng.randint(0, 1), rng.randint(1, 5))
        bench.drain()
    assert readable(bench.finish()) == readable(replay(items))


@given(gaps=gaps_up_to(20_000), seed=st.integers(0, 2**32))
def test_the_order_of_a_live_stream_is_that_of_its_replay(
    gaps: list[tuple[int, int, int, bool]], seed: int
) -> None:
    """However long one topic is silent, and whenever who reads looks."""
    items, rng = stream_of(gaps), random.Random(seed)
    bench = Bench(items)
    end = max((item.appended_ms for item in items), default=0) / 1000
    while bench.clock.now < end + 20:
        bench.clock.now += rng.choice([0.001, 0.3, 2.0, 9.0, 11.0])
        for topic in rng.sample([0, 1], rng.randint(0, 2)):
            bench.poll(topic, rng.randint(1, 6))
        bench.drain()
    assert readable(bench.finish()) == readable(replay(items))
