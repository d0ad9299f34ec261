"""Asks one source on time, and gets what it says into the log."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable

import msgspec

from estimator.errors import SourceUnavailableError, WattstreamError
from stream.backoff import Backoff
from stream.outbox import Appender, Outbox
from stream.sources.protocol import Source

_log = logging.getLogger(__name__)


class SourceStatus(msgspec.Struct, frozen=True):
    """How a source does. ``since``: Unix seconds of its last change between up and down."""

    name: str
    up: bool = False
    since: float = 0.0
    records: int = 0
    """Records that the log has taken."""
    errors: int = 0
    """Polls that failed."""
    last_error: str | None = None
    finished: bool = False
    """It will not be asked any more: nothing more will come, or it cannot go on (``failed``)."""
    failed: bool = False
    dropped: int = 0
    """Records lost because the log was away for too long."""
    buffered: int = 0
    """Records that wait for the log."""


class SourceRunner:
    """Runs one source step by step; whoever calls ``step`` does the waiting.

    A source with an interval is asked on a fixed grid, and while the log is away its latest
    ``buffer_records`` records are kept. A source without one is asked as soon as the log has
    taken all it said before.
    """

    def __init__(
        self,
        source: Source,
        log: Appender,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float],
        rng: random.Random,
        buffer_records: int = 10_000,
    ) -> None:
        self.source = source
        self.error: WattstreamError | None = None
        """Why the source was given up."""
        self._clock = clock
        self._monotonic = monotonic
        self._buffer_records = buffer_records
        self._outbox = Outbox(log)
        self._poll_backoff = Backoff(rng)
        self._log_backoff = Backoff(rng)
        self._poll_at = monotonic()
        self._flush_at = self._poll_at
        self._ended = False
        self._told: set[str] = set()
        self._log_away = False
        self.status = SourceStatus(source.name, since=clock())

    def step(self) -> float | None:
        """Do what is due; return the seconds until the next step, None when all is done."""
        if self._outbox and self._monotonic() >= self._flush_at:
            self._flush()
        if not self._ended and self._monotonic() >= self._poll_at and not self._must_wait():
            self._poll()
        if self._ended and not self._outbox:
            self._note(finished=True)
            return None
        due = [] if self._ended or self._must_wait() else [self._poll_at]
        if self._outbox:
            due.append(self._flush_at)
        return max(0.0, min(due) - self._monotonic())

    def drain(self) -> None:
        """Nothing will be asked any more: offer the log what waits a last time, give up the rest.

        It is called once, at the end.
        """
        if self._outbox:
            self._flush()
            lost = self._outbox.trim(0)
            if lost:
                _log.warning("%s: %d records lost, the log is away", self.source.name, lost)
        self._note()

    def _must_wait(self) -> bool:
        """A source that can wait does, rather than have records dropped."""
        return self.source.interval_seconds is None and len(self._outbox) > 0

    def _poll(self) -> None:
        asked_at = self._monotonic()
        try:
            records = self.source.poll()
            if records is None:
                self._ended = True
            else:
                self._outbox.put(records)
        except SourceUnavailableError as error:
            self._retry_later(error)
        except WattstreamError as error:
            self._give_up(error)
        except Exception as error:  # noqa: BLE001 - a border: one source's bug stops no other
            self._retry_later(error)
        else:
            self._recovered(asked_at)
            if self._monotonic() >= self._flush_at:
                self._flush()
            if self.source.interval_seconds is not None:
                self._outbox.trim(self._buffer_records)
            self._note()

    def _recovered(self, asked_at: float) -> None:
        interval = self.source.interval_seconds or 0.0
        if not self.status.up:
            if self.status.last_error is not None:
                _log.info("%s is back", self.source.name)
            self._note(up=True, since=self._clock())
            self._poll_at = asked_at
            self._poll_backoff.reset()
            self._told.clear()
        # The grid stays where it is, whatever a poll took; slots that have passed are skipped.
        late = self._monotonic() - self._poll_at
        self._poll_at += interval * max(1, math.ceil(late / interval)) if interval else late

    def _retry_later(self, error: Exception) -> None:
        expected = isinstance(error, SourceUnavailableError)
        text = str(error) if expected else repr(error)
        if not expected and text not in self._told:
            _log.error("%s failed and will be asked again", self.source.name, exc_info=error)
        elif expected and not self._told:
            _log.warning("%s is unavailable: %s", self.source.name, text)
        self._told.add(text)
        self._poll_at = self._monotonic() + self._poll_backoff.next_delay()
        self._down(text)

    def _give_up(self, error: WattstreamError) -> None:
        _log.error("%s is given up: %s", self.source.name, error)
        self.error = error
        self._ended = True
        self._down(str(error), failed=True)

    def _down(self, text: str, *, failed: bool = False) -> None:
        since = self._clock() if self.status.up else self.status.since
        errors = self.status.errors + 1
        self._note(up=False, since=since, errors=errors, last_error=text, failed=failed)

    def _flush(self) -> None:
        try:
            self._outbox.flush()
        except Exception as error:  # noqa: BLE001 - a border: whatever ails the log, records wait
            if not self._log_away:
                self._log_away = True
                known = isinstance(error, WattstreamError)
                _log.warning(
                    "%s: the log takes no records: %s",
                    self.source.name,
                    error if known else repr(error),
                    exc_info=None if known else error,
                )
            self._flush_at = self._monotonic() + self._log_backoff.next_delay()
        else:
            if self._log_away:
                self._log_away = False
                _log.info("%s: the log takes records again", self.source.name)
            self._log_backoff.reset()
        self._note()

    def _note(self, **changes: object) -> None:
        """Replace the status at once, so that readers need no lock."""
        self.status = msgspec.structs.replace(
            self.status,
            records=self._outbox.appended,
            dropped=self._outbox.dropped,
            buffered=len(self._outbox),
            **changes,
        )
