"""Runs sources side by side and appends what they say to the log."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Self

from estimator.errors import WattstreamError
from stream.collecting.outbox import Appender
from stream.collecting.source_runner import SourceRunner, SourceStatus
from stream.sources.protocol import Source

_log = logging.getLogger(__name__)

LAST_ANSWER_SECONDS: Final = 3.0
"""At the end, so long is waited for a source that is just being asked."""


class Collector:
    """Each source in two threads of its own: none waits for another, and none for the log.

    Usage goes to ``wattstream.usage`` and power to ``wattstream.power`` (which must exist), keyed
    by node. A source that is unavailable is asked again after 1 s, doubling to 60 s, and said so
    once; any other ``WattstreamError`` stops that source and is kept. While the log is away, the
    latest ``buffer_records`` records of each source are kept and the older ones dropped and
    counted, though never one that the log may already have; a source without an interval waits
    instead, and loses nothing. With a ``name`` records say which collector they are from.

    As a context manager it starts on entry; on exit it stops and closes the sources in reverse.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        log: Appender,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        buffer_records: int = 10_000,
        seed: int = 0,
        name: str = "",
    ) -> None:
        self._runners = [
            SourceRunner(
                source,
                log,
                clock=clock,
                monotonic=monotonic,
                rng=random.Random(f"{seed} {number}"),  # noqa: S311 - jitter, no secret
                buffer_records=buffer_records,
                collector=name,
            )
            for number, source in enumerate(sources)
        ]
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    @property
    def status(self) -> list[SourceStatus]:
        """How each source does now, in the order given."""
        return [runner.status for runner in self._runners]

    @property
    def finished(self) -> bool:
        """Whether every source has said all it had to say, or was given up."""
        return all(runner.status.finished for runner in self._runners)

    @property
    def failure(self) -> WattstreamError | None:
        """The error of the first source, in the order given, that was given up."""
        return next((runner.error for runner in self._runners if runner.error is not None), None)

    def start(self) -> None:
        """Begin to ask the sources; once only."""
        if self._threads:
            return
        for runner in self._runners:
            name = runner.source.name
            ask = threading.Thread(target=self._ask, args=(runner,), name=name, daemon=True)
            send = threading.Thread(
                target=self._send, args=(runner, ask), name=f"{name} to the log", daemon=True
            )
            self._threads += [ask, send]
        for thread in self._threads:
            thread.start()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until every source has finished or so many seconds have passed; say which."""
        deadline = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return self.finished

    def stop(self, timeout: float = 15.0) -> None:
        """Ask no more, offer what waits to the log once more, and wait for the threads to end.

        What is still on its way when the time is over is given up, and counted.
        """
        self._stopping.set()
        for runner in self._runners:
            runner.wake()
        self.join(timeout)
        for runner in self._runners:
            runner.give_up()

    def close(self) -> None:
        """Stop, and close the sources in reverse order."""
        self.stop()
        for runner in reversed(self._runners):
            try:
                runner.source.close()
            except Exception:  # noqa: BLE001 - the other sources are still to be closed
                _log.exception("%s does not close", runner.source.name)

    def _ask(self, runner: SourceRunner) -> None:
        self._repeat(runner.ask, runner.may_ask)

    def _send(self, runner: SourceRunner, asking: threading.Thread) -> None:
        self._repeat(runner.send, runner.may_send)
        asking.join(LAST_ANSWER_SECONDS)
        runner.drain()

    def _repeat(self, step: Callable[[], float | None], wake: threading.Event) -> None:
        while not self._stopping.is_set():
            delay = step()
            if delay is None:
                return
            wake.wait(None if math.isinf(delay) else delay)
            wake.clear()  # before the next step, which thus sees whatever set it

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
