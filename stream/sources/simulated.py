"""Simulated nodes: usage and power records of servers that exist only as physics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimator.errors import MisuseError
from estimator.vocabulary import ACPI, RAPL
from stream.records import VERSION, PowerRecord, UsageRecord, Workloads
from stream.sources.protocol import Record
from stream.sources.simulation.events import DEMONSTRATION, Event, amount_of, frozen
from stream.sources.simulation.meters import EnergyCounters, PlatformGauge
from stream.sources.simulation.server import Floats, ServerModel, Servers, Watts, Work
from stream.sources.simulation.steps import Steps
from stream.sources.simulation.workloads import FEATURES, MIXES, WorkloadTable, irqs

Bools = NDArray[np.bool_]

_METER_PHASE = 0.4
"""Meters are read that part of their period after the usage."""


class Truth(NamedTuple):
    """What a node really drew, on the mean, over the ``interval`` seconds that end at ``at``."""

    node: str
    at: int
    interval: float
    watts: Mapping[str, float]


class SimulatedSource:
    """Some servers of one model that run workloads which come and go; seeded, so repeatable.

    Each interval and node: one usage record (mode ``counter``, all features of Kepler 0.9 by
    workload, the frequency in hertz by node), and as many power records as meter periods have
    passed, of ``rapl-sysfs`` (zones of each socket, wrapping) and of ``acpi`` (a gauge in watts).
    Meters are read at other moments than usage, as in life.

    ``start``, ``speed`` and ``duration_seconds`` are those of `Steps`. ``truth`` is told what
    meters can only approximate.
    """

    def __init__(
        self,
        node: str | Sequence[str] = "sim-1",
        seed: int = 0,
        *,
        interval_seconds: float = 3.0,
        meter_seconds: float = 1.0,
        start: float | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        model: ServerModel | None = None,
        workloads: int = 10,
        mixes: Sequence[str] | None = None,
        events: Sequence[Event] = DEMONSTRATION,
        truth: Callable[[Truth], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        _check(meter_seconds, mixes)
        self._nodes = [node] if isinstance(node, str) else list(node)
        self._steps = Steps(interval_seconds, start, speed, duration_seconds, clock)
        self._interval = interval_seconds
        self._meter_seconds = meter_seconds
        self._events = tuple(events)
        self._truth = truth
        self._reading = 0
        self._model = model = model or ServerModel()
        rng = np.random.default_rng(seed)
        count, machine = len(self._nodes), model.machine
        self._load = WorkloadTable(count, workloads, machine.cores, machine.chips, rng, mixes)
        self._servers = Servers(model, count, rng)
        self._counters = EnergyCounters(count, machine.chips, rng)
        self._gauge = PlatformGauge(count, rng)
        # A fleet is not read in lockstep: each node has its own phase.
        phases = rng.uniform(0, 1000 * interval_seconds, count) if count > 1 else np.zeros(1)
        self._offsets: list[int] = (-phases).astype(int).tolist()

    @property
    def name(self) -> str:
        """What this source simulates."""
        more = f" and {len(self._nodes) - 1} more" if len(self._nodes) > 1 else ""
        return f"simulated {self._nodes[0]}{more}"

    @property
    def interval_seconds(self) -> float | None:
        """How often to ask; None while a simulation at speed 0 has not caught up."""
        return self._steps.wait_seconds

    def poll(self) -> list[Record] | None:
        """The records of the intervals that have passed since the last poll, a bounded number."""
        return self._steps.poll(self._begin, self._advance, len(self._nodes))

    def close(self) -> None:
        """Nothing is held."""

    def _begin(self) -> Iterator[Record]:
        """What is read at the start: the meters, and workloads that have done nothing yet."""
        self._load.come_and_go(0.0)
        idle = np.zeros(len(self._nodes))
        sockets = np.zeros((len(self._nodes), self._model.machine.chips))
        ghz = self._servers.clock(idle, sockets)
        self._draw(self._servers.step(Work(sockets, idle, sockets, idle), ghz, 1.0, 0.0, 0.0), 0.0)
        yield from self._power(0.0, 0.0)
        yield from self._usage(0.0, self._load.alive, idle + self._model.ghz_idle * 1e9)

    def _advance(self) -> Iterator[Record]:
        """Let one interval pass, during which power and usage are steady."""
        before = self._steps.seconds
        after = before + self._interval
        model, load = self._model, self._load
        threads = load.threads(self._interval)
        busy = threads.sum(axis=1) / model.machine.cores
        slowed = load.slowed(busy)
        exercised = load.exercised(threads, slowed)
        ghz = self._servers.clock(busy, exercised)
        rates = load.rates(threads, slowed, ghz, model.ghz_base)
        work = Work(exercised, busy, load.missed_bytes(rates), irqs(rates))
        firmware, fan = (amount_of(self._events, what, before) for what in ("firmware", "fan"))
        watts = self._servers.step(work, ghz, self._interval, firmware, fan)
        self._draw(watts, before)
        while (at := self._next_reading()) <= after:
            yield from self._power(at, at - before)
            self._reading += 1
        self._counters.pass_time(self._interval)
        self._gauge.pass_time(self._interval)
        load.counters += rates * self._interval
        self._steps.done += 1
        # Whoever leaves now is read a last time, whoever comes is read with nothing done.
        listed = load.alive.copy()
        load.come_and_go(after)
        hertz = (busy * ghz + (1 - busy) * model.ghz_idle) * 1e9
        yield from self._usage(after, listed | load.alive, hertz)
        self._tell(after, watts)

    def _draw(self, watts: Watts, seconds: float) -> None:
        lag = amount_of(self._events, "lag", seconds)
        self._counters.draw(watts, frozen=frozen(self._events, RAPL, seconds))
        self._gauge.draw(watts, frozen=frozen(self._events, ACPI, seconds), lag_seconds=lag)

    def _next_reading(self) -> float:
        return (self._reading + _METER_PHASE) * self._meter_seconds

    def _power(self, seconds: float, into_step: float) -> Iterator[Record]:
        zones, platform = self._counters.read(into_step), self._gauge.read(into_step)
        for i, node in enumerate(self._nodes):
            at = self._at(i, seconds)
            yield PowerRecord(VERSION, node, at, RAPL, zones[i])
            yield PowerRecord(VERSION, node, at, ACPI, watts={"platform": platform[i]})

    def _usage(self, seconds: float, listed: Bools, hertz: Floats) -> Iterator[Record]:
        machine, load = self._model.machine, self._load
        counts = load.counters.astype(np.int64)
        frequencies = np.rint(hertz).tolist()
        for i, node in enumerate(self._nodes):
            slots = np.nonzero(listed[i])[0].tolist()
            values = counts[i][:, slots].tolist()
            yield UsageRecord(
                VERSION,
                node,
                self._at(i, seconds),
                "counter",
                machine=machine,
                node_features={"cpu_scaling_frequency_hertz": frequencies[i]},
                workloads=Workloads(
                    id=[load.ids[i][slot] for slot in slots],
                    kind=["container"] * len(slots),
                    features=dict(zip(FEATURES, values, strict=True)),
                ),
            )

    def _tell(self, seconds: float, watts: Watts) -> None:
        if self._truth is None:
            return
        for i, node in enumerate(self._nodes):
            means = {
                component: float(getattr(watts, component)[i].sum())
                for component in ("package", "core", "uncore", "dram", "platform")
            }
            self._truth(Truth(node, self._at(i, seconds), self._interval, means))

    def _at(self, node: int, seconds: float) -> int:
        return self._steps.at(seconds) + self._offsets[node]


def simulated_fleet(
    nodes: int,
    seed: int = 0,
    *,
    interval_seconds: float = 3.0,
    meter_seconds: float | None = None,
    prefix: str = "sim",
    nodes_per_source: int = 1000,
    start: float | None = None,
    speed: float = 1.0,
    workloads: int = 10,
    clock: Callable[[], float] = time.time,
) -> list[SimulatedSource]:
    """So many nodes, ``sim-1`` and so on, of one machine type and each a bit different.

    Each source simulates many nodes at once, which makes a node some hundred times cheaper than
    alone. Meters are read once an interval unless ``meter_seconds`` says otherwise.
    """
    names = [f"{prefix}-{number}" for number in range(1, nodes + 1)]
    return [
        SimulatedSource(
            names[first : first + nodes_per_source],
            seed + first,
            interval_seconds=interval_seconds,
            meter_seconds=meter_seconds or interval_seconds,
            start=start,
            speed=speed,
            workloads=workloads,
            events=(),
            clock=clock,
        )
        for first in range(0, nodes, nodes_per_source)
    ]


def _check(meter: float, mixes: Sequence[str] | None) -> None:
    if meter <= 0:
        raise MisuseError(f"meter_seconds {meter} must be above 0")
    names = [mix.name for mix in MIXES]
    unknown = [mix for mix in mixes or () if mix not in names]
    if unknown or mixes == []:
        raise MisuseError(f"mixes is {mixes}: it must name some of {', '.join(names)}")
