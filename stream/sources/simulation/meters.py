"""What the meters of simulated nodes say: counters that wrap, a gauge that lags, both noisy."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from stream.records import Zone
from stream.sources.simulation.server import Floats, Watts

_UNIT_JOULES: Final = 2.0**-14
_RANGES: Final = {
    "package": 262143328850,
    "core": 262143328850,
    "uncore": 262143328850,
    "dram": 65532610987,
}
"""Where the counters fall back to 0, in microjoules."""
_JITTER_SECONDS: Final = 1e-3
_READING_NOISE: Final = 0.004
_AVERAGING_SECONDS: Final = 1.0


class EnergyCounters:
    """RAPL's counters of some nodes: joules since some start, updated each ms, in steps."""

    def __init__(self, nodes: int, sockets: int, rng: np.random.Generator) -> None:
        self._rng = rng
        shape = (nodes, len(_RANGES), sockets)
        self._range = np.array(list(_RANGES.values()), dtype=np.int64)[:, None]
        self._joules = rng.uniform(0.0, 1.0, shape) * self._range / 1e6
        self._gain = rng.normal(1.0, 0.003, shape)
        self._watts = np.zeros(shape)
        self._labels = [
            (component, f"package-{socket}" + ("" if component == "package" else f"/{component}"))
            for component in _RANGES
            for socket in range(sockets)
        ]
        self._wraps_at = [limit / 1e6 for limit in _RANGES.values() for _ in range(sockets)]

    def draw(self, watts: Watts, *, frozen: bool) -> None:
        """Set what is drawn from now on; frozen counters stand still."""
        true = np.stack([watts.package, watts.core, watts.uncore, watts.dram], axis=1)
        noise = self._rng.normal(1.0, 0.002, (true.shape[0], 1, 1))
        self._watts = true * 0.0 if frozen else true * self._gain * noise

    def read(self, seconds: float) -> list[list[Zone]]:
        """The zones of each node, so many seconds after the last ``draw`` or ``pass_time``."""
        late = self._rng.uniform(0.0, _JITTER_SECONDS, (len(self._joules), 1, 1))
        joules = self._joules + self._watts * np.maximum(seconds - late, 0.0)
        steps = np.floor(joules / _UNIT_JOULES) * _UNIT_JOULES
        microjoules = (steps * 1e6).astype(np.int64) % self._range
        rows = (microjoules / 1e6).reshape(len(joules), -1).tolist()
        return [
            [
                Zone(component, zone, value, limit)
                for (component, zone), value, limit in zip(
                    self._labels, row, self._wraps_at, strict=True
                )
            ]
            for row in rows
        ]

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at what is drawn."""
        self._joules += self._watts * seconds


class PlatformGauge:
    """The ACPI meter of some nodes: watts, averaged over some time, to the whole watt."""

    def __init__(self, nodes: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._gain = rng.normal(1.0, 0.004, nodes)
        self._average: Floats | None = None
        self._watts: Floats = np.zeros(nodes)
        self._last: list[float] | None = None
        self._lag = _AVERAGING_SECONDS
        self._frozen = False

    def draw(self, watts: Watts, *, frozen: bool, lag_seconds: float) -> None:
        """Set what is drawn from now on; a frozen gauge repeats its last word."""
        self._watts = watts.platform * self._gain
        self._frozen = frozen
        self._lag = lag_seconds or _AVERAGING_SECONDS
        if self._average is None:
            self._average = self._watts

    def read(self, seconds: float) -> list[float]:
        """The watts of each node, so many seconds after the last ``draw`` or ``pass_time``."""
        if self._last is None or not self._frozen:
            noise = self._rng.normal(1.0, _READING_NOISE, len(self._watts))
            self._last = np.rint(self._averaged(seconds) * noise).tolist()
        return list(self._last)

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass at what is drawn."""
        self._average = self._averaged(seconds)

    def _averaged(self, seconds: float) -> Floats:
        average = self._watts if self._average is None else self._average
        passed = math.exp(-seconds / self._lag)
        return self._watts + (average - self._watts) * passed
