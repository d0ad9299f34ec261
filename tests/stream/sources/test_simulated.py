from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimator.errors import MisuseError
from estimator.vocabulary import groups_satisfied_by
from stream.records import PowerRecord, UsageRecord, decode_power, decode_usage, encode
from stream.sources.simulated import SimulatedSource, Truth, simulated_fleet
from stream.sources.simulation.events import DEMONSTRATION, Event
from stream.sources.simulation.server import Floats, ServerModel, Servers, Watts, Work
from stream.sources.simulation.workloads import FEATURES, SYSTEM

START = 1_700_000_000.0
PARTS = ("package", "core", "uncore", "dram", "platform")


class Run:
    """All that a simulation of so many seconds says, and the truth."""

    def __init__(
        self,
        seconds: float,
        seed: int = 1,
        *,
        events: Sequence[Event] = (),
        mixes: Sequence[str] | None = None,
        meter_seconds: float = 1.0,
    ) -> None:
        self.truth: list[Truth] = []
        source = SimulatedSource(
            "n1",
            seed,
            start=START,
            speed=0,
            duration_seconds=seconds,
            meter_seconds=meter_seconds,
            events=events,
            mixes=mixes,
            truth=self.truth.append,
            clock=lambda: START + 1e9,
        )
        polls = iter(source.poll, None)
        self.records = list(itertools.chain.from_iterable(polls))
        self.usage = [record for record in self.records if isinstance(record, UsageRecord)]
        power = [record for record in self.records if isinstance(record, PowerRecord)]
        self.rapl = [record for record in power if record.source == "rapl-sysfs"]
        self.acpi = [record for record in power if record.source == "acpi"]

    def watts(self, component: str) -> Floats:
        return np.array([truth.watts[component] for truth in self.truth])

    def gauge(self) -> Floats:
        return np.array([(record.watts or {})["platform"] for record in self.acpi])

    def joules(self, component: str) -> Floats:
        """The energy since the first reading, unwrapped, sockets added up."""
        zones: dict[str, list[float]] = defaultdict(list)
        limits: dict[str, float] = {}
        for record in self.rapl:
            for zone in record.zones or []:
                if zone.component == component:
                    zones[zone.zone].append(zone.joules)
                    limits[zone.zone] = zone.wraps_at or 0.0
        total = np.zeros(len(self.rapl))
        for name, values in zones.items():
            steps = np.diff(values)
            total[1:] += np.cumsum(np.where(steps < 0, steps + limits[name], steps))
        return total


@pytest.fixture(scope="module", name="hour")
def simulated_hour() -> Run:
    return Run(3600)


def test_every_record_can_be_read_back(hour: Run) -> None:
    for record in hour.records[:2000]:
        if isinstance(record, UsageRecord):
            read = decode_usage(encode(record))
            assert read.workloads == record.workloads
        else:
            assert decode_power(encode(record)) == record


def test_the_same_seed_says_the_same_and_another_does_not() -> None:
    first, again, other = (Run(120, seed) for seed in (3, 3, 4))
    assert [encode(r) for r in first.records] == [encode(r) for r in again.records]
    assert [encode(r) for r in first.records] != [encode(r) for r in other.records]


def test_usage_comes_each_interval_and_meters_at_other_moments(hour: Run) -> None:
    usage = [record.at for record in hour.usage]
    assert usage == [round(START * 1000) + 3000 * k for k in range(1201)]
    readings = [record.at for record in hour.rapl]
    assert readings == [record.at for record in hour.acpi]
    assert set(np.diff(readings[1:])) == {1000}
    assert not set(usage[1:]) & set(readings)


def test_records_come_in_order_of_event_time(hour: Run) -> None:
    assert all(a.at <= b.at for a, b in itertools.pairwise(hour.records))


def test_all_features_of_kepler_and_the_frequency_are_there(hour: Run) -> None:
    for record in hour.usage:
        assert record.mode == "counter"
        assert tuple(record.workloads.features) == FEATURES
        assert set(record.node_features) == {"cpu_scaling_frequency_hertz"}
        assert 1e9 <= record.node_features["cpu_scaling_frequency_hertz"] <= 3.7e9
    assert {"BPFOnly", "CounterOnly", "BPFIRQ", "Basic"} <= set(groups_satisfied_by(FEATURES))


