"""Samples that were never measured."""

from __future__ import annotations

import numpy as np

from estimator.machine import MachineSpec
from stream.sample import Sample

START_MS = 1_700_000_000_000
FEATURES = ("bpf_cpu_time_ms", "bpf_page_cache_hit")
COMPONENTS = ("package", "dram")
MACHINE = MachineSpec(processor="xeon", cores=8, chips=1, memory=32, frequency=2000)


def samples(
    count: int, node: str = "n1", seed: int = 1, source: str = "rapl-sysfs"
) -> list[Sample]:
    """A node whose package draws 30 W idle and 10 W for each 1000 ms a second, its dram 5 W."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        cpu = 0.0 if number % 10 == 0 else float(rng.uniform(0, 8000))
        rates = np.array([cpu, cpu * 0.1])
        watts = (30.0 + cpu / 100, 5.0 + cpu / 1000)
        start = START_MS + 3000 * number
        made.append(
            Sample(node, MACHINE, source, start, start + 3000, FEATURES, rates, COMPONENTS, watts)
        )
    return made
