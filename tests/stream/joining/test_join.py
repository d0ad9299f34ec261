from __future__ import annotations

import itertools
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import RecordError
from stream.joining import join as join_module
from stream.joining.join import FORGET_NODE_SECONDS, MOST_PENDING, Join
from stream.joining.meter_track import MOST_READINGS
from stream.learning import plain
from stream.sample import Sample
from stream.sources.simulated import SimulatedSource, Truth
from tests.stream.builders import (
    MACHINE,
    Record,
    fleet,
    gauge,
    joined,
    usage,
    zones,
)


def counts(join: Join) -> dict[str, int]:
    return {reason: count for reason, count in join.counts.items() if count}


def spans(samples: Iterable[Sample]) -> list[tuple[int, int]]:
    return [(sample.start, sample.end) for sample in samples]


no_rates = np.empty(0)
"""One object, for arrays do not compare to a truth value."""


def same(one: Sequence[Sample], two: Sequence[Sample]) -> bool:
    """Equal to the last bit."""
    return len(one) == len(two) and all(
        a._replace(rates=no_rates) == b._replace(rates=no_rates)
        and a.rates.tobytes() == b.rates.tobytes()
        for a, b in zip(one, two, strict=True)
    )


def in_order(*records: Record) -> list[Record]:
    return sorted(records, key=lambda record: record.at)


def steps(*times: int, node: str = "a") -> list[Record]:
    """Usage at such times, whose counter goes by 1 a ms."""
    return [usage(at, {"cpu_cycles": [at]}, node=node) for at in times]


def energy(*times: int, watts: float = 10.0, node: str = "a") -> list[Record]:
    return [zones(at, {"package": watts * at / 1000}, node=node) for at in times]


# Exactness


def test_a_sample_is_the_rates_and_the_watts_of_one_interval() -> None:
    records: list[Record] = [
        zones(0, {"package/0": 0, "dram/0": 0}, source="intel_rapl"),
        usage(1000, {"cpu_cycles": [5]}, machine=MACHINE, procs_running=3),
        zones(2000, {"package/0": 20, "dram/0": 2}, source="intel_rapl"),
        usage(3000, {"cpu_cycles": [11]}, procs_running=4),
        zones(4000, {"package/0": 60, "dram/0": 2}, source="intel_rapl"),
    ]
    (sample,) = joined(records)
    assert sample._replace(rates=no_rates) == Sample(
        node="a",
        machine=MACHINE,
        source="rapl-sysfs",
        start=1000,
        end=3000,
        features=("cpu_cycles", "procs_running"),
        rates=no_rates,
        components=("package", "dram"),
        watts=(15.0, 0.5),
    )
    assert sample.rates.tolist() == [3.0, 4.0]


periods = st.integers(100, 70_000)


@given(
    usage_ms=periods,
    power_ms=periods,
    phases=st.tuples(st.integers(0, 70_000), st.integers(0, 70_000)),
    watts=st.floats(0, 400),
    wraps_at=st.one_of(st.none(), st.floats(100_000, 300_000)),
)
def test_constant_power_is_found_whatever_the_periods_are(
    usage_ms: int,
    power_ms: int,
    phases: tuple[int, int],
    watts: float,
    wraps_at: float | None,
) -> None:
    def joules(at: int) -> float:
        return watts * at / 1000 % (wraps_at or float("inf"))

    length = 12 * max(usage_ms, power_ms)
    uses = [usage(phases[0] + i, {"cpu_cycles": [i]}) for i in range(0, length, usage_ms)][:60]
    reads = [
        zones(phases[1] + i, {"package": joules(phases[1] + i)}, wraps_at=wraps_at)
        for i in range(0, length + 2 * power_ms, power_ms)
    ][:60]
    join = Join()
    samples = joined(in_order(*uses, *reads), join)
    for sample in samples:
        assert sample.watts == pytest.approx((watts,), rel=1e-6, abs=1e-6)
        assert sample.rates == pytest.approx([1000.0])
    between = [
        (a.at, b.at)
        for a, b in itertools.pairwise(uses)
        if reads[0].at <= a.at and b.at <= reads[-1].at
    ]
    if max(usage_ms, power_ms) * 2 < MOST_READINGS * min(usage_ms, power_ms):
        assert spans(samples) == between
    assert set(counts(join)) <= {"dropped", "orphaned"}


