"""Machines that quality is measured on: physically different servers, each with its load.

None of them shares its constants with another, so that what is good on all of them is not tuned
to one. Seeds below 100 may be used for tuning; those above are for the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from estimator.machine import MachineSpec
from stream.sources.simulated import SimulatedSource
from stream.sources.simulation.events import Event
from stream.sources.simulation.server import ServerModel

START: Final = 1_700_000_000.0

COUNTERS: Final = ("bpf_cpu_time_ms", "cache_miss", "cpu_cycles", "cpu_instructions")


class Machine(NamedTuple):
    """A machine and what runs on it."""

    name: str
    model: ServerModel
    workloads: int
    mixes: tuple[str, ...] | None = None

    def source(
        self,
        seconds: float,
        seed: int = 1,
        interval: float = 3.0,
        events: Sequence[Event] = (),
        mixes: tuple[str, ...] | None = None,
    ) -> SimulatedSource:
        """The machine under load for so many seconds, as fast as it is asked."""
        return SimulatedSource(
            self.name,
            seed,
            interval_seconds=interval,
            meter_seconds=1.0,
            start=START,
            speed=0.0,
            duration_seconds=seconds,
            model=self.model,
            workloads=self.workloads,
            mixes=mixes or self.mixes,
            events=events,
        )


def _spec(processor: str, cores: int, chips: int, memory: int, mhz: int) -> MachineSpec:
    return MachineSpec(
        vendor="made", processor=processor, cores=cores, chips=chips, memory=memory, frequency=mhz
    )


MACHINES: Final = (
    Machine("two-socket", ServerModel(), 10),
    Machine(
        "desktop",
        ServerModel(
            machine=_spec("desktop", 16, 1, 32, 3600),
            ghz_idle=0.8,
            ghz_base=3.6,
            ghz_all_cores=4.6,
            ghz_turbo=5.2,
            volts_idle=0.65,
            volts_turbo=1.35,
            core_watts=2.4,
            package_limit=142.0,
            static_watts=3.0,
            uncore_watts=3.0,
            uncore_busy_watts=4.0,
            leakage_watts=9.0,
            dram_watts=3.0,
            dram_watts_per_gbps=0.3,
            board_watts=22.0,
            fan_watts=8.0,
            thermal_seconds=15.0,
            kelvin_per_watt=0.35,
        ),
        5,
    ),
    Machine(
        "many-core",
        ServerModel(
            machine=_spec("many-core", 256, 2, 768, 2250),
            ghz_idle=1.5,
            ghz_base=2.25,
            ghz_all_cores=2.9,
            ghz_turbo=3.4,
            volts_idle=0.75,
            volts_turbo=1.05,
            core_watts=0.85,
            package_limit=280.0,
            static_watts=28.0,
            uncore_watts=42.0,
            uncore_busy_watts=18.0,
            uncore_watts_per_gbps=0.22,
            leakage_watts=14.0,
            dram_watts=18.0,
            dram_watts_per_gbps=0.25,
            board_watts=70.0,
            fan_watts=120.0,
            supply_watts=1600.0,
        ),
        40,
    ),
    Machine(
        "edge",
        ServerModel(
            machine=_spec("edge", 4, 1, 8, 1800),
            ghz_idle=0.4,
            ghz_base=1.8,
            ghz_all_cores=2.6,
            ghz_turbo=3.0,
            volts_idle=0.60,
            volts_turbo=0.95,
            core_watts=0.9,
            package_limit=15.0,
            static_watts=0.8,
            uncore_watts=0.6,
            uncore_busy_watts=0.7,
            leakage_watts=0.8,
            dram_watts=0.5,
            dram_watts_per_gbps=0.2,
            board_watts=3.0,
            fan_watts=0.0,
            supply_watts=40.0,
        ),
        4,
        ("compute", "bursty", "io"),
    ),
    Machine(
        "hot-and-limited",
        ServerModel(
            machine=_spec("hot", 48, 2, 192, 2400),
            package_limit=95.0,
            leakage_watts=22.0,
            ambient=38.0,
            kelvin_per_watt=0.45,
            thermal_seconds=150.0,
            fan_watts=90.0,
            fan_seconds=40.0,
        ),
        8,
    ),
    Machine(
        "memory-bound",
        ServerModel(
            machine=_spec("memory", 96, 2, 1536, 2000),
            core_watts=1.1,
            package_limit=205.0,
            uncore_watts=20.0,
            uncore_watts_per_gbps=0.3,
            dram_watts=34.0,
            dram_watts_per_gbps=0.9,
        ),
        14,
        ("memory", "io", "bursty"),
    ),
)