def test_workloads_bear_kepler_ids_and_come_and_go(hour: Run) -> None:
    seen = {name for record in hour.usage for name in record.workloads.id}
    assert all(re.fullmatch("[0-9a-f]{64}", name) for name in seen - {SYSTEM})
    assert len(seen) > 30
    assert all(record.workloads.id[0] == SYSTEM for record in hour.usage)
    assert all(2 <= len(record.workloads.id) <= 11 for record in hour.usage)


def test_counters_never_fall_and_begin_at_nothing(hour: Run) -> None:
    last: dict[str, list[float]] = {}
    for record in hour.usage:
        features = record.workloads.features
        for i, name in enumerate(record.workloads.id):
            now = [features[feature][i] for feature in FEATURES]
            assert all(a <= b for a, b in zip(last.get(name, now), now, strict=True))
            if name not in last:
                assert now == [0.0] * len(FEATURES)
            last[name] = now


def test_usage_is_what_a_processor_can_do(hour: Run) -> None:
    first, last = hour.usage[0], hour.usage[-1]
    for record in hour.usage[1:]:
        f = {name: np.array(values) for name, values in record.workloads.features.items()}
        busy = f["cpu_cycles"] > 1e9
        ipc = f["cpu_instructions"][busy] / f["cpu_cycles"][busy]
        assert np.all((ipc > 0.2) & (ipc < 3.2))
        assert np.all(f["cache_miss"] <= 0.05 * f["cpu_instructions"] + 1)
    system = FEATURES.index("bpf_cpu_time_ms")
    seconds = (last.at - first.at) / 1000
    cpu = last.workloads.features[FEATURES[system]][0] / 1000
    assert 0.0 < cpu / seconds < 1.0


def test_parts_and_whole_obey_physics(hour: Run) -> None:
    package, core, uncore, dram, platform = (hour.watts(part) for part in PARTS)
    assert np.all(package > core + uncore)
    assert np.all(platform > package + dram)
    assert np.all(np.minimum(core, dram) > 0)
    assert np.all(package < 2 * 125 * 1.1)
    assert not np.allclose(np.diff(dram), np.diff(package) * dram.mean() / package.mean())


def test_the_load_moves_visibly(hour: Run) -> None:
    platform = hour.watts("platform")
    windows = platform.reshape(-1, 60)
    assert np.all(np.ptp(windows, axis=1) > 20)
    assert np.ptp(platform) > 120


def test_the_counters_tell_the_truth_and_wrap() -> None:
    run = Run(9000, seed=2)
    wrapped = 0
    for component in ("package", "core", "uncore", "dram"):
        truth = run.watts(component).mean()
        span = (run.rapl[-1].at - run.rapl[0].at) / 1000
        assert run.joules(component)[-1] / span == pytest.approx(truth, rel=0.01)
    for before, after in itertools.pairwise(run.rapl):
        zones = zip(before.zones or [], after.zones or [], strict=True)
        wrapped += sum(a.joules > b.joules for a, b in zones)
    assert wrapped > 0


def test_interpolation_comes_close_to_the_truth_of_each_interval(hour: Run) -> None:
    at = np.array([record.at for record in hour.rapl], float)
    ends = np.array([truth.at for truth in hour.truth][:-1], float)
    energy = np.interp(ends, at, hour.joules("package"))
    energy -= np.interp(ends - 3000, at, hour.joules("package"))
    error = np.abs(energy / 3.0 - hour.watts("package")[:-1])
    assert error.mean() < 2.0


def test_the_platform_gauge_lags_and_is_whole_watts(hour: Run) -> None:
    gauge = hour.gauge()
    assert np.all(gauge == np.rint(gauge))
    assert gauge.mean() == pytest.approx(hour.watts("platform").mean(), rel=0.02)


def test_an_idle_node_settles() -> None:
    run = Run(1200, mixes=["idle"])
    platform = run.watts("platform")[200:]
    assert np.ptp(platform) < 8
    assert platform.max() < 110