@given(
    reads=st.lists(st.tuples(st.integers(1, 5000), st.floats(0, 300)), min_size=2, max_size=15),
    start=st.integers(0, 5000),
    length=st.integers(1, 30_000),
)
def test_power_is_the_energy_over_the_interval(
    reads: list[tuple[int, float]], start: int, length: int
) -> None:
    """(E(t1) - E(t0)) / (t1 - t0) with E linear between readings."""
    at = list(itertools.accumulate((ms for ms, _ in reads), initial=0))
    joules = list(itertools.accumulate((w * ms / 1000 for ms, w in reads), initial=0.0))
    records = [zones(t, {"package": e}) for t, e in zip(at, joules, strict=True)]
    end = start + length
    samples = joined(in_order(*records, *steps(start, end)))
    if end > at[-1]:
        assert samples == []
        return
    ends = np.interp([start, end], at, joules)
    assert spans(samples) == [(start, end)]
    expected = (ends[1] - ends[0]) / (length / 1000)
    assert samples[0].watts[0] == pytest.approx(expected, rel=1e-6, abs=1e-6 * 5000 / length)


def test_a_simulated_nodes_power_is_found() -> None:
    told: list[Truth] = []
    source = SimulatedSource(
        "n",
        seed=3,
        start=1_700_000_000.0,
        speed=0,
        duration_seconds=600,
        events=(),
        truth=told.append,
        clock=lambda: 1_800_000_000.0,
    )
    join = Join()
    records = itertools.chain.from_iterable(iter(source.poll, None))
    samples = [s for s in joined(in_order(*records), join) if s.source == "rapl-sysfs"]
    assert len(samples) >= 198  # of 200 intervals, the first began before the first reading
    truth = {each.at: each.watts["package"] for each in told}
    wrong = [sample.watts[0] / truth[sample.end] - 1 for sample in samples]
    # Meters are read 0.4 s after usage: energy between two readings is taken as linear.
    assert np.mean(np.abs(wrong)) < 0.05
    assert abs(np.mean(wrong)) < 0.01
    assert set(counts(join)) <= {"dropped"}
    assert join.counts["dropped"] <= 2


# What life does


def test_usage_out_of_order_splits_the_open_interval() -> None:
    before, late, after = steps(1000, 3000, 7000)
    power = energy(0, 9000)
    expected = joined([power[0], before, late, after, power[1]])
    assert spans(expected) == [(1000, 3000), (3000, 7000)]
    join = Join()
    assert same(joined([power[0], before, after, late, power[1]], join), expected)
    assert counts(join) == {}


def test_usage_out_of_order_before_any_meter_is_known() -> None:
    before, late, after = steps(1000, 3000, 7000)
    power = energy(0, 9000)
    join = Join()
    records = [before, after, late, *power]
    assert same(joined(records, join), joined([before, late, after, *power]))


@given(st.permutations([2000, 3000, 4500, 5000, 8000]))
def test_usage_in_any_order_gives_the_samples_of_the_right_order(times: list[int]) -> None:
    power = energy(0, 20_000)
    ordered = joined([power[0], *steps(1000, *sorted(times), 9000), power[1]])
    mixed = joined([power[0], *steps(1000, 9000, *times), power[1]])
    assert same(mixed, ordered)


def test_what_was_learned_cannot_be_split_any_more() -> None:
    join = Join()
    samples = joined([*energy(0), *steps(1000, 5000), *energy(6000), *steps(3000)], join)
    assert spans(samples) == [(1000, 5000)]
    assert counts(join) == {"late": 1}


def test_only_what_still_waits_is_split() -> None:
    """Of two meters the slow one has not passed the interval yet."""
    join = Join()
    records = [*energy(0), gauge(0, platform=9), *steps(1000, 5000), *energy(6000), *steps(3000)]
    samples = joined([*records, gauge(9000, platform=9)], join)
    assert [(s.source, s.start, s.end) for s in samples] == [
        ("rapl-sysfs", 1000, 5000),
        ("acpi", 1000, 3000),
        ("acpi", 3000, 5000),
    ]
    assert counts(join) == {}


