"""A run in a process of its own, with bounds on its memory and its time."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from threading import Event, Thread
from typing import Final, NamedTuple

import msgspec

from estimator.settings import PREFIX
from server.training.child import Order, Told
from server.training.run import Report
from stream.analysis.training import Fraction

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 0.1


class Outcome(NamedTuple):
    """How a run ended: with a report, or with an HTTP status and what is wrong."""

    report: Report | None = None
    status: int = 200
    error: str = ""


Runner = Callable[[Path, Fraction, Event], Outcome]
"""Learns the request in a folder into a zip beside it; ends early when the event is set."""


class ProcessRunner:
    """Runs `server.training.child`, no longer than ``seconds`` and with ``memory_mib`` at most."""

    def __init__(self, experts: tuple[str, ...], memory_mib: int, seconds: float) -> None:
        self._order = Order(list(experts), memory_mib)
        self._seconds = seconds

    def __call__(self, folder: Path, progress: Fraction, stop: Event) -> Outcome:
        """Learn the request in the folder; how that ended."""
        late = Event()
        with subprocess.Popen(  # noqa: S603 - our own program, and a folder that we have named
            [sys.executable, "-P", "-m", "server.training.child", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_environment(),
            start_new_session=True,  # an interrupt at the terminal is ours to handle
        ) as process:
            Thread(target=self._watch, args=(process, stop, late), daemon=True).start()
            assert process.stdin is not None  # noqa: S101 (it is a pipe)
            assert process.stdout is not None  # noqa: S101
            try:
                # It stays open: a child whose standard input ends has been left alone, and ends.
                process.stdin.write(msgspec.json.encode(self._order) + b"\n")
                process.stdin.flush()
                last = last_word(process.stdout, progress)
            except BrokenPipeError:
                last = None
            finally:
                process.kill()
        return last or self._without_a_word(process.returncode, stop, late)

    def _watch(self, process: subprocess.Popen[bytes], stop: Event, late: Event) -> None:
        """Kill what has run for too long, or is not wanted any more."""
        end = time.monotonic() + self._seconds
        while process.poll() is None:
            if stop.wait(_LOOK_SECONDS):
                process.kill()
                return
            if time.monotonic() > end:
                late.set()
                process.kill()
                return

    def _without_a_word(self, status: int, stop: Event, late: Event) -> Outcome:
        if stop.is_set():
            return Outcome(None, 503, "the run was stopped before its end")
        if late.is_set():
            return Outcome(
                None, 413, f"prom_response takes more than {self._seconds:g} s: post less of it"
            )
        _log.error("a training run ended with status %d and without a word", status)
        return Outcome(None, 500, "the run has failed; the server's log says how")


def last_word(lines: Iterable[bytes], progress: Fraction) -> Outcome | None:
    """Pass on how much is done, until the end is said; None if it never was."""
    for line in lines:
        told = msgspec.json.decode(line, type=Told)
        if told.done is not None:
            progress(told.done)
        elif told.error is not None:
            return Outcome(None, told.status, told.error)
        else:
            return Outcome(told.report)
    return None


def _environment() -> dict[str, str]:
    """Ours without the settings, secrets among them, and with one thread of linear algebra."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return {"OPENBLAS_NUM_THREADS": "1", **kept}
