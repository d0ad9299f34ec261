"""The process of one run: its memory goes back when it ends, whatever it took.

``python -m server.training.child FOLDER`` reads one JSON line, `Order`, from standard input, learns
``FOLDER/request.json`` into ``FOLDER/result.zip``, and writes JSON lines, `Told`, to standard
output: how much is done, and last of all the report or what is wrong. It ends with whoever started
it: when its standard input does.
"""

from __future__ import annotations

import os
import resource
import sys
import threading
from pathlib import Path
from typing import IO, Final

import msgspec

from estimator.errors import WattstreamError
from server.training.explain import one_line
from server.training.mapped import mapped
from server.training.request import decode_request
from server.training.run import Report, train

REQUEST: Final = "request.json"
RESULT: Final = "result.zip"


class Order(msgspec.Struct, frozen=True):
    """What a run is told beside its request."""

    experts: list[str]
    memory_mib: int


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a run says: a fraction that is done, or at the end one of the others."""

    done: float | None = None
    report: Report | None = None
    error: str | None = None
    status: int = 200


def learn(folder: Path, order: Order, tell: IO[bytes]) -> None:
    """Learn the request in the folder, and say how that goes and ends."""

    def say(told: Told) -> None:
        tell.write(msgspec.json.encode(told) + b"\n")
        tell.flush()

    try:
        request = decode_request(mapped(folder / REQUEST))
        trained = train(request, order.experts, lambda done: say(Told(done=done)))
        (folder / RESULT).write_bytes(trained.zip)
    except WattstreamError as error:
        say(Told(error=one_line(str(error)), status=400))
    except MemoryError:
        most = f"more than {order.memory_mib} MiB of memory"
        say(Told(error=f"prom_response needs {most} to be learned: post less of it", status=413))
    else:
        say(Told(report=trained.report))


def main(folder: Path, orders: IO[bytes], tell: IO[bytes]) -> None:
    """Do what the order says."""
    order = msgspec.json.decode(orders.readline(), type=Order)
    threading.Thread(target=_end_with, args=(orders,), daemon=True).start()
    limit = order.memory_mib << 20
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    learn(folder, order, tell)


def _end_with(orders: IO[bytes]) -> None:
    orders.read()
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer)