def test_the_same_record_again_is_a_duplicate() -> None:
    join = Join()
    records = [*energy(0), *steps(1000, 2000, 2000, 1000), *energy(3000, 3000)]
    assert spans(joined(records, join)) == [(1000, 2000)]
    assert counts(join) == {"duplicate": 3}


def test_what_is_later_than_the_bound_is_late() -> None:
    join = Join(lateness_seconds=2.0)
    records = [*energy(0), *steps(1000, 5000, 2999, 3000), *energy(5000, 2999, 3000)]
    samples = joined(records, join)
    assert counts(join) == {"late": 2}
    assert spans(samples) == [(1000, 3000), (3000, 5000)]


def test_usage_without_any_meter_is_orphaned() -> None:
    join = Join()
    joined(steps(0, 1000, 2000, 12_001), join)
    assert counts(join) == {"orphaned": 2}
    assert spans(joined(energy(1500, 13_000), join)) == [(2000, 12_001)]


def test_power_without_usage_is_bounded_and_counted() -> None:
    join = Join()
    joined(energy(*range(0, 300_000, 1000)), join)
    assert counts(join) == {"orphaned": 300 - MOST_READINGS}


def test_a_meter_that_falls_silent_drops_what_waits_for_it() -> None:
    join = Join()
    records = [*energy(0, 1000), *steps(500, 900, 1500), *steps(*range(2500, 20_000, 1000))]
    assert spans(joined(records, join)) == [(500, 900)]
    # Ten seconds are the bound, and one more is the meter's own spacing.
    newest = 19_500
    waiting = [end for end in range(1500, 20_000, 1000) if end >= newest - 11_000]
    assert counts(join) == {"dropped": 19 - len(waiting)}


def test_an_interval_before_the_first_reading_is_dropped() -> None:
    join = Join()
    assert joined([*energy(1500), *steps(1000, 2000), *energy(2500)], join) == []
    assert counts(join) == {"dropped": 1}


def test_resets_of_either_side_lose_one_interval() -> None:
    join = Join()
    falls = usage(4000, {"cpu_cycles": [1]})
    goes_on = usage(5000, {"cpu_cycles": [1001]})
    records = [*energy(0), *steps(1000, 2000, 3000), falls, goes_on, *energy(6000)]
    assert spans(joined(records, join)) == [(1000, 2000), (2000, 3000), (4000, 5000)]
    assert counts(join) == {"reset": 1}

    join = Join()
    meter = [*energy(0, 2500), zones(3500, {"package": 1}), zones(5500, {"package": 21})]
    samples = joined(in_order(*meter, *steps(1000, 2000, 3000, 4000, 5000)), join)
    assert spans(samples) == [(1000, 2000), (4000, 5000)]
    assert counts(join) == {"reset": 1, "dropped": 2}


def test_a_node_that_restarts_goes_on() -> None:
    def life(start: int) -> list[Record]:
        times = range(start, start + 10_000, 1000)
        uses = [usage(at, {"cpu_cycles": [at - start]}) for at in times]
        power = [zones(at + 300, {"package": 50 * (at - start) / 1000}) for at in times]
        return in_order(*uses, *power)

    join = Join()
    samples = joined([*life(100_000), *life(160_000)], join)
    assert all(sample.watts == pytest.approx((50.0,)) for sample in samples)
    assert len(samples) == 2 * 8
    assert counts(join) == {"reset": 2, "dropped": 2}


def test_a_feature_that_vanishes_costs_nothing_but_itself() -> None:
    records: list[Record] = [
        usage(1000, {"cpu_cycles": [1], "cache_miss": [1]}),
        usage(2000, {"cpu_cycles": [2], "cache_miss": [2]}),
        usage(3000, {"cpu_cycles": [4]}),
        usage(4000, {"cpu_cycles": [7], "cache_miss": [9]}),
        usage(5000, {"cpu_cycles": [8], "cache_miss": [10]}),
    ]
    join = Join()
    samples = joined([*energy(0), *records, *energy(6000)], join)
    both, one = ("cache_miss", "cpu_cycles"), ("cpu_cycles",)
    assert [sample.features for sample in samples] == [both, one, one, both]
    assert [sample.rates.tolist() for sample in samples] == [[1, 1], [2], [3], [1, 1]]
    assert counts(join) == {}


