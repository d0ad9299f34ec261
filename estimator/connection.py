"""One client of the estimator's socket: its bytes in, its answers out, its limits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, cast

from estimator.answering import Answer
from estimator.answers import encode_refusal
from estimator.counts import Counts
from estimator.errors import RequestError
from estimator.framing import Framer

_log = logging.getLogger(__name__)

RECEIVE_BYTES: Final = 64 << 10
"""So much is read at once: what a client can make the server work on before others' turn."""
LARGE_BYTES: Final = 256 << 10
"""A request of more bytes (1,500 processes) is answered beside the loop."""


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
    """What all connections of one server share; used by its loop's thread only."""

    def __init__(self, respond: Callable[[bytes], Answer], limits: Limits, counts: Counts) -> None:
        self.respond = respond
        self.limits = limits
        self.counts = counts
        self.loop = asyncio.get_running_loop()
        self.waiting_bytes = 0
        self.receive_buffer = memoryview(bytearray(RECEIVE_BYTES))
        # The one that has been without an answer for longest comes first.
        self.connections: OrderedDict[Connection, None] = OrderedDict()
        self._executor: Executor | None = None

    @property
    def executor(self) -> Executor:
        """One thread for large requests, made when the first one comes."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, "large-requests")
        return self._executor

    def admit(self, connection: Connection) -> None:
        """Take up a new connection, in place of another if there are too many."""
        self.counts.connections += 1
        if len(self.connections) >= self.limits.most_connections:
            self.counts.failed("crowded")
            next(iter(self.connections)).abort()
        self.connections[connection] = None
        self.counts.open_connections = len(self.connections)

    def dismiss(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        self.connections.pop(connection, None)
        self.counts.open_connections = len(self.connections)

    def sweep(self) -> None:
        """End the connections that are past their deadline."""
        oldest = self.loop.time() - self.limits.deadline_seconds
        while self.connections:
            connection = next(iter(self.connections))
            if connection.since > oldest:
                return
            if connection.busy:
                connection.renew()
                continue
            self.counts.failed("deadline")
            connection.abort()

    def close(self) -> None:
        """End all connections."""
        while self.connections:
            next(iter(self.connections)).abort()
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)


class Connection(asyncio.BufferedProtocol):
    """Answers one client's requests in their order; between two of them others have their turn."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._framer = Framer(desk.limits.most_bytes)
        self._transport: asyncio.Transport | None = None
        self._waiting_bytes = 0
        self._turn_due, self._blocked, self._ended = False, False, False
        self.busy = False
        self.since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast(asyncio.Transport, transport)
        self.since = self._desk.loop.time()
        self._desk.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: the client is gone, or was sent away."""
        if exc is not None:
            self._desk.counts.failed("gone")
        self._leave()

    def abort(self) -> None:
        """End at once, whatever has not been sent yet."""
        transport = self._transport
        self._leave()
        if transport is not None:
            transport.abort()

    def _leave(self) -> None:
        self._transport = None
        self._framer = Framer(0)
        self._account(0)
        self._desk.dismiss(self)

    def _account(self, waiting_bytes: int) -> None:
        self._desk.waiting_bytes += waiting_bytes - self._waiting_bytes
        self._waiting_bytes = waiting_bytes

    def renew(self) -> None:
        """Let the deadline begin anew."""
        self.since = self._desk.loop.time()
        if self in self._desk.connections:
            self._desk.connections.move_to_end(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  # asyncio's signature
        """Where to read into: one buffer for all, emptied before the next one reads."""
        return self._desk.receive_buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what has come in."""
        self._framer.feed(bytes(self._desk.receive_buffer[:nbytes]))
        if not (self._turn_due or self.busy or self._blocked):
            self._turn()

    def eof_received(self) -> bool:
        """The client writes no more; it may still read, so what it asked is answered first."""
        self._ended = True
        return self.busy or self._turn_due or self._blocked

    def pause_writing(self) -> None:
        """The client does not read: it gets no further answers until it does."""
        self._blocked = True

    def resume_writing(self) -> None:
        """The client reads again."""
        self._blocked = False
        if not self.busy:
            self._take_turn_later()

    def _turn(self) -> None:
        """Answer one request, if one is complete; then let others have their turn."""
        self._turn_due = False
        transport = self._transport
        if transport is None or self.busy or self._blocked:
            return
        started = time.perf_counter()
        try:
            document = self._framer.take()
        except RequestError as error:
            self._refuse(str(error), "unreadable")
            return
        if document is None:
            self._wait_for_more(transport)
            return
        if self._waiting_bytes:
            self._account(self._framer.pending)
        if len(document) > LARGE_BYTES:
            self._answer_aside(document, transport, started)
        else:
            self._reply(self._respond(document), started)

    def _wait_for_more(self, transport: asyncio.Transport) -> None:
        self._account(self._framer.pending)
        if self._ended:
            transport.close()
        elif self._desk.waiting_bytes > self._desk.limits.most_waiting_bytes:
            self._refuse("busy: too many bytes of requests are waiting", "too_large")
        else:
            transport.resume_reading()

    def _respond(self, document: bytes) -> Answer:
        try:
            return self._desk.respond(document)
        except Exception:  # noqa: BLE001  # the border of a connection: it costs one answer
            _log.exception("no answer to a request of %d bytes", len(document))
            return Answer(b"", 0, "internal")

    def _answer_aside(self, document: bytes, transport: asyncio.Transport, started: float) -> None:
        transport.pause_reading()
        self._account(self._framer.pending + len(document))
        self.busy = True
        future = self._desk.loop.run_in_executor(self._desk.executor, self._respond, document)

        def done(answered: asyncio.Future[Answer]) -> None:
            self.busy = False
            if not answered.cancelled() and self._transport is not None:
                self._reply(answered.result(), started)

        future.add_done_callback(done)

    def _reply(self, answer: Answer, started: float) -> None:
        self._desk.counts.answered(answer.rows, time.perf_counter() - started, answer.problem)
        transport = self._transport
        if transport is None:
            return
        if not answer.body:
            self.abort()
            return
        transport.write(answer.body)
        self.renew()
        if self._framer.pending or self._ended:
            transport.pause_reading()
            self._take_turn_later()
        else:
            transport.resume_reading()

    def _take_turn_later(self) -> None:
        if not self._turn_due:
            self._turn_due = True
            self._desk.loop.call_soon(self._turn)

    def _refuse(self, message: str, kind: str) -> None:
        """Say why, and end: where the next request would begin cannot be known."""
        self._desk.counts.failed(kind)
        transport = self._transport
        self._framer = Framer(0)
        self._account(0)
        if transport is not None:
            transport.write(encode_refusal(message))
            transport.close()
