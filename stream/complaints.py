"""What goes wrong for long is said at once, and then from time to time, not each time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

EVERY_SECONDS: Final = 30.0


class Complaints:
    """Says that something fails when it begins, every 30 s while it lasts, and when it is over."""

    def __init__(self, log: logging.Logger, clock: Callable[[], float]) -> None:
        self._log, self._clock = log, clock
        self._said_at: float | None = None

    def say(self, what: str, error: Exception) -> None:
        """Warn that ``what`` is so because of ``error``, if it is time to."""
        now = self._clock()
        if self._said_at is None or now - self._said_at >= EVERY_SECONDS:
            self._log.warning("%s: %s", what, error)
            self._said_at = now

    def over(self, what: str) -> None:
        """Say that it works again, if it had not."""
        if self._said_at is not None:
            self._log.info("%s", what)
            self._said_at = None
