"""What a simulated guest's own kernel counts: the features of ``NodeStat``, from its workloads."""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.sources.simulation.server import Floats
from stream.sources.simulation.workloads import FEATURES as OF_WORKLOADS

FEATURES: Final = (
    "bpf_cpu_time_ms",
    "context_switches",
    "cpu_iowait_ms",
    "cpu_irq_ms",
    "cpu_steal_ms",
    "cpu_system_ms",
    "cpu_user_ms",
    "disk_read_bytes",
    "disk_write_bytes",
    "interrupts",
    "net_receive_bytes",
    "net_transmit_bytes",
    "page_faults",
)
"""The counters, in the order of their columns."""

_TICKS_PER_THREAD: Final = 250.0
_SWITCHES_PER_THREAD: Final = 40.0
_SWITCHES_PER_IRQ: Final = 1.6
_FAULTS_PER_HIT: Final = 0.2
_NET_BYTES: Final = 9_000.0
_BLOCK_BYTES: Final = 65_536.0
_READ_SHARE: Final = 0.6
_IRQ_MS: Final = 0.008
_HIT_MS: Final = 0.004
_SYSTEM_SHARE: Final = 0.02
_BLOCK_WAIT_MS: Final = 0.4


def guest_rates(rates: Floats, threads: Floats) -> Floats:
    """Per second of each guest [G, features], of its workloads' rates and threads [G, slots].

    ``rates`` are those of `WorkloadTable.rates`, [G, features of workloads, slots].
    """
    sums = dict(zip(OF_WORKLOADS, rates.sum(axis=2).T, strict=True))
    busy = threads.sum(axis=1)
    sent, received = sums["bpf_net_tx_irq"], sums["bpf_net_rx_irq"]
    block, hits = sums["bpf_block_irq"], sums["bpf_page_cache_hit"]
    irqs = sent + received + block
    used_ms = sums["bpf_cpu_time_ms"]
    irq_ms = irqs * _IRQ_MS
    system_ms = np.minimum(used_ms * _SYSTEM_SHARE + hits * _HIT_MS, 0.6 * used_ms)
    columns = {
        "bpf_cpu_time_ms": used_ms,
        "context_switches": busy * _SWITCHES_PER_THREAD + irqs * _SWITCHES_PER_IRQ,
        "cpu_iowait_ms": block * _BLOCK_WAIT_MS,
        "cpu_irq_ms": irq_ms,
        "cpu_steal_ms": np.zeros_like(busy),
        "cpu_system_ms": system_ms,
        "cpu_user_ms": np.maximum(used_ms - system_ms - irq_ms, 0.0),
        "disk_read_bytes": block * _BLOCK_BYTES * _READ_SHARE,
        "disk_write_bytes": block * _BLOCK_BYTES * (1.0 - _READ_SHARE),
        "interrupts": busy * _TICKS_PER_THREAD + irqs,
        "net_receive_bytes": received * _NET_BYTES,
        "net_transmit_bytes": sent * _NET_BYTES,
        "page_faults": hits * _FAULTS_PER_HIT + busy * _SWITCHES_PER_THREAD,
    }
    return np.stack([columns[name] for name in FEATURES], axis=1)
