"""Where the estimator's clients come in: who is there, whose turn it is, who has to go."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from estimator.kepler_socket.answering import Answer
from estimator.kepler_socket.connection import Connection
from estimator.kepler_socket.counts import Counts
from estimator.system.memory import give_back_memory

_log = logging.getLogger(__name__)

RECEIVE_BYTES: Final = 64 << 10
"""So much is read at once: what a client can make the server work on before others' turn."""
_AT_ONCE: Final = 32
"""So many newcomers are taken in before those who are there have their turn."""


@dataclass(frozen=True)
class Limits:
    """What one client, and all of them together, may take.

    A connection ends ``deadline_seconds`` after it began or after its last answer, unless a whole
    request has come and its answer been read. Together, requests that are not yet answered may
    take ``most_waiting_bytes``. Beyond ``most_connections``, the one that has been without an
    answer for longest ends for the newcomer.
    """

    deadline_seconds: float = 5.0
    most_bytes: int = 16 << 20
    most_waiting_bytes: int = 64 << 20
    most_connections: int = 2000


class Desk:
    """What all connections of one server share; used by its loop's thread only.

    Transports of asyncio's own take three turns of the loop before the first byte is read. Here
    the loop watches one epoll object instead, and a client that has written when it is accepted,
    as Kepler has, is answered in the same turn.
    """

    def __init__(self, respond: Callable[[bytes], Answer], limits: Limits, counts: Counts) -> None:
        self.respond = respond
        self.limits = limits
        self.counts = counts
        self.loop = asyncio.get_running_loop()
        self.waiting_bytes = 0
        self.untidy = False
        self.receive_buffer = memoryview(bytearray(RECEIVE_BYTES))
        # By file number; the one that has been without an answer for longest comes first.
        self.connections: OrderedDict[int, Connection] = OrderedDict()
        self._executor: Executor | None = None
        self._listeners: dict[int, socket.socket] = {}
        self._resting = False
        self._poller = select.epoll()
        self.loop.add_reader(self._poller.fileno(), self._ready)

    @property
    def executor(self) -> Executor:
        """One thread for large requests, made when the first one comes."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "large-requests")
        return self._executor

    def listen(self, listener: socket.socket) -> None:
        """Take in the clients of a socket that listens and does not block."""
        self._listeners[listener.fileno()] = listener
        self._poller.register(listener.fileno(), select.EPOLLIN)

    def watch(self, number: int, before: int, events: int) -> None:
        """Have the connection told of these events, where it was told of those ``before``."""
        if not events:
            self._poller.unregister(number)
        elif before:
            self._poller.modify(number, events)
        else:
            self._poller.register(number, events)

    def _ready(self) -> None:
        """Serve whoever has something to say; newcomers last, for they may get freed numbers."""
        knocking = []
        for number, events in self._poller.poll(0):
            connection = self.connections.get(number)
            if connection is not None:
                connection.ready(events)
            elif number in self._listeners:
                knocking.append(self._listeners[number])
        for listener in knocking:
            self._take_in(listener)

    def _take_in(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._admit(Connection(self, accepted))

    def _admit(self, connection: Connection) -> None:
        """Take up a new connection, in place of another if there are too many."""
        self.counts.connections += 1
        if len(self.connections) >= self.limits.most_connections:
            self.counts.failed("crowded")
            next(iter(self.connections.values())).abort()
        self.connections[connection.number] = connection
        self.counts.open_connections = len(self.connections)
        connection.receive()

    def _rest(self, error: OSError) -> None:
        """Take nobody in until the next sweep: the system has no room for more."""
        if not self._resting:
            _log.warning("no connections can be accepted: %s", error.strerror)
            self.counts.failed("crowded")
            for number in self._listeners:
                self._poller.unregister(number)
        self._resting = True

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that is about to be closed."""
        self.connections.pop(connection.number, None)
        self.counts.open_connections = len(self.connections)

    def sweep(self) -> None:
        """End the connections that are past their deadline; tidy up after large requests."""
        if self.untidy and not self.waiting_bytes:
            self.untidy = False
            self.loop.run_in_executor(self.executor, give_back_memory)
        if self._resting:
            self._resting = False
            for number in self._listeners:
                self._poller.register(number, select.EPOLLIN)
        oldest = self.loop.time() - self.limits.deadline_seconds
        while self.connections:
            connection = next(iter(self.connections.values()))
            if connection.since > oldest:
                return
            if connection.busy:
                connection.renew()
                continue
            self.counts.failed("deadline")
            connection.abort()

    def close(self) -> None:
        """End all connections; take in no more."""
        self.loop.remove_reader(self._poller.fileno())
        while self.connections:
            next(iter(self.connections.values())).abort()
        self._poller.close()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
