"""New models, looked for in the background so that no client waits."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from estimator.errors import WattstreamError
from estimator.kepler_socket.counts import Counts

_log = logging.getLogger(__name__)

JITTER = 0.1
"""Intervals vary by that fraction: ten thousand estimators do not all ask at once."""


class Refresher:
    """Calls ``refresh`` in a thread of its own: at start, every interval, and when asked to."""

    def __init__(
        self,
        refresh: Callable[[], object],
        interval_seconds: float,
        counts: Counts,
        rng: random.Random | None = None,
    ) -> None:
        self._refresh = refresh
        self._interval = interval_seconds
        self._counts = counts
        self._rng = rng or random.Random()  # noqa: S311  # spreads load, guards nothing
        self._wake, self._stopping = threading.Event(), False
        self._complaint = ""
        self.first_done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="refresher", daemon=True)

    def start(self) -> None:
        """Begin; the first refresh is under way when this returns."""
        self._thread.start()

    def refresh_now(self) -> None:
        """Refresh soon, without waiting for it."""
        self._wake.set()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """End the thread, after the refresh under way if it takes no longer than that."""
        self._stopping = True
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            self._refresh_once()
            self.first_done.set()
            self._wake.wait(self._interval * self._rng.uniform(1 - JITTER, 1 + JITTER))

    def _refresh_once(self) -> None:
        self._counts.refreshes += 1
        try:
            self._refresh()
        except WattstreamError as error:
            self._failed(str(error), exc_info=False)
        except Exception as error:  # noqa: BLE001  # the border of this thread: models stay as they are
            self._failed(f"{type(error).__name__}: {error}", exc_info=True)
        else:
            self._complaint = ""

    def _failed(self, complaint: str, exc_info: bool) -> None:
        self._counts.refresh_failures += 1
        if complaint != self._complaint:
            self._complaint = complaint
            _log.warning("models stay as they are: %s", complaint, exc_info=exc_info)
