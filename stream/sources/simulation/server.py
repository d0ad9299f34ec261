"""The physics of a server: constants of one model, and how its power follows its work."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from estimator.machine import MachineSpec

Floats = NDArray[np.float64]

_WRITE_BACK = 1.3
"""Bytes moved for each byte missed: some lines go back."""


class ServerModel(msgspec.Struct, frozen=True):
    """The constants of a two-socket server of the Skylake years; watts, GHz, volts, deg C."""

    machine: MachineSpec = MachineSpec(
        vendor="intel",
        processor="intel_xeon_gold_6130",
        cores=64,
        chips=2,
        memory=188,
        frequency=2100,
        threads_per_core=2,
    )
    ghz_idle: float = 1.0
    ghz_base: float = 2.1
    ghz_all_cores: float = 2.8
    ghz_turbo: float = 3.7
    volts_idle: float = 0.70
    volts_turbo: float = 1.10
    core_watts: float = 1.6
    """Of one busy thread per GHz and square volt."""
    package_limit: float = 125.0
    static_watts: float = 9.0
    uncore_watts: float = 5.0
    uncore_busy_watts: float = 6.0
    uncore_watts_per_gbps: float = 0.12
    leakage_watts: float = 7.0
    """Of a busy socket at 60 deg C and one volt."""
    dram_watts: float = 7.0
    dram_watts_per_gbps: float = 0.45
    ambient: float = 26.0
    kelvin_per_watt: float = 0.29
    thermal_seconds: float = 40.0
    board_watts: float = 38.0
    fan_watts: float = 60.0
    fan_seconds: float = 15.0
    irq_watt_seconds: float = 4e-5
    supply_watts: float = 800.0

    def volts(self, ghz: Floats) -> Floats:
        """The voltage that a frequency needs."""
        span = (ghz - self.ghz_idle) / (self.ghz_turbo - self.ghz_idle)
        return self.volts_idle + (self.volts_turbo - self.volts_idle) * span

    def supply_efficiency(self, watts: Floats) -> Floats:
        """What share of the power drawn from the mains arrives."""
        return 0.93 - 0.2 * np.exp(-9.0 * watts / self.supply_watts)


class Work(NamedTuple):
    """What the sockets do during an interval; arrays of (nodes, sockets), busy of (nodes,)."""

    threads: Floats
    """Busy threads, each weighed by how much of the core it exercises."""
    busy: Floats
    """The share of all threads that is busy."""
    missed_bytes: Floats
    """Cache misses in bytes per second."""
    irqs: Floats
    """Interrupts per second, (nodes,)."""


class Watts(NamedTuple):
    """Mean power during an interval; (nodes, sockets), platform (nodes,)."""

    package: Floats
    core: Floats
    uncore: Floats
    dram: Floats
    platform: Floats


class Servers:
    """Some servers of one model, each a bit different, with the temperatures they have now."""

    def __init__(self, model: ServerModel, nodes: int, rng: np.random.Generator) -> None:
        sockets = model.machine.chips
        self._model = model
        self._leakage = model.leakage_watts * rng.lognormal(0.0, 0.08, (nodes, sockets))
        self._core = model.core_watts * rng.lognormal(0.0, 0.02, (nodes, sockets))
        self.celsius: Floats = np.full((nodes, sockets), model.ambient + 9.0)
        self._fan: Floats = np.full(nodes, 0.25)

    def clock(self, busy: Floats, threads: Floats) -> Floats:
        """The frequency in GHz at which busy threads run: turbo shared out, power limit kept."""
        model = self._model
        crowd = np.minimum(1.0, 2.0 * busy)
        ghz = model.ghz_turbo - (model.ghz_turbo - model.ghz_all_cores) * crowd
        spare = model.package_limit - self._beside_cores(busy)
        wanted = (self._core * threads) * (ghz * model.volts(ghz) ** 2)[:, None]
        excess = np.max(wanted / spare, axis=1)
        kept: Floats = np.maximum(ghz * np.maximum(excess, 1.0) ** -0.45, model.ghz_idle)
        return kept

    def step(
        self, work: Work, ghz: Floats, seconds: float, firmware_watts: float, fan_watts: float
    ) -> Watts:
        """The mean power of an interval; temperatures and fans are then as at its end."""
        model = self._model
        volts = model.volts(ghz)
        gbps = work.missed_bytes * (_WRITE_BACK / 1e9)
        awake = (0.35 + 0.65 * work.busy)[:, None]
        leakage = self._leakage * awake * volts[:, None] * np.exp((self.celsius - 60.0) / 40.0)
        core = self._core * work.threads * (ghz * volts**2)[:, None] + leakage
        uncore = (
            model.uncore_watts
            + model.uncore_busy_watts * work.busy[:, None]
            + model.uncore_watts_per_gbps * gbps
        )
        package = core + uncore + model.static_watts + firmware_watts / core.shape[1]
        dram = model.dram_watts + model.dram_watts_per_gbps * gbps
        fans = model.fan_watts * self._fan**3 + fan_watts
        inside = package.sum(axis=1) + dram.sum(axis=1) + fans + model.board_watts
        inside += model.irq_watt_seconds * work.irqs
        self._warm(package, seconds)
        return Watts(package, core, uncore, dram, inside / model.supply_efficiency(inside))

    def _beside_cores(self, busy: Floats) -> Floats:
        model = self._model
        rest = model.static_watts + model.uncore_watts + 0.7 * model.leakage_watts
        return (rest + model.uncore_busy_watts * busy)[:, None]

    def _warm(self, package: Floats, seconds: float) -> None:
        """First-order lags: of the die behind its power, of the fans behind the die."""
        model = self._model
        settled = model.ambient + model.kelvin_per_watt * package
        self.celsius += (settled - self.celsius) * -np.expm1(-seconds / model.thermal_seconds)
        speed = np.clip((self.celsius.max(axis=1) - 20.0) / 50.0, 0.2, 1.0)
        self._fan += (speed - self._fan) * -np.expm1(-seconds / model.fan_seconds)