def test_the_machine_is_known_from_any_earlier_record() -> None:
    first = usage(1000, {"cpu_cycles": [1]}, machine=MACHINE)
    (sample,) = joined([*energy(0), first, *steps(2000), *energy(3000)])
    assert sample.machine == MACHINE


@pytest.mark.parametrize("first", [zones(0, {"package": 1}), gauge(0, source="rapl", package=1)])
def test_a_source_does_not_change_its_kind(first: Record) -> None:
    join = Join()
    joined([first], join)
    before = plain.dump(join.state())
    other = gauge(1000, source="rapl", package=1) if first.at == 0 else first
    if isinstance(first, type(other)) and getattr(first, "watts", None):
        other = zones(1000, {"package": 1})
    with pytest.raises(RecordError, match="changed between zones and watts"):
        joined([other], join)
    assert plain.dump(join.state()) == before  # it may be offered again


def test_watts_that_no_machine_draws_are_refused() -> None:
    join = Join()
    with pytest.raises(RecordError, match="watts of 'platform' are 1e\\+100: at most 1e"):
        join.add_power(gauge(0, psys=1, platform=1e100))
    assert len(join) == 0
    assert join.add_power(gauge(0, platform=1e6)) == []


# Several meters


@pytest.mark.parametrize("slow_ms", [5000, 15_000, 60_000])
def test_meters_of_different_cadence_lose_nothing(slow_ms: int) -> None:
    fast = [zones(at, {"package": at / 100}) for at in range(0, 300_000, 1000)]
    slow = [gauge(at, platform=50) for at in range(400, 300_000, slow_ms)]
    uses = steps(*range(700, 300_000, 3000))
    join = Join()
    samples = joined(in_order(*fast, *slow, *uses), join)
    ends = {"rapl-sysfs": fast[-1].at, "acpi": slow[-1].at}
    for source, end in ends.items():
        found = [(s.start, s.end) for s in samples if s.source == source]
        times = [use.at for use in uses if use.at <= end]
        assert found == list(itertools.pairwise(times))
    assert counts(join) == {}


# Rates


def test_a_record_of_rates_is_an_interval_by_itself() -> None:
    power = energy(0, 4000)
    rate = usage(3000, {"cpu_cycles": [4, 5]}, interval=2.0, cache_miss=7)
    (sample,) = joined([power[0], rate, power[1]])
    assert (sample.start, sample.end) == (1000, 3000)
    assert (sample.features, sample.rates.tolist()) == (("cache_miss", "cpu_cycles"), [7.0, 9.0])
    assert sample.watts == (10.0,)


@pytest.mark.parametrize("interval", [1e-9, 0.0009, 86_401.0, 1e300])
def test_an_interval_that_cannot_be_is_refused(interval: float) -> None:
    join = Join()
    with pytest.raises(RecordError, match="interval is"):
        join.add_usage(usage(1000, interval=interval, cpu_cycles=1))
    assert len(join) == 0


def test_rates_that_overlap_share_the_time() -> None:
    rates = [usage(at, interval=2.0, cpu_cycles=1) for at in (2000, 3500, 3600)]
    join = Join()
    samples = joined([*energy(0), *rates, *energy(4000)], join)
    assert spans(samples) == [(0, 2000), (2000, 3500), (3500, 3600)]
    swallowed = usage(3550, interval=0.04, cpu_cycles=1)
    assert joined([swallowed], join) == []
    assert counts(join) == {"duplicate": 1}


def test_rates_out_of_order_are_learned_where_nothing_else_was() -> None:
    rates = [usage(at, interval=1.0, cpu_cycles=1) for at in (1000, 3000, 2000)]
    samples = joined([*energy(0), rates[0], rates[1], *energy(4000), rates[2]])
    assert spans(samples) == [(0, 1000), (2000, 3000), (1000, 2000)]


# Nothing is learned twice

events = st.lists(
    st.one_of(
        st.tuples(st.just("counter"), st.integers(0, 40), st.just(0)),
        st.tuples(st.just("rate"), st.integers(0, 40), st.integers(1, 9)),
        st.tuples(st.just("power"), st.integers(0, 40), st.just(0)),
        st.tuples(st.just("gauge"), st.integers(0, 40), st.just(0)),
    ),
    max_size=40,
)


