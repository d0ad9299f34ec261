"""A broker of Kafka 0.10, as far as a client needs one to see that it is too old."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_METADATA: Final = 3
_API_VERSIONS: Final = 18
_UNSUPPORTED_VERSION: Final = 35
_APIS: Final = ((0, 0, 2), (1, 0, 2), (2, 0, 0), (_METADATA, 1, 1), (_API_VERSIONS, 0, 0))
"""Requests that it knows, with the first and the last version."""


@contextmanager
def old_broker() -> Iterator[str]:
    """The address of one that answers until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=_accept, args=(server,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def _accept(server: socket.socket) -> None:
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []
    port = server.getsockname()[1]
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            break
        connections.append(connection)
        threads.append(threading.Thread(target=_talk, args=(connection, port), daemon=True))
        threads[-1].start()
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)


def _talk(connection: socket.socket, port: int) -> None:
    with connection, suppress(OSError, struct.error):
        while True:
            (size,) = struct.unpack(">i", _received(connection, 4))
            request = _received(connection, size)
            kind, version, number = struct.unpack(">hhi", request[:8])
            if kind == _API_VERSIONS:
                answer = _api_versions(version)
            elif kind == _METADATA:
                answer = _metadata(port)
            else:
                return
            answer = struct.pack(">i", number) + answer
            connection.sendall(struct.pack(">i", len(answer)) + answer)


def _api_versions(version: int) -> bytes:
    # To a version that it does not know it says so in the first one's words.
    error = _UNSUPPORTED_VERSION if version else 0
    apis = b"".join(struct.pack(">hhh", *api) for api in _APIS)
    return struct.pack(">hi", error, len(_APIS)) + apis


def _metadata(port: int) -> bytes:
    """One broker without a rack, which is the controller, and no topics."""
    host = b"127.0.0.1"
    broker = struct.pack(">ih", 1, len(host)) + host + struct.pack(">ih", port, -1)
    return struct.pack(">i", 1) + broker + struct.pack(">ii", 1, 0)


def _received(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = connection.recv(size - len(found))
        if not more:
            raise OSError("the client has gone")
        found += more
    return found
