from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from estimator.system.memory import give_back_memory, settle_allocation

PROGRAM = """
import threading
from pathlib import Path
from estimator.system.memory import give_back_memory, settle_allocation

def resident_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024

def work():
    # Blocks of all sizes, the last of which outlive those before them.
    blocks = [bytearray(1 + at % 200_000) for at in range(0, 40_000_000, 20_011)]
    kept.append(blocks[-1])

settle_allocation()
kept = []
before = resident_mib()
thread = threading.Thread(target=work)
thread.start()
thread.join()
give_back_memory()
print(resident_mib() - before)
"""


def test_what_was_freed_goes_back_to_the_system() -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, cwd=root, check=True
    )
    assert float(done.stdout) < 16


def test_both_may_be_called_at_any_time() -> None:
    settle_allocation()
    give_back_memory()