@given(events=events, lateness=st.sampled_from([0.0, 3.0, 10.0, 100.0]))
@settings(max_examples=400)
def test_samples_of_a_node_and_source_never_overlap(
    events: list[tuple[str, int, int]], lateness: float
) -> None:
    join = Join(lateness)
    covered: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for kind, second, length in events:
        at = 1000 * second
        record: Record
        if kind == "counter":
            record = usage(at, {"cpu_cycles": [at]})
        elif kind == "rate":
            record = usage(at, interval=float(length), cpu_cycles=1)
        elif kind == "power":
            record = zones(at, {"package": at / 100})
        else:
            record = gauge(at, platform=10)
        for sample in joined([record], join):
            assert sample.start < sample.end
            covered[sample.source].append((sample.start, sample.end))
            assert sample.watts[0] == pytest.approx(10.0)
    for found in covered.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(found)):
            assert end <= start


@given(rng=st.randoms(use_true_random=False), disorder=st.integers(0, 12_000))
@settings(max_examples=30, deadline=None)
def test_no_order_of_a_fleets_records_teaches_a_joule_twice(
    rng: random.Random, disorder: int
) -> None:
    records = fleet(nodes=2, steps=25, seed=3)
    shuffled = sorted(records, key=lambda record: record.at + rng.randint(0, disorder))
    covered: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for sample in joined(shuffled):
        covered[sample.node, sample.source].append((sample.start, sample.end))
    for found in covered.values():
        for (_, end), (start, _) in itertools.pairwise(sorted(found)):
            assert end <= start


# Memory


def test_waiting_intervals_are_bounded() -> None:
    join = Join(lateness_seconds=3600.0)
    joined([*energy(0), *steps(*range(0, 400_000, 1000))], join)
    (node,) = join.state()["nodes"].values()
    assert len(node["meters"]["rapl-sysfs"]["pending"]) == MOST_PENDING
    assert counts(join) == {"dropped": 399 - MOST_PENDING}


def test_a_node_in_steady_state_keeps_little() -> None:
    join = Join()
    for at in range(0, 2_000_000, 1000):
        joined([*steps(at), *energy(at + 200), gauge(at + 300, platform=1)], join)
        joined([usage(at + 100, interval=0.05, cpu_cycles=1, node="b")], join)
        joined(energy(at + 400, node="b"), join)
    for node in join.state()["nodes"].values():
        assert len(node["recent"]) <= 12
        assert len(node["taken"]) <= 13
        for meter in node["meters"].values():
            assert len(meter["track"]["at"]) <= 14
            assert len(meter["pending"]) <= 2
    assert counts(join) == {"dropped": 3}  # what began before the first readings


def test_nodes_that_are_gone_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_module, "_LOOK_FOR_GONE_EVERY", 4)
    join = Join()
    later = round(FORGET_NODE_SECONDS * 1000)
    joined(steps(0, node="gone"), join)
    joined(steps(5, node="stays"), join)
    joined(steps(1 + later, node="other"), join)
    assert len(join) == 3
    joined(steps(2 + later, node="other"), join)
    assert (len(join), counts(join)) == (2, {"forgotten_nodes": 1})
    joined(steps(3 + later, node="gone"), join)
    assert len(join) == 3


# Its state


@given(cut=st.integers(0, 400), seed=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_a_restored_join_goes_on_bit_for_bit(cut: int, seed: int) -> None:
    records = fleet(nodes=2, steps=25, seed=seed)
    rng = random.Random(seed)
    records.sort(key=lambda record: record.at + rng.randint(0, 4000))
    one, two = Join(), Join()
    joined(records[:cut], one)
    two.restore(plain.load(plain.dump(one.state())))
    assert plain.dump(two.state()) == plain.dump(one.state())
    assert same(joined(records[cut:], two), joined(records[cut:], one))
    assert plain.dump(two.state()) == plain.dump(one.state())


def test_every_kind_of_count_occurs_in_a_restless_fleet() -> None:
    """So that the tests above are about something."""
    join = Join()
    samples = joined(fleet(nodes=3, steps=40), join)
    assert {"duplicate", "reset"} <= set(counts(join))
    assert {sample.source for sample in samples} == {"rapl-sysfs", "acpi"}
    assert len({sample.features for sample in samples}) == 2
