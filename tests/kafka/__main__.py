"""Start and stop a broker for development: ``python -m tests.kafka start`` and ``... stop``."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.kafka import jars
from tests.kafka.broker import Broker, alive

FOLDER = jars.CACHE / "run"


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.kafka", description=__doc__)
    parser.add_argument("action", choices=["start", "stop", "fetch"])
    parser.add_argument("--port", type=int, default=9092, help="where clients connect")
    parser.add_argument("--controller-port", type=int, default=9093, help="its own, for KRaft")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.action == "fetch":
            print(jars.libs())
        elif chosen.action == "start":
            _start(chosen.port, chosen.controller_port)
        else:
            _stop()
    except (jars.MissingToolError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _running() -> int | None:
    """The process id of the broker that was started here, if it is alive."""
    try:
        pid = int((FOLDER / "broker.pid").read_text())
    except (OSError, ValueError):
        return None
    return pid if alive(pid, FOLDER) else None


def _start(port: int, controller_port: int) -> None:
    pid = _running()
    if pid is not None:
        print(f"a broker is running already (process {pid})")
        return
    broker = Broker(FOLDER, port, controller_port, heap_mib=512, quick=False, ends_with_us=False)
    broker.launch()
    assert broker.process is not None
    (FOLDER / "broker.pid").write_text(f"{broker.process.pid}\n")
    try:
        started = time.monotonic()
        broker.wait()
    except RuntimeError:
        broker.kill()
        raise
    print(f"{broker.url} answers after {time.monotonic() - started:.1f} s; make kafka-stop ends it")


def _stop(patience_seconds: float = 10.0) -> None:
    """End the broker by its process id and delete all it kept."""
    pid = _running()
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + patience_seconds
        while alive(pid, FOLDER):
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        print(f"stopped (process {pid})")
    if FOLDER.exists():
        shutil.rmtree(Path(FOLDER))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
