from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from estimator.errors import StoreError
from server import assembly
from server.commands.running import learning, stopped_by_signals, wait
from server.monitoring.watching import Watcher
from stream.learning.worker import Worker
from stream.log.memory import MemoryLog
from tests.server.commands.inside import Run


class Failing(Worker):
    """A learner that fails as told, at once."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self._intakes = {}
        self.last_commit = None
        self.waiting, self.fenced = "", 0

    def run(self) -> None:
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (StoreError("the disk is full"), "the disk is full"),
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (None, ""),
    ],
)
def test_when_the_learner_ends_all_ends_and_the_reason_is_kept(
    error: Exception | None, failure: str
) -> None:
    stop, worker = threading.Event(), Failing(error)
    watcher = Watcher(MemoryLog(), worker, None)
    with learning(worker, watcher, stop):
        assert stop.wait(10)
    assert watcher.failure == failure


def test_the_learner_is_told_to_stop_and_waited_for() -> None:
    stop, ended = threading.Event(), threading.Event()

    class Waiting(Failing):
        def run(self) -> None:
            stop.wait(10)
            ended.set()

    worker = Waiting(None)
    with learning(worker, Watcher(MemoryLog(), worker, None), stop):
        assert not stop.is_set()
    assert ended.is_set()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_sets_the_event_and_is_handled_as_before_again(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with stopped_by_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        wait(stop)
        assert stop.is_set()
    assert signal.getsignal(number) == before


def test_what_has_ended_already_is_not_waited_for() -> None:
    stop = threading.Event()
    stop.set()
    wait(stop)


def test_a_learner_that_fails_ends_its_command(
    wattstream: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        assembly, "make_worker", lambda *parts: Failing(StoreError("the disk is full"))
    )
    for words in (("learn",), ("up", "--source", "sim", "--listen", "127.0.0.1:0")):
        more = ("--socket", tmp_path / "s") if words[0] == "up" else ()
        found = wattstream(*words, *more, "--log-level", "error")
        assert found.status == 1
        assert found.complaint == "the learner has stopped: the disk is full"
