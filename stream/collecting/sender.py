"""Gets what one source has said into the log, however often that takes."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from typing import Final

from estimator.errors import WattstreamError
from stream.collecting.backoff import Backoff
from stream.collecting.outbox import Outbox

_log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS: Final = 5.0
"""Between two attempts. Buffers fill meanwhile, and to ask a log that is away costs little."""


class Sender:
    """Flushes an outbox step by step; whoever calls ``step`` does the waiting.

    While the log fails it is tried again after 1 s, doubling to 5 s, and that is said once.
    """

    def __init__(
        self, name: str, outbox: Outbox, *, monotonic: Callable[[], float], rng: random.Random
    ) -> None:
        self._name = name
        self._outbox = outbox
        self._monotonic = monotonic
        self._backoff = Backoff(rng, longest=LONGEST_WAIT_SECONDS)
        self._flush_at = monotonic()
        self._dropped_before: int | None = None
        """While the log is away: how many had been dropped when it went."""

    def step(self) -> float:
        """Flush if that is due; the seconds until the next step, infinite if nothing waits."""
        if self._outbox and self._monotonic() >= self._flush_at:
            self._flush()
        return max(0.0, self._flush_at - self._monotonic()) if self._outbox else math.inf

    def drain(self) -> None:
        """Offer the log what waits a last time, and give up the rest; once, at the end."""
        if self._outbox:
            self._flush()
        self.give_up()

    def give_up(self) -> None:
        """Say and count what the log did not take. Any thread may call this."""
        lost, unsure = self._outbox.close()
        if lost:
            _log.warning("%s: %d records lost, the log is away", self._name, lost)
        if unsure:
            _log.warning(
                "%s: %d records were sent and never acknowledged: the log may have them or not",
                self._name,
                unsure,
            )

    def _flush(self) -> None:
        try:
            self._outbox.flush()
        except Exception as error:  # noqa: BLE001 - a border: whatever ails the log, records wait
            self._failed(error)
        else:
            self._worked()

    def _failed(self, error: Exception) -> None:
        if self._dropped_before is None:
            self._dropped_before = self._outbox.counts.dropped
            known = isinstance(error, WattstreamError)
            _log.warning(
                "%s: the log takes no records: %s",
                self._name,
                error if known else repr(error),
                exc_info=None if known else error,
            )
        self._flush_at = self._monotonic() + self._backoff.next_delay()

    def _worked(self) -> None:
        if self._dropped_before is not None:
            dropped = self._outbox.counts.dropped - self._dropped_before
            self._dropped_before = None
            _log.info(
                "%s: the log takes records again%s",
                self._name,
                f", {dropped} were dropped meanwhile" if dropped else "",
            )
        self._backoff.reset()