def test_a_firmware_change_raises_idle_from_then_on() -> None:
    before, after = Run(300), Run(300, events=[Event("firmware", 150, amount=15.0)])
    gained = after.watts("package") - before.watts("package")
    assert np.all(gained[:50] == 0)
    assert np.all((gained[50:] >= 15) & (gained[50:] < 17))


def test_a_fan_step_is_seen_by_the_platform_alone() -> None:
    fan = Event("fan", 90, amount=20.0, duration_seconds=60)
    before, after = Run(300), Run(300, events=[fan])
    gained = after.watts("platform") - before.watts("platform")
    assert np.all(gained[30:50] > 20)
    assert np.all(gained[:30] == 0)
    assert np.all(gained[50:] == 0)
    assert np.array_equal(before.watts("package"), after.watts("package"))


def test_a_frozen_meter_stands_still_while_life_goes_on() -> None:
    events = [
        Event("freeze", 60, duration_seconds=30, meter="rapl-sysfs"),
        Event("freeze", 120, duration_seconds=30, meter="acpi"),
    ]
    run = Run(240, events=events)
    seconds = np.array([record.at / 1000 - START for record in run.rapl])
    steps = np.diff(run.joules("package"))
    still = (seconds[:-1] > 60) & (seconds[1:] < 90)
    assert np.all(steps[still] == 0)
    assert np.all(steps[seconds[:-1] > 90] > 0)
    assert len(set(run.gauge()[(seconds > 120) & (seconds < 150)])) == 1
    assert run.watts("platform")[40:50].std() > 0


def test_a_lagging_meter_is_further_from_the_truth() -> None:
    prompt, lagging = Run(900), Run(900, events=[Event("lag", 0, amount=15.0)])
    truth = np.repeat(prompt.watts("platform"), 3)
    errors = [np.abs(run.gauge()[1:] - truth).mean() for run in (prompt, lagging)]
    assert errors[1] > 1.5 * errors[0]


def test_the_demonstration_shows_each_kind_of_event() -> None:
    assert {event.what for event in DEMONSTRATION} == {"firmware", "fan", "freeze", "lag"}


def power_of(
    servers: Servers, threads: float, gigabytes: float = 1.0, seconds: float = 3.0
) -> Watts:
    busy = np.array([threads / 64])
    by_socket = np.full((1, 2), threads / 2)
    ghz = servers.clock(busy, by_socket)
    missed = np.full((1, 2), gigabytes * 1e9)
    return servers.step(Work(by_socket, busy, missed, np.zeros(1)), ghz, 3.0, 0.0, 0.0)


def new_servers() -> Servers:
    return Servers(ServerModel(), 1, np.random.default_rng(0))


@settings(max_examples=50)
@given(less=st.floats(0, 40), more=st.floats(0.5, 24), gigabytes=st.floats(0, 30))
def test_more_work_draws_more(less: float, more: float, gigabytes: float) -> None:
    a = power_of(new_servers(), less, gigabytes)
    b = power_of(new_servers(), less + more, gigabytes)
    assert np.all(b.package > a.package)
    assert np.all(b.platform > a.platform)
    assert np.allclose(a.dram, b.dram)
    c = power_of(new_servers(), less, gigabytes + more)
    assert np.all(c.dram > a.dram)
    assert np.all(c.uncore > a.uncore)
    assert np.allclose(c.core, a.core)


def test_temperature_lags_and_leakage_follows_it() -> None:
    servers = new_servers()
    for _ in range(200):
        power_of(servers, 0)
    cold = servers.celsius.copy()
    watts = [power_of(servers, 40).package.sum() for _ in range(100)]
    assert all(a <= b + 1e-9 for a, b in itertools.pairwise(watts))
    assert watts[-1] - watts[0] > 3
    assert np.all(servers.celsius > cold + 15)
    assert watts[-1] - watts[-2] < 0.01
    for _ in range(200):
        idle = power_of(servers, 0)
    assert np.allclose(servers.celsius, cold, atol=0.1)
    assert np.allclose(idle.package, power_of(servers, 0).package, rtol=1e-6)


