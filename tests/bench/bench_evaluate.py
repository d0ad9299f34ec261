"""`wattstream evaluate` by its path: the default pool, the ridge alone, and river's AMF beside.

``python -m tests.bench.bench_evaluate``
"""

from __future__ import annotations

import csv
import tempfile
import time
from pathlib import Path

import numpy as np
from river import forest, preprocessing

from stream.analysis.evaluate import evaluate
from stream.learning.pools import pool
from stream.sources.trace import TraceSource

ROWS = 3000
AMF_ROWS = 600


def run() -> None:
    """Print samples a second, and the ratio to river's AMF in the same run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.csv"
        rows = _write(path)
        rates = {}
        for banks in (("ridge", "neighbours"), ("ridge",)):
            source = TraceSource(path)
            groups = {"trace": tuple(sorted(source.features))}
            found = evaluate(source, pool(banks, groups))
            rates["+".join(banks)] = found["samples_per_second"]
    amf = _amf(rows)
    print(f"  river MinMaxScaler | AMFRegressor(10): {amf:.0f} samples/s, one target")
    for name, rate in rates.items():
        print(f"  {name}: {rate:.0f} samples/s, {rate / amf:.1f} times AMF, two targets")


def _write(path: Path) -> list[dict[str, float]]:
    """A trace of a load that wanders and steps; its rows."""
    rng = np.random.default_rng(3)
    rows, load = [], 0.3
    for step in range(ROWS):
        load = (
            rng.uniform(0, 1) if rng.uniform() < 0.05 else np.clip(load + rng.normal(0, 0.03), 0, 1)
        )
        load = float(load)
        cycles = 6e10 * load * rng.uniform(0.9, 1.1)
        rows.append(
            {
                "timestamp": 1_700_000_000 + 3 * step,
                "bpf_cpu_time_ms": 64_000 * load,
                "cache_miss": 2e8 * load * rng.uniform(0.5, 1.5),
                "cpu_cycles": cycles,
                "cpu_instructions": cycles * rng.uniform(0.8, 1.6),
                "package_power": 60 + 140 * load**1.2 + rng.normal(0, 1),
                "dram_power": 12 + 20 * load + rng.normal(0, 0.3),
            }
        )
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _amf(rows: list[dict[str, float]]) -> float:
    """Samples a second that river's forest learns, test then train, one target."""
    model = preprocessing.MinMaxScaler() | forest.AMFRegressor(10, seed=1)
    started = time.perf_counter()
    for row in rows[:AMF_ROWS]:
        sample = {
            name: value for name, value in row.items() if not name.endswith(("power", "stamp"))
        }
        model.predict_one(sample)
        model.learn_one(sample, row["package_power"])
    return AMF_ROWS / (time.perf_counter() - started)


if __name__ == "__main__":
    run()
