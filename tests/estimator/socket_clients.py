"""Clients of the estimator's socket, and the question that all of them can ask."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tests.estimator.served import power_request

GOOD: Final = json.dumps(power_request([[1024.0], [2048.0]])).encode()
ANSWER: Final = (
    b'{"powers":{"package":[26,42],"core":[52,84],"uncore":[78,126],"dram":[104,168]},'
    b'"msg":"","core_ratio":1}'
)
"""What `plain_entry` says of it."""
PATIENT: Final = 30.0
"""Seconds after which a test gives up: never reached when all is well."""


@contextlib.contextmanager
def connected(path: Path, timeout: float = PATIENT) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(path))
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side hangs up."""
    data = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(1 << 20):
            data += piece
    return bytes(data)


def eventually(condition: Callable[[], bool]) -> bool:
    """Whether it comes true, looked at often."""
    until = time.monotonic() + PATIENT
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    return condition()