def test_the_power_limit_holds() -> None:
    assert np.all(power_of(new_servers(), 64, 20).package < 125 * 1.1)


def test_turbo_is_shared_out() -> None:
    servers = new_servers()
    clocks = [servers.clock(np.array([b]), np.full((1, 2), 16 * b))[0] for b in (0.02, 0.3, 0.9)]
    assert clocks[0] > clocks[1] > clocks[2] >= 1.0


class ManualClock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def usage_times(source: SimulatedSource) -> list[float]:
    records = source.poll()
    assert records is not None
    return [record.at / 1000 - START for record in records if isinstance(record, UsageRecord)]


def test_in_real_time_each_interval_comes_when_it_is_over() -> None:
    clock = ManualClock(START)
    source = SimulatedSource(clock=clock)
    assert source.interval_seconds == 3.0
    assert usage_times(source) == [0.0]
    assert usage_times(source) == []
    clock.now += 3.0
    assert usage_times(source) == [3.0]
    clock.now += 7.0
    assert usage_times(source) == [6.0, 9.0]


def test_event_time_may_run_faster_until_it_has_caught_up() -> None:
    clock = ManualClock(START + 60)
    source = SimulatedSource(start=START, speed=10, clock=clock)
    assert source.interval_seconds == pytest.approx(0.3)
    usage_times(source)
    clock.now += 0.9
    assert usage_times(source) == [3.0, 6.0, 9.0]
    clock.now += 30
    assert max(usage_times(source)) == 90.0
    assert clock.now == START + 90.9


def test_as_fast_as_asked_until_it_has_caught_up() -> None:
    clock = ManualClock(START + 60)
    source = SimulatedSource(start=START, speed=0, clock=clock)
    waits = [source.interval_seconds]
    assert usage_times(source) == [3.0 * k for k in range(21)]
    waits.append(source.interval_seconds)
    assert waits == [None, 3.0]
    clock.now += 3
    assert usage_times(source) == [63.0]


def test_history_comes_in_portions() -> None:
    source = SimulatedSource(start=START, speed=0, clock=lambda: START + 1e6)
    assert 0 < len(usage_times(source)) <= 300


def test_it_ends_when_it_shall() -> None:
    source = SimulatedSource(start=START, speed=0, duration_seconds=9, clock=lambda: START + 1e6)
    assert usage_times(source) == [0.0, 3.0, 6.0, 9.0]
    assert source.poll() is None


def test_a_fleet_is_many_nodes_each_a_bit_different() -> None:
    sources = simulated_fleet(
        25, seed=5, nodes_per_source=10, start=START, speed=0, clock=lambda: START + 6
    )
    assert [source.name for source in sources] == [
        "simulated sim-1 and 9 more",
        "simulated sim-11 and 9 more",
        "simulated sim-21 and 4 more",
    ]
    last: dict[str, UsageRecord] = {}
    readings: dict[str, list[int]] = defaultdict(list)
    for record in itertools.chain.from_iterable(source.poll() or [] for source in sources):
        if isinstance(record, UsageRecord):
            last[record.node] = record
        else:
            readings[record.node].append(record.at)
    assert sorted(last) == sorted(readings) == sorted(f"sim-{k}" for k in range(1, 26))
    assert len({record.at for record in last.values()}) > 20
    assert len({name for record in last.values() for name in record.workloads.id}) > 100
    assert len({record.machine.node_type for record in last.values()}) == 1
    cycles = [sum(record.workloads.features["cpu_cycles"]) for record in last.values()]
    assert len(set(cycles)) == 25


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: SimulatedSource(interval_seconds=0), "interval_seconds 0"),
        (lambda: SimulatedSource(meter_seconds=-1), "meter_seconds -1"),
        (lambda: SimulatedSource(speed=-2), "speed is -2"),
        (lambda: SimulatedSource(mixes=["gaming"]), "compute, memory, bursty, io, idle"),
        (lambda: SimulatedSource(mixes=[]), "it must name some"),
    ],
)
def test_what_makes_no_sense_is_misuse(source: object, message: str) -> None:
    assert callable(source)
    with pytest.raises(MisuseError, match=message):
        source()
