"""Guests are joined with their hosts by the host's clock, whatever their own says."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.joining.guest_clocks import GuestClocks
from stream.learning import plain
from stream.learning.pools import pool
from stream.learning.shard import Shard, read
from stream.log.protocol import Message
from stream.records import POWER_TOPIC, USAGE_TOPIC, PowerRecord, UsageRecord, encode, topic_of
from stream.sample import Sample
from tests.stream.builders import START_MS, usage, zones

INTERVAL_MS = 3000
WATTS = 10.0


def power(at: int, joules: float, host: str = "h1") -> PowerRecord:
    return zones(at, {f"package/{host}/package": joules}, node="vm", source="hypervisor")


class Guest:
    """A shard that hears of one guest: 10 W for each 1,000 ms of CPU time a second, always."""

    def __init__(self) -> None:
        self.shard = Shard(0, pool(["ridge"]), lambda message, reason: pytest.fail(reason))
        self.samples: list[Sample] = []
        self.shard.learner.learn_one = self.samples.append  # type: ignore[assignment,method-assign]
        self.offsets = {USAGE_TOPIC: 0, POWER_TOPIC: 0}
        self.busy = self.joules = 0.0
        self.now = START_MS

    def publish(self, record: UsageRecord | PowerRecord, delay_ms: int = 20) -> None:
        topic = topic_of(record)
        message = Message(topic, 0, self.offsets[topic], self.now + delay_ms, "vm", encode(record))
        self.offsets[topic] += 1
        self.shard.process(read(message))

    def step(self, ahead_ms: int = 0, load: float = 1.0, delay_ms: int = 20) -> None:
        """An interval passes; the guest's clock is ahead by so much."""
        self.now += INTERVAL_MS
        self.busy += load * INTERVAL_MS
        self.joules += load * WATTS * INTERVAL_MS / 1000
        self.publish(power(self.now, self.joules), 10)
        self.publish(usage(self.now + ahead_ms, node="vm", bpf_cpu_time_ms=self.busy), delay_ms)


@pytest.mark.parametrize("ahead_ms", [0, 400, 61_300, -61_300, 2_100, -3_500_000])
def test_usage_and_power_of_one_time_meet(ahead_ms: int, caplog: pytest.LogCaptureFixture) -> None:
    guest = Guest()
    loads = [0.5, 3.0, 1.0, 0.1] * 8
    for load in loads:
        guest.step(ahead_ms, load)
    tolerance = 0.2 if ahead_ms == 400 else 0.02
    found = guest.samples[6:]
    assert len(found) > 20
    for sample in found:
        busy = sample.rates[0] / 1000
        assert sample.watts[0] == pytest.approx(busy * WATTS, rel=tolerance, abs=tolerance * 60)
        assert abs(sample.end - guest.now) < len(loads) * INTERVAL_MS
    said = [one.getMessage() for one in caplog.records]
    if abs(ahead_ms) <= 1000:
        assert said == []
    else:
        way = "ahead of" if ahead_ms > 0 else "behind"
        assert len(said) == 1
        assert f"guest 'vm': its clock is {abs(ahead_ms) / 1000:.1f} s {way} its host's" in said[0]


def test_nothing_is_joined_before_the_clocks_are_compared() -> None:
    guest = Guest()
    for _ in range(2):
        guest.step(45_000)
    assert guest.samples == []
    assert guest.shard.join.counts["clock"] == 2


def test_a_guest_that_was_there_before_its_host_is_not_joined_by_its_own_clock() -> None:
    guest = Guest()
    for _ in range(3):
        guest.now += INTERVAL_MS
        guest.publish(usage(guest.now - 6000, node="vm", bpf_cpu_time_ms=guest.busy))
        guest.busy += 5 * INTERVAL_MS  # as much as never again
    for _ in range(9):
        guest.step(-6000)
    assert guest.samples
    assert max(sample.rates[0] for sample in guest.samples) == pytest.approx(1000)


def test_a_clock_that_is_set_right_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    guest = Guest()
    for ahead in (*[61_000] * 12, *[0] * 60):
        guest.step(ahead)
    for sample in guest.samples:
        assert sample.watts[0] == pytest.approx(WATTS, rel=0.03)
        assert sample.rates[0] == pytest.approx(1000, rel=0.03)
    assert guest.samples[-1].end == pytest.approx(guest.now, abs=2 * INTERVAL_MS)
    assert len(guest.samples) > 60
    assert caplog.messages[1:] == ["guest 'vm': its clock is its host's again"]


def test_records_that_come_late_are_no_other_clock(caplog: pytest.LogCaptureFixture) -> None:
    guest = Guest()
    for number in range(40):
        # Every other record waits for seconds on its way, as when the log is busy.
        guest.step(delay_ms=20 if number % 2 else 8000)
    assert caplog.messages == []
    assert len(guest.samples) > 20


def test_two_hosts_at_once_teach_nothing_and_one_alone_does_again() -> None:
    guest = Guest()
    for _ in range(6):
        guest.step()
    learned = len(guest.samples)
    assert learned > 1
    for _ in range(10):
        guest.step()
        guest.publish(power(guest.now + 1, 900_000 + 7 * guest.joules, "h2"))
    for _ in range(3):
        guest.step()
    both = guest.samples[learned:]
    for _ in range(9):
        guest.step()
    for sample in guest.samples:
        assert sample.watts[0] == pytest.approx(WATTS)
    assert len(both) < 5
    assert len(guest.samples) >= learned + len(both) + 8


def test_a_guest_that_moves_to_another_host_is_learned_on() -> None:
    guest = Guest()
    for _ in range(6):
        guest.step()
    for _ in range(9):
        guest.now += INTERVAL_MS
        guest.busy += INTERVAL_MS
        guest.joules += WATTS * INTERVAL_MS / 1000
        guest.publish(power(guest.now, 50_000 + guest.joules, "h2"))
        guest.publish(usage(guest.now, node="vm", bpf_cpu_time_ms=guest.busy))
    assert len(guest.samples) == 11
    for sample in guest.samples:
        assert sample.watts[0] == pytest.approx(WATTS)


def test_nodes_that_are_no_guests_keep_their_times() -> None:
    clocks = GuestClocks()
    record = usage(START_MS - 60_000, x=1)
    assert not clocks.hear_host(zones(START_MS, {"package": 1.0}), START_MS)
    assert clocks.moved(record, START_MS) == (record, False)


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(-90_000, 90_000), st.integers(0, 30_000)),
        max_size=60,
    ),
    st.integers(0, 59),
)
def test_it_goes_on_as_if_it_had_never_been_saved(
    heard: list[tuple[bool, int, int]], cut: int
) -> None:
    through, first = GuestClocks(), GuestClocks()
    now, second = START_MS, None
    for number, (is_power, off, passed) in enumerate(heard):
        now += passed
        if number == cut:
            second = GuestClocks()
            second.restore(plain.load(plain.dump(first.state())))
        for clocks in (through, first if second is None else second):
            if is_power:
                clocks.hear_host(power(now + off, 1.0), now)
            else:
                said = clocks.moved(usage(now + off, node="vm", x=1), now)
                if clocks is through:
                    expected = said
                else:
                    assert said == expected
    assert (first if second is None else second).state() == through.state()
