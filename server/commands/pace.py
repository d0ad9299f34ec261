"""How fast something long goes: a bar on a terminal, else a line in the log now and then."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

_log = logging.getLogger(__name__)

Show = Callable[[int, int], None]

_LINE_SECONDS: Final = 10.0
_RECENT_SECONDS: Final = 30.0
_FEWEST_SECONDS: Final = 0.5


class Pace:
    """The rate of the last half minute, and the time left at that rate.

    >>> seconds = iter([0.0, 10.0])
    >>> pace = Pace(lambda: next(seconds))
    >>> pace.update(0), pace.update(5_000), pace.rate, pace.left_seconds(5_000, 6_000)
    (None, None, 500.0, 2.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, unit: str = "records") -> None:
        self._clock, self._unit = clock, unit
        self._seen: deque[tuple[float, int]] = deque()

    def update(self, done: int) -> None:
        """Note that so much is done now."""
        now = self._clock()
        if len(self._seen) > 1 and now - self._seen[-2][0] < _FEWEST_SECONDS:
            self._seen.pop()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - _RECENT_SECONDS:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """How much a second; None as long as that cannot be known."""
        if len(self._seen) < 2:
            return None
        (since, before), (now, done) = self._seen[0], self._seen[-1]
        return (done - before) / (now - since) if now > since else None

    def left_seconds(self, done: int, total: int) -> float | None:
        """How long the rest takes; None as long as that cannot be known."""
        return (total - done) / self.rate if self.rate else None

    def words(self, done: int, total: int) -> str:
        """All of it in one line."""
        percent = 100 * done // total if total else 100
        text = f"{percent} %, {done} of {total} {self._unit}"
        rate, left = self.rate, self.left_seconds(done, total)
        if rate is None or left is None:
            return text
        return f"{text}, {rate:.0f} a second, {timedelta(seconds=round(left))} left"


@contextmanager
def shown(what: str, unit: str = "records") -> Iterator[Show]:
    """A function to be told how much of how much is done."""
    if not sys.stderr.isatty():
        yield _lines(what, unit=unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[pace]}"))
    pace = Pace(unit=unit)
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, pace="")

        def show(done: int, total: int) -> None:
            pace.update(done)
            bar.update(task, completed=done, total=total, pace=pace.words(done, total))

        yield show


def _lines(
    what: str, clock: Callable[[], float] = time.monotonic, *, unit: str = "records"
) -> Show:
    pace = Pace(clock, unit)
    said_at = clock()

    def show(done: int, total: int) -> None:
        nonlocal said_at
        pace.update(done)
        if clock() - said_at >= _LINE_SECONDS:
            said_at = clock()
            _log.info("%s: %s", what, pace.words(done, total))

    return show
