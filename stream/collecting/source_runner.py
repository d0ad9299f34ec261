"""Asks one source on time, and has what it says sent to the log."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from threading import Event

import msgspec

from estimator.errors import SourceUnavailableError, WattstreamError
from stream.collecting.backoff import Backoff
from stream.collecting.outbox import Appender, Outbox
from stream.collecting.sender import Sender
from stream.sources.protocol import Record, Source

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
    """Records lost because the log was away for too long: it was never asked to take them."""
    buffered: int = 0
    """Records that wait for the log."""
    refused: int = 0
    """Records that the log will never take."""
    unsure: int = 0
    """At the end: records that the log was sent and has not acknowledged; it may have them."""


class SourceRunner:
    """Runs one source by two kinds of steps, each kind in one thread; who calls does the waiting.

    ``ask`` and ``send`` do what is due and return the seconds until they should be called again:
    infinite if that depends on the other (``may_ask`` or ``may_send`` is set then when it is
    time), None when all is done. So a log that does not answer never keeps a source waiting.

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
        collector: str = "",
    ) -> None:
        self.source = source
        self.error: WattstreamError | None = None
        """Why the source was given up."""
        self.may_ask = Event()
        self.may_send = Event()
        self._clock = clock
        self._monotonic = monotonic
        who = f"{collector} {source.name}" if collector else ""
        self._outbox = Outbox(log, capacity=buffer_records, collector=who)
        self._sender = Sender(source.name, self._outbox, monotonic=monotonic, rng=rng)
        self._backoff = Backoff(rng)
        self._poll_at = monotonic()
        self._ended = False
        self._told: set[str] = set()
        self._told_of_drops = False
        # Written by ``ask`` alone, and replaced at once, so that readers need no lock.
        self._asked = SourceStatus(source.name, since=clock())
        self._finished = False

    @property
    def status(self) -> SourceStatus:
        """How the source does now; for any thread."""
        counts = self._outbox.counts
        return msgspec.structs.replace(
            self._asked,
            records=counts.appended,
            dropped=counts.dropped,
            buffered=counts.buffered,
            refused=counts.refused,
            unsure=counts.unsure,
            finished=self._finished,
        )

    def ask(self) -> float | None:
        """Ask the source if it is time to."""
        if not self._ended and self._monotonic() >= self._poll_at and not self._must_wait():
            self._poll()
        if self._ended:
            return None
        return math.inf if self._must_wait() else max(0.0, self._poll_at - self._monotonic())

    def send(self) -> float | None:
        """Send the log what waits, if it is time to."""
        ended = self._ended  # asked first: nothing is put any more once it is so
        delay = self._sender.step()
        if self._outbox:
            return delay
        self.may_ask.set()
        self._finished = ended
        return None if self._finished else math.inf

    def drain(self) -> None:
        """Offer the log what waits a last time, give up the rest; once, at the end.

        Whatever the source says from then on is dropped, and counted.
        """
        self._sender.drain()

    def give_up(self) -> None:
        """Give up what waits without another offer, also while one is being made."""
        self._sender.give_up()

    def wake(self) -> None:
        """End both waits."""
        self.may_ask.set()
        self.may_send.set()

    def _must_wait(self) -> bool:
        """A source that can wait does, rather than have records dropped."""
        return self._can_wait() and len(self._outbox) > 0

    def _can_wait(self) -> bool:
        """Whether asking later misses nothing: so it is while a simulation catches up, say."""
        return self.source.interval_seconds is None

    def _poll(self) -> None:
        asked_at = self._monotonic()
        try:
            records = self.source.poll()
            if records is None:
                self._ended = True
            else:
                self._put(records)
        except SourceUnavailableError as error:
            self._retry_later(error)
        except WattstreamError as error:
            self._stop_asking(error)
        except Exception as error:  # noqa: BLE001 - a border: one source's bug stops no other
            self._retry_later(error)
        else:
            self._recovered(asked_at)
        self.may_send.set()

    def _put(self, records: list[Record]) -> None:
        dropped = self._outbox.put(records, drop=not self._can_wait())
        if dropped and not self._told_of_drops:
            _log.warning(
                "%s: too many records wait for the log, the oldest are dropped", self.source.name
            )
        self._told_of_drops = dropped > 0

    def _recovered(self, asked_at: float) -> None:
        interval = self.source.interval_seconds or 0.0
        if not self._asked.up:
            if self._asked.last_error is not None:
                _log.info("%s is back", self.source.name)
            self._note(up=True, since=self._clock())
            self._poll_at = asked_at
            self._backoff.reset()
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
        self._poll_at = self._monotonic() + self._backoff.next_delay()
        self._down(text)

    def _stop_asking(self, error: WattstreamError) -> None:
        _log.error("%s is given up: %s", self.source.name, error)
        self.error = error
        self._ended = True
        self._down(str(error), failed=True)

    def _down(self, text: str, *, failed: bool = False) -> None:
        since = self._clock() if self._asked.up else self._asked.since
        errors = self._asked.errors + 1
        self._note(up=False, since=since, errors=errors, last_error=text, failed=failed)

    def _note(self, **changes: object) -> None:
        self._asked = msgspec.structs.replace(self._asked, **changes)
