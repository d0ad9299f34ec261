"""A simulated Kepler and a Prometheus that has scraped it: ``python -m tests.prometheus``.

Both run until they are stopped, on loopback. The node has lived for half an hour already.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from stream.sources.simulated import SimulatedSource
from tests.prometheus.exporter import Exporter
from tests.prometheus.page import KeplerPage
from tests.prometheus.server import PROGRAM, PrometheusServer, fill

FOLDER = Path(".cache") / "prometheus"
EVERY_SECONDS = 3


def main(arguments: list[str]) -> int:
    """Do what the arguments say; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.prometheus", description=__doc__)
    parser.add_argument("--port", type=int, default=9090, help="where Prometheus answers")
    parser.add_argument("--kepler-port", type=int, default=8888, help="where Kepler is scraped")
    parser.add_argument("--past", type=float, default=1800, help="seconds lived already")
    chosen = parser.parse_args(arguments)
    if shutil.which(PROGRAM) is None or shutil.which("promtool") is None:
        print(f"{PROGRAM} is needed (Debian's package of that name)", file=sys.stderr)
        return 1
    shutil.rmtree(FOLDER, ignore_errors=True)
    page = KeplerPage()
    source = SimulatedSource(
        interval_seconds=1.0, start=time.time() - chosen.past, speed=0, meter_seconds=1.0
    )
    address = f"127.0.0.1:{chosen.kepler_port}"
    fill(FOLDER, source, EVERY_SECONDS, address, page)
    exporter = Exporter(chosen.kepler_port, 1.0, source=source, page=page)
    server = PrometheusServer(FOLDER, [address], f"{EVERY_SECONDS}s", port=chosen.port)
    with exporter, server:
        print(f"Kepler is at http://{address}/metrics, Prometheus at {server.url}", flush=True)
        try:
            return server.program.process.wait()
        except KeyboardInterrupt:
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
