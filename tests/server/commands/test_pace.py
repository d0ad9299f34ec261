from __future__ import annotations

import io
import logging
import sys

import pytest

from server.commands import pace
from server.commands.pace import Pace, shown
from tests.stream.builders import ManualClock


def test_rate_and_time_left_are_of_the_recent_past() -> None:
    clock = ManualClock(0.0)
    found = Pace(clock)
    assert found.rate is None
    assert found.words(0, 100) == "0 %, 0 of 100 records"
    done = 0
    for _ in range(60):  # a minute at 10 a second, then one at 100
        found.update(done)
        clock.now, done = clock.now + 1, done + 10
    assert found.rate == pytest.approx(10)
    for _ in range(60):
        found.update(done)
        clock.now, done = clock.now + 1, done + 100
    found.update(done)
    assert found.rate == pytest.approx(100)
    assert found.left_seconds(done, done + 9000) == pytest.approx(90)
    assert found.words(6600, 15600) == "42 %, 6600 of 15600 records, 100 a second, 0:01:30 left"


def test_what_comes_quickly_needs_no_memory() -> None:
    clock = ManualClock(0.0)
    found = Pace(clock)
    for done in range(10_000):
        found.update(done)
        clock.now += 0.01
    assert found.rate == pytest.approx(100, rel=0.01)
    assert len(found._seen) < 100


def test_nothing_to_do_is_all_done() -> None:
    assert Pace().words(0, 0) == "100 %, 0 of 0 records"


def test_what_stands_still_has_no_time_left() -> None:
    clock = ManualClock(0.0)
    found = Pace(clock)
    for _ in range(3):
        found.update(5)
        clock.now += 1
    assert found.left_seconds(5, 10) is None


def test_without_a_terminal_there_is_a_line_now_and_then(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock(0.0)
    show = pace._lines("replay", clock)
    with caplog.at_level(logging.INFO):
        for second in range(25):
            clock.now = second
            show(second * 10, 500)
    assert caplog.messages == [
        "replay: 20 %, 100 of 500 records, 10 a second, 0:00:40 left",
        "replay: 40 %, 200 of 500 records, 10 a second, 0:00:30 left",
    ]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, clock = Terminal(), ManualClock(0.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(pace, "Pace", lambda unit: Pace(clock, unit))
    with shown("replay into x") as show:
        show(0, 400)
        clock.now += 2
        show(100, 400)
    said = terminal.getvalue()
    assert "replay into x" in said
    assert "25 %, 100 of 400 records, 50 a second, 0:00:06 left" in said


def test_into_a_pipe_there_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("replay") as show:
        show(1, 4)
    assert capsys.readouterr() == ("", "")


def test_what_is_counted_may_be_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", terminal)
    with shown("asking", "seconds of metrics") as show:
        show(5, 20)
    assert "25 %, 5 of 20 seconds of metrics" in terminal.getvalue()
