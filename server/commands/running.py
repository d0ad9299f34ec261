"""What commands that run until they are stopped have in common."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from estimator.errors import WattstreamError

if TYPE_CHECKING:  # The estimator's command comes here too and must not load the learner.
    from server.monitoring.watching import Watcher
    from stream.learning.worker import Worker

_log = logging.getLogger(__name__)

INTERRUPTED: Final = 130
"""The exit status of what was to come to an end and was stopped before, as shells have it."""


def wait(stop: threading.Event) -> None:
    """Return when ``stop`` is set, by a signal or by another thread."""
    # With a timeout, for a wait without one is not woken by signals in every case.
    while not stop.wait(1.0):
        pass


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set, from now on: also while the parts are starting."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def learn_once(worker: Worker, stop: threading.Event) -> bool:
    """Learn what is in the log now of the partitions that are ours, and commit it.

    False if it was stopped before the end; what was learned until then is committed too.
    """
    while not worker.follow():
        if stop.is_set():
            return False
    ended = worker.run_to_end()
    if not worker.commit():
        raise WattstreamError("the checkpoint was not written")
    if not ended:
        _log.warning("interrupted before the end; what was learned is committed")
    return ended


@contextmanager
def learning(worker: Worker, watcher: Watcher, stop: threading.Event) -> Iterator[None]:
    """Run the learner in a thread of its own; at the end it commits what it has learned.

    Should it fail, the reason is kept in the watcher and ``stop`` is set: a program that
    does not learn any more must not look as if it did.
    """

    def run() -> None:
        try:
            worker.run()
        except WattstreamError as error:
            watcher.failure = str(error)
        except Exception as error:  # noqa: BLE001 - a border: the worker's loop
            _log.exception("the learner has failed")
            watcher.failure = f"{type(error).__name__}: {error}"
        finally:
            stop.set()

    thread = threading.Thread(target=run, name="learner")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
