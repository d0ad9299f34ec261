"""All benchmarks, one after the other: ``make bench`` (or some, by name).

Machines are shared and noisy: read the ratios to what was measured beside in the same run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

BENCHES = (
    *("learning", "stages", "fleet", "evaluate", "log", "kafka", "sharing", "replay", "resume"),
    *("memory", "socket", "estimator", "export", "choice", "guests", "http", "training"),
)


def main(names: list[str]) -> int:
    """Run the named benchmarks, or all, each in a process of its own."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"bench {unknown[0]!r} is unknown; known are {', '.join(BENCHES)}")
        return 2
    failed = []
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    for name in names or BENCHES:
        module = f"tests.bench.bench_{name}"
        print(f"\n== {name}", flush=True)
        started = time.perf_counter()
        if subprocess.run([sys.executable, "-m", module], env=environment, check=False).returncode:
            failed.append(name)
        print(f"   ({time.perf_counter() - started:.0f} s)", flush=True)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
