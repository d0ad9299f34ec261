"""Small recorded traces."""

from __future__ import annotations

import random
from pathlib import Path

FEATURES = ("bpf_cpu_time_ms", "bpf_page_cache_hit")


def write_trace(path: Path, rows: int = 60, seed: int = 1) -> Path:
    """A trace of a node whose power follows its usage, a row every three seconds.

    The column ``temperature`` is no known feature, and ``uncore_power`` is always zero.
    """
    rng = random.Random(seed)
    lines = [
        "timestamp,bpf_cpu_time_ms,bpf_page_cache_hit,temperature,package_power,uncore_power,"
        "dram_power,platform_power"
    ]
    for row in range(rows):
        busy = rng.random()
        lines.append(
            f"{1_700_000_000 + 3 * row},{8000 * busy:.1f},{2000 * busy * rng.random():.1f},"
            f"{40 + 30 * busy:.1f},{30 + 60 * busy:.3f},0,{5 + 4 * busy:.3f},{70 + 90 * busy:.3f}"
        )
    path.write_text("\n".join(lines) + "\n")
    return path
