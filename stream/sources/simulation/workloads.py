"""What simulated nodes run: workloads of several kinds that come, work unevenly, and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEATURES: Final = (
    "cpu_cycles",
    "cpu_instructions",
    "cache_miss",
    "cpu_ref_cycles",
    "bpf_cpu_time_ms",
    "bpf_net_tx_irq",
    "bpf_net_rx_irq",
    "bpf_block_irq",
    "bpf_page_cache_hit",
)
"""Kepler 0.9's features, in the order of the counters."""
_IRQS: Final = [i for i, feature in enumerate(FEATURES) if feature.endswith("_irq")]

SYSTEM: Final = "system_processes"
"""The workload that every node has: the kernel and the system's own services."""

_TRAFFIC_LEVELS: Final = (0.0, 0.12, 0.3, 0.55, 0.8, 1.0)
_TRAFFIC_SECONDS: Final = (20.0, 90.0)
_STAY_SECONDS: Final = (60.0, 900.0)
_AWAY_SECONDS: Final = (10.0, 60.0)
_LINE_BYTES: Final = 64
_CROWDING: Final = 1.2
"""How much two threads on one core slow each other down."""


class Mix(NamedTuple):
    """A kind of work. Rates of interrupts and page cache hits are per second of CPU time."""

    name: str
    cores: tuple[float, float]
    """How many of 64 logical processors it wants, at full traffic."""
    steady: float
    """The share of its demand that does not follow traffic."""
    ipc: float
    misses_per_kilo: float
    """Cache misses in a thousand instructions."""
    activity: float
    """How much of a core it exercises, compute-bound work being 1."""
    bursts: float
    """How often a second it stops or starts."""
    net: float
    block: float
    page_cache: float


MIXES: Final = (
    Mix("compute", (2.0, 11.0), 0.15, 2.1, 0.25, 1.00, 0.0, 5, 1, 20),
    Mix("memory", (2.0, 8.0), 0.15, 0.55, 16.0, 0.62, 0.0, 5, 2, 60),
    Mix("bursty", (1.5, 8.0), 0.05, 1.2, 2.5, 0.85, 0.05, 400, 20, 300),
    Mix("io", (0.4, 3.0), 0.10, 0.8, 6.0, 0.70, 0.01, 900, 1500, 2500),
    Mix("idle", (0.01, 0.15), 0.8, 0.7, 4.0, 0.70, 0.02, 40, 10, 100),
)
_SYSTEM_MIX: Final = Mix("system", (0.25, 0.45), 0.7, 0.75, 5.0, 0.65, 0.0, 60, 40, 400)
_ALL: Final = (*MIXES, _SYSTEM_MIX)


def _column(field: str) -> Floats:
    return np.array([getattr(mix, field) for mix in _ALL], dtype=np.float64)


def irqs(rates: Floats) -> Floats:
    """Interrupts per second of each node at the rates of `WorkloadTable.rates`."""
    sums: Floats = rates[:, _IRQS].sum(axis=(1, 2))
    return sums


