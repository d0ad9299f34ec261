"""Simulated hosts with guests: what a host's Kepler and its guests' kernels say of one work."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import numpy as np

from estimator.errors import MisuseError
from estimator.vocabulary import HYPERVISOR, RAPL
from stream.records import VERSION, PowerRecord, UsageRecord, Workloads, Zone
from stream.sources.protocol import Record
from stream.sources.simulation.guest_stat import FEATURES, guest_rates
from stream.sources.simulation.server import Floats, ServerModel, Servers, Work
from stream.sources.simulation.steps import Steps
from stream.sources.simulation.workloads import WorkloadTable, irqs

GUESTS: Final = 3
_ZONES: Final = ("package", "core", "uncore", "dram")
_GUEST_PHASES: Final = (0.85, 0.98)
"""Guests are read that part of the interval after their host. Not much before what is told with
it: else their clocks would seem to differ."""


class SimulatedHosts:
    """Hosts of one model, each with some guests of equal size; seeded, so repeatable.

    Each interval: of a host the usage and the energy that Kepler 0.10 and later shows, by process
    the CPU time of each guest, and each guest's part of the active energy as Kepler shares it: by
    CPU time. Of each guest, at another moment of the interval, what its own kernel counts. So a
    guest's power depends on what its neighbours do, of which it knows nothing. ``start``,
    ``speed`` and ``duration_seconds`` are those of `Steps`.
    """

    def __init__(
        self,
        hosts: int = 1,
        seed: int = 0,
        *,
        interval_seconds: float = 3.0,
        guests: int = GUESTS,
        guest_cores: int = 16,
        workloads: int = 10,
        model: ServerModel | None = None,
        mixes: Sequence[str] | None = None,
        prefix: str = "sim",
        start: float | None = None,
        speed: float = 1.0,
        duration_seconds: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._model = model = model or ServerModel()
        cores = model.machine.cores
        if guests * guest_cores > cores:
            raise MisuseError(f"{guests} guests of {guest_cores} cores are more than {cores}")
        self._steps = Steps(interval_seconds, start, speed, duration_seconds, clock)
        self._hosts = [f"{prefix}-host-{host}" for host in range(1, hosts + 1)]
        self._guests = [
            f"{prefix}-guest-{host}-{guest}"
            for host in range(1, hosts + 1)
            for guest in range(1, guests + 1)
        ]
        self._machine = msgspec.structs.replace(
            model.machine, cores=guest_cores, chips=1, memory=2 * guest_cores, threads_per_core=1
        )
        rng = np.random.default_rng(seed)
        self._load = WorkloadTable(
            hosts * guests, workloads, guest_cores, model.machine.chips, rng, mixes
        )
        self._servers = Servers(model, hosts, rng)
        self._phases = rng.uniform(*_GUEST_PHASES, hosts * guests)
        self._counters = np.zeros((hosts * guests, len(FEATURES)))
        self._busy_ms = np.zeros((hosts, guests))
        self._joules = np.zeros((hosts, len(_ZONES)))
        self._of_guests = np.zeros((hosts, guests, len(_ZONES)))

    @property
    def name(self) -> str:
        """What this source simulates."""
        more = f" and {len(self._hosts) - 1} more" if len(self._hosts) > 1 else ""
        return f"simulated {self._hosts[0]}{more}, {len(self._guests)} guests in all"

    @property
    def interval_seconds(self) -> float | None:
        """How often to ask; None while a simulation at speed 0 has not caught up."""
        return self._steps.wait_seconds

    def poll(self) -> list[Record] | None:
        """The records of the intervals that have passed since the last poll, a bounded number."""
        each = len(self._hosts) + len(self._guests)
        return self._steps.poll(self._begin, self._advance, each)

    def close(self) -> None:
        """Nothing is held."""

    def _begin(self) -> Iterator[Record]:
        """What is told at the start: workloads that have done nothing yet."""
        self._load.come_and_go(0.0)
        return self._shown(0.0, np.zeros(len(self._hosts)))

    def _advance(self) -> Iterator[Record]:
        """Let one interval pass, during which power and usage are steady."""
        interval, began, load = self._steps.interval, self._steps.seconds, self._load
        threads = load.threads(interval)
        of_guests = threads.sum(axis=1).reshape(self._busy_ms.shape)
        busy = of_guests.sum(axis=1) / self._model.machine.cores
        slowed = np.repeat(load.slowed(busy), of_guests.shape[1], axis=0)
        exercised = self._by_host(load.exercised(threads, slowed))
        ghz = self._servers.clock(busy, exercised)
        rates = load.rates(
            threads, slowed, np.repeat(ghz, of_guests.shape[1]), self._model.ghz_base
        )
        counted = guest_rates(rates, threads)
        watts = self._watts(exercised, busy, ghz, rates)
        yield from self._told(began, counted, of_guests)
        self._counters += counted * interval
        self._busy_ms += of_guests * 1000.0 * interval
        joules = watts * interval
        self._joules += joules
        # Kepler's rule: active energy is that of the busy processors, shared by CPU time.
        parts = of_guests / np.maximum(of_guests.sum(axis=1, keepdims=True), 1e-9)
        self._of_guests += parts[:, :, None] * (joules * busy[:, None])[:, None, :]
        self._steps.done += 1
        load.come_and_go(self._steps.seconds)
        yield from self._shown(self._steps.seconds, busy)

    def _by_host(self, of_guests: Floats) -> Floats:
        """The sums over each host's guests: [hosts, ...] of [guests of all hosts, ...]."""
        sums: Floats = of_guests.reshape(len(self._hosts), -1, *of_guests.shape[1:]).sum(axis=1)
        return sums

    def _watts(self, exercised: Floats, busy: Floats, ghz: Floats, rates: Floats) -> Floats:
        """The power of each host by zone, [hosts, zones]."""
        missed = self._by_host(self._load.missed_bytes(rates))
        work = Work(exercised, busy, missed, self._by_host(irqs(rates)))
        drawn = self._servers.step(work, ghz, self._steps.interval, 0.0, 0.0)
        return np.stack([getattr(drawn, zone).sum(axis=1) for zone in _ZONES], axis=1)

    def _told(self, began: float, counted: Floats, of_guests: Floats) -> Iterator[Record]:
        """What each guest's kernel says at its moment of the interval."""
        running = np.rint(of_guests.ravel()).tolist()
        into = self._phases * self._steps.interval
        values = np.floor(self._counters + counted * into[:, None]).tolist()
        for i in np.argsort(into).tolist():
            features = dict(zip(FEATURES, values[i], strict=True))
            features["cpu_scaling_frequency_hertz"] = self._model.ghz_base * 1e9
            features["procs_running"] = running[i] + 1.0
            yield UsageRecord(
                VERSION,
                self._guests[i],
                self._steps.at(began + into[i]),
                "counter",
                machine=self._machine,
                node_features=features,
            )

    def _shown(self, seconds: float, busy: Floats) -> Iterator[Record]:
        """What each host's Kepler shows: usage, energy, and the energy of its guests."""
        at = self._steps.at(seconds)
        per_host = len(self._guests) // len(self._hosts)
        for i, host in enumerate(self._hosts):
            guests = self._guests[i * per_host : (i + 1) * per_host]
            yield UsageRecord(
                VERSION,
                host,
                at,
                "counter",
                machine=self._model.machine,
                node_features={"cpu_usage_ratio": float(busy[i])},
                workloads=Workloads(
                    guests,
                    ["process"] * per_host,
                    {"bpf_cpu_time_ms": np.floor(self._busy_ms[i]).tolist()},
                ),
            )
            yield PowerRecord(VERSION, host, at, RAPL, _zones(self._joules[i], ""))
            for guest, joules in zip(guests, self._of_guests[i], strict=True):
                yield PowerRecord(VERSION, guest, at, HYPERVISOR, _zones(joules, f"{host}/"))


def _zones(joules: Floats, prefix: str) -> list[Zone]:
    microjoules = np.floor(joules * 1e6) / 1e6
    return [
        Zone(zone, f"{prefix}{zone}", value)
        for zone, value in zip(_ZONES, microjoules.tolist(), strict=True)
    ]
