"""The parts' status, asked for at most so often, however many are looking."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

from starlette.concurrency import run_in_threadpool

from server.monitoring.status import Status, StatusProvider

logger = logging.getLogger(__name__)

KEPT_SECONDS: Final = 0.5


class LastStatus:
    """A provider's status, kept for a moment. Safe to share between threads.

    A provider that fails is logged once; its last status stays, with the failure as what is
    missing, until it works again.
    """

    def __init__(
        self,
        provider: StatusProvider,
        kept_seconds: float = KEPT_SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._provider = provider
        self._kept_seconds = kept_seconds
        self._clock = clock
        self._lock = Lock()
        self._asked_at: float | None = None
        self._last = Status()
        self._failure: str | None = None

    def status(self) -> Status:
        """The parts as they are now, or were a moment ago; may wait for the provider."""
        with self._lock:
            now = self._clock()
            if self._asked_at is None or now - self._asked_at >= self._kept_seconds:
                self._ask()
                self._asked_at = now
            if self._failure is None:
                return self._last
            return Status(
                sources=self._last.sources,
                learner=self._last.learner,
                missing=(f"the parts' status is not known: {self._failure}",),
            )

    async def status_soon(self) -> Status:
        """The same, for the event loop, which does not wait."""
        return await run_in_threadpool(self.status)

    def _ask(self) -> None:
        try:
            self._last = self._provider.status()
        except Exception as error:  # (the border to other parts)
            failure = f"{type(error).__name__}: {error}"
            if failure != self._failure:
                logger.exception("the parts' status cannot be read")
            self._failure = failure
        else:
            self._failure = None