class WorkloadTable:
    """The workloads of some nodes, as arrays of (nodes, slots); slot 0 is the system's own.

    ``mixes`` names the kinds that may come (all of them, if none is named).
    """

    def __init__(
        self,
        nodes: int,
        slots: int,
        logical_cores: int,
        sockets: int,
        rng: np.random.Generator,
        mixes: Sequence[str] | None = None,
    ) -> None:
        shape = (nodes, slots + 1)
        self._rng = rng
        self._logical_cores = logical_cores
        self._choice = [i for i, mix in enumerate(MIXES) if mixes is None or mix.name in mixes]
        self._sockets = sockets
        self._table = {field: _column(field) for field in ("steady", "bursts")}
        self._ipc, self._misses, self._activity = (
            _column(field) for field in ("ipc", "misses_per_kilo", "activity")
        )
        self._per_second = np.stack(
            [_column("net"), 1.4 * _column("net"), _column("block"), _column("page_cache")]
        )
        self._mix = np.full(shape, len(MIXES), dtype=np.intp)
        self._demand = np.zeros(shape)
        self._quirk = np.ones((2, *shape))
        self._on = np.ones(shape, dtype=bool)
        self._until = np.zeros(shape)
        self._until[:, 0] = np.inf
        self._traffic = np.zeros((nodes, 1))
        self._traffic_until = np.zeros(nodes)
        self.share = np.full((*shape, sockets), 1.0 / sockets)
        """How each workload is spread over the sockets."""
        self.alive = np.zeros(shape, dtype=bool)
        self.ids: list[list[str]] = [[SYSTEM] + [""] * slots for _ in range(nodes)]
        self.counters = np.zeros((nodes, len(FEATURES), slots + 1))
        self.alive[:, 0] = True
        self._demand[:, 0] = self._draw_demand(_SYSTEM_MIX, nodes)

    def come_and_go(self, seconds: float) -> None:
        """Let what is due at that time happen: traffic changes, workloads end and begin."""
        for node in np.nonzero(self._traffic_until <= seconds)[0]:
            levels = [lv for lv in _TRAFFIC_LEVELS if abs(lv - self._traffic[node, 0]) > 0.15]
            self._traffic[node, 0] = self._rng.choice(levels)
            self._traffic_until[node] = seconds + self._rng.uniform(*_TRAFFIC_SECONDS)
        for node, slot in np.argwhere(self._until <= seconds):
            if self.alive[node, slot] or self._rng.random() < 0.1:
                self.alive[node, slot] = False
                self._until[node, slot] = seconds + self._rng.uniform(*_AWAY_SECONDS)
            else:
                self._begin(node, slot, seconds)

    def threads(self, seconds: float) -> Floats:
        """How many threads each workload keeps busy during the next so many seconds."""
        mix = self._mix
        flips = self._rng.random(mix.shape) < self._table["bursts"][mix] * seconds
        self._on ^= flips
        steady = self._table["steady"][mix]
        follows = steady + (1.0 - steady) * self._traffic
        jitter = self._rng.normal(1.0, 0.06, mix.shape)
        wanted = self._demand * follows * np.maximum(jitter, 0.2)
        wanted *= self.alive * np.where(self._on, 1.0, 0.04)
        crowd = wanted.sum(axis=1, keepdims=True) / self._logical_cores
        granted: Floats = wanted / np.maximum(crowd, 1.0)
        return granted

    def exercised(self, threads: Floats, slowed: Floats) -> Floats:
        """Busy threads weighed by how much of a core they exercise, by socket."""
        weighed = threads * self._activity[self._mix] * self._quirk[0] * slowed
        by_socket: Floats = (weighed[:, None, :] @ self.share)[:, 0, :]
        return by_socket

    def rates(self, threads: Floats, slowed: Floats, ghz: Floats, ghz_base: float) -> Floats:
        """What each feature counts per second, (nodes, features, slots)."""
        mix = self._mix
        cycles = threads * (ghz[:, None] * 1e9)
        instructions = cycles * self._ipc[mix] * self._quirk[1] * slowed
        misses = instructions * self._misses[mix] * 1e-3
        noisy = self._per_second[:, mix] * threads
        noisy *= self._rng.normal(1.0, 0.1, mix.shape).clip(0.5)
        wide = np.stack([cycles, instructions, misses, threads * ghz_base * 1e9, threads * 1e3])
        return np.concatenate([wide, noisy]).transpose(1, 0, 2)

    def missed_bytes(self, rates: Floats) -> Floats:
        """Bytes per second of cache misses at these `rates`, by socket."""
        by_slot = rates[:, FEATURES.index("cache_miss"), None, :]
        by_socket: Floats = (by_slot @ self.share)[:, 0, :] * _LINE_BYTES
        return by_socket

    def slowed(self, busy: Floats) -> Floats:
        """How fast a thread is beside its neighbour on the core, (nodes, 1)."""
        return (1.0 / (1.0 + _CROWDING * np.maximum(0.0, busy - 0.5)))[:, None]

    def _begin(self, node: int, slot: int, seconds: float) -> None:
        rng = self._rng
        kind = self._choice[rng.integers(len(self._choice))]
        self._mix[node, slot] = kind
        self._demand[node, slot] = self._draw_demand(MIXES[kind], 1)[0]
        self._quirk[:, node, slot] = rng.lognormal(0.0, (0.05, 0.08))
        self._on[node, slot] = True
        self.alive[node, slot] = True
        spread = rng.uniform(0.8, 1.2, self._sockets)
        self.share[node, slot] = spread / spread.sum()
        self.ids[node][slot] = rng.bytes(32).hex()
        self.counters[node, :, slot] = 0.0
        self._until[node, slot] = seconds + rng.uniform(*_STAY_SECONDS)

    def _draw_demand(self, mix: Mix, count: int) -> Floats:
        return self._rng.uniform(*mix.cores, count) * (self._logical_cores / 64)
