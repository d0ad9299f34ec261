"""One client of the estimator's socket: its bytes in, its answers out."""

from __future__ import annotations

import asyncio
import logging
import select
import socket
import time
from typing import TYPE_CHECKING, Final

from estimator.errors import RequestError
from estimator.kepler_socket.answering import Answer
from estimator.kepler_socket.answers import encode_refusal
from estimator.kepler_socket.framing import Framer, TooLongError, is_one_object

if TYPE_CHECKING:
    from estimator.kepler_socket.desk import Desk

_log = logging.getLogger(__name__)

LARGE_BYTES: Final = 96 << 10
"""A request of more bytes (a thousand processes) is answered beside the loop."""

_READABLE: Final = select.EPOLLIN
_WRITABLE: Final = select.EPOLLOUT
_AT_ONCE: Final = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
"""Sockets are not switched to non-blocking: that would take a system call of its own."""


class Connection:
    """Answers one client's requests in their order; between two of them others have their turn."""

    __slots__ = (
        *("_desk", "_socket", "_framer", "_unsent", "_events", "_waiting_bytes"),
        *("_turn_due", "_ended", "_last", "busy", "number", "since"),
    )

    def __init__(self, desk: Desk, accepted: socket.socket) -> None:
        self._desk = desk
        self._socket: socket.socket | None = accepted
        self._framer: Framer | None = None
        self._unsent: memoryview | None = None
        self._events, self._waiting_bytes = 0, 0
        self._turn_due, self._ended, self._last = False, False, False
        self.busy = False
        self.number = accepted.fileno()
        self.since = desk.loop.time()

    def ready(self, events: int) -> None:
        """Go on: there is something to read, or room to write."""
        if self._unsent is not None:
            self._send_rest()
        elif not self._turn_due:
            self.receive()
        elif events & select.EPOLLHUP:
            self.abort()  # Nobody is there to read what it asked for.

    def receive(self) -> None:
        """Take what has come in, and answer it if it is a request."""
        if self._socket is None:
            return
        buffer = self._desk.receive_buffer
        try:
            count = self._socket.recv_into(buffer, 0, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            self._watch(_READABLE)
            return
        except OSError:
            self._gone()
            return
        if not count:
            # It writes no more; it may still read, so what it asked is answered first.
            self._ended = True
            self._turn()
            return
        chunk = bytes(buffer[:count])
        if self._framer is None:
            if is_one_object(chunk) and count <= self._desk.limits.most_bytes:
                self._answer(chunk, time.perf_counter())
                return
            self._framer = Framer(self._desk.limits.most_bytes)
        self._framer.feed(chunk)
        self._turn()

    def abort(self) -> None:
        """End at once, whatever has not been sent yet."""
        gone, self._socket = self._socket, None
        if gone is None:
            return
        self._framer, self._unsent = None, None
        self._account(0)
        self._desk.dismiss(self)
        gone.close()

    def renew(self) -> None:
        """Let the deadline begin anew."""
        self.since = self._desk.loop.time()
        if self._socket is not None:
            self._desk.connections.move_to_end(self.number)

    def _gone(self) -> None:
        self._desk.counts.failed("gone")
        self.abort()

    def _account(self, waiting_bytes: int) -> None:
        if waiting_bytes > LARGE_BYTES:
            self._desk.untidy = True
        self._desk.waiting_bytes += waiting_bytes - self._waiting_bytes
        self._waiting_bytes = waiting_bytes

    def _watch(self, events: int) -> None:
        if events != self._events and self._socket is not None:
            self._desk.watch(self.number, self._events, events)
            self._events = events

    def _turn(self) -> None:
        """Answer one request, if one is complete; then let others have their turn."""
        self._turn_due = False
        if self._socket is None:
            return
        started = time.perf_counter()
        try:
            document = None if self._framer is None else self._framer.take()
        except RequestError as error:
            self._refuse(
                str(error), "too_long" if isinstance(error, TooLongError) else "unreadable"
            )
            return
        if document is None:
            self._wait_for_more()
            return
        if self._waiting_bytes:
            self._account(self._pending)
        self._answer(document, started)

    @property
    def _pending(self) -> int:
        return 0 if self._framer is None else self._framer.pending

    def _wait_for_more(self) -> None:
        self._account(self._pending)
        if self._ended:
            self.abort()
        elif self._desk.waiting_bytes > self._desk.limits.most_waiting_bytes:
            self._refuse("busy: too many bytes of requests are waiting", "busy")
        else:
            self._watch(_READABLE)

    def _answer(self, document: bytes, started: float) -> None:
        if len(document) > LARGE_BYTES:
            self._answer_aside(document, started)
        else:
            self._reply(self._respond(document), started)

    def _respond(self, document: bytes) -> Answer:
        try:
            return self._desk.respond(document)
        except Exception:  # noqa: BLE001  # the border of a connection: it costs one answer
            _log.exception("no answer to a request of %d bytes", len(document))
            return Answer(b"", 0, "internal")

    def _answer_aside(self, document: bytes, started: float) -> None:
        self._watch(0)
        self._account(self._pending + len(document))
        self.busy = True
        self._desk.untidy = True
        future = self._desk.loop.run_in_executor(self._desk.executor, self._respond, document)

        def done(answered: asyncio.Future[Answer]) -> None:
            self.busy = False
            if not answered.cancelled() and self._socket is not None:
                self._account(self._pending)
                self._reply(answered.result(), started)

        future.add_done_callback(done)

    def _reply(self, answer: Answer, started: float) -> None:
        # First counted, then sent: who has an answer finds it among the numbers.
        self._desk.counts.answered(answer.rows, time.perf_counter() - started, answer.problem)
        self._send(answer.body)
        if not answer.body:
            self.abort()
        elif self._unsent is None:
            self._go_on()

    def _go_on(self) -> None:
        """An answer has been sent: on to the next request, when others have had their turn."""
        self.renew()
        if self._last or self._socket is None:
            self.abort()
        elif self._pending or self._ended:
            self._turn_due = True
            self._desk.loop.call_soon(self._turn)
        else:
            self._framer = None
            self._watch(_READABLE)

    def _send(self, body: bytes) -> None:
        """Write all at once, or what the client has room for and the rest when it reads."""
        if self._socket is None or not body:
            return
        try:
            sent = self._socket.send(body, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._gone()
            return
        if sent < len(body):
            # However long the answer took to make, its reader has a whole deadline to read it.
            self.renew()
            self._unsent = memoryview(body)[sent:]
            self._watch(_WRITABLE)

    def _send_rest(self) -> None:
        rest, self._unsent = self._unsent, None
        if rest is None or self._socket is None:
            return
        try:
            sent = self._socket.send(rest, _AT_ONCE)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            self._gone()
            return
        if sent < len(rest):
            self._unsent = rest[sent:]
        else:
            self._go_on()

    def _refuse(self, message: str, kind: str) -> None:
        """Say why, and end: where the next request would begin cannot be known."""
        self._desk.counts.failed(kind)
        self._framer, self._last = None, True
        self._account(0)
        self._send(encode_refusal(message))
        if self._unsent is None:
            self.abort()
