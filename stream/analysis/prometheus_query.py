"""A stretch of time out of Prometheus: every series of Kepler's, in as many parts as it takes."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from estimator.errors import MisuseError, WattstreamError
from stream.analysis.prometheus_api import Prometheus, Series, TooMuchError
from stream.replaying.when import format_time, parse_time
from stream.sources.kepler_exposition import bare_name
from stream.sources.kepler_mapping import NODE_LABELS, SERIES

CHUNK_SECONDS: Final = 3600.0
INTERVAL_SECONDS: Final = 300.0
"""As much as kepler-model-server asks for where nothing is said."""

Progress = Callable[[int, int], None]


class Asked(NamedTuple):
    """What is asked for: series of names that begin with ``prefix``, from [start, end) (Unix ms).

    With ``step_seconds`` 0 the points as they were scraped. One query is of ``chunk_seconds`` at
    the most. Of the names those that something here reads are taken, and ``more``, or with
    ``everything`` all.
    """

    start: int
    end: int
    step_seconds: float = 0.0
    chunk_seconds: float = CHUNK_SECONDS
    prefix: str = "kepler_"
    more: tuple[str, ...] = ()
    everything: bool = False


class Taken(NamedTuple):
    """What was written: series by name, how many points they have, how many queries it took.

    ``nameless`` counts the series that no label names a node of.
    """

    series: dict[str, int]
    points: int
    nameless: int
    queries: int


def asked_span(start: str, end: str, interval_seconds: float, now: float) -> tuple[int, int]:
    """From when to when (Unix ms): what is not said follows from the interval, or is now."""
    last = parse_time(end or "now", now)
    first = parse_time(start, now) if start else last - round(interval_seconds * 1000)
    if first >= last:
        raise MisuseError(
            f"--start-time is {start or '-'} ({format_time(first)}), "
            f"which is not before --end-time, {end or 'now'} ({format_time(last)})"
        )
    return first, last


def take(
    prometheus: Prometheus,
    asked: Asked,
    path: Path,
    progress: Progress = lambda _done, _total: None,
    stop: threading.Event | None = None,
) -> Taken | None:
    """Write all that is asked for into the file, which is there whole or not at all.

    Its form is ``{name: [{"metric": labels, "values": [[seconds, "value"], ...]}]}``,
    kepler-model-server's. None if it was stopped. ``WattstreamError`` where there is nothing.
    """
    names = _names(prometheus, asked)
    part = path.with_name(f"{path.name}.part")
    run = _Run(prometheus, asked, len(names), progress, stop or threading.Event())
    try:
        with part.open("wb") as file:
            written = 0
            for name in names:
                series = run.series_of(name)
                if series is None:
                    return None
                if series:
                    file.write(b"{" if not written else b",\n")
                    file.write(msgspec.json.encode(name) + b": " + msgspec.json.encode(series))
                    written += 1
            if not written:
                raise WattstreamError(_nothing(prometheus, asked))
            file.write(b"}\n")
        part.replace(path)
    except OSError as error:
        raise MisuseError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return Taken(run.counts, run.points, run.nameless, run.queries)


def _names(prometheus: Prometheus, asked: Asked) -> list[str]:
    pattern = f"{re.escape(asked.prefix)}.+"
    more = [re.escape(name) for name in asked.more]
    pattern = "|".join([pattern, *more]).replace("\\", "\\\\")
    there = prometheus.names(pattern, asked.start, asked.end)
    used = [name for name in there if _is_used(name, asked)]
    missing = set(asked.more) - set(there)
    if missing:
        raise WattstreamError(f"{prometheus.shown} has no metric {min(missing)!r} {_when(asked)}")
    if used:
        return used
    if there:
        raise WattstreamError(
            f"{prometheus.shown} has {len(there)} metrics that begin with {asked.prefix!r} "
            f"{_when(asked)}, but none that is learned from; --all takes them, too"
        )
    raise WattstreamError(_nothing(prometheus, asked))


def _is_used(name: str, asked: Asked) -> bool:
    return asked.everything or name in asked.more or bare_name(name) in SERIES


def _nothing(prometheus: Prometheus, asked: Asked) -> str:
    """Why there is nothing: never, or not at that time."""
    ever = prometheus.names(f"{re.escape(asked.prefix)}.+".replace("\\", "\\\\"))
    what = f"{prometheus.shown} has no metric that begins with {asked.prefix!r}"
    if not ever:
        return f"{what}, at any time"
    return f"{what} {_when(asked)}; at other times it has {len(ever)}, such as {ever[0]}"


def _when(asked: Asked) -> str:
    return f"from {format_time(asked.start)} to {format_time(asked.end)}"


class _Run:
    """One query in parts: how long the parts may be is learned from what is refused."""

    def __init__(
        self,
        prometheus: Prometheus,
        asked: Asked,
        names: int,
        progress: Progress,
        stop: threading.Event,
    ) -> None:
        self._prometheus, self._asked = prometheus, asked
        self._progress, self._stop = progress, stop
        self._chunk_ms = self._whole_steps(round(asked.chunk_seconds * 1000))
        self._span = asked.end - asked.start
        self._done, self._total = 0, names * self._span
        self.counts: dict[str, int] = {}
        self.points = 0
        self.nameless = 0
        self.queries = 0

    @property
    def _least_ms(self) -> int:
        """One step, or one second: what cannot be asked for in parts."""
        return round(self._asked.step_seconds * 1000) or 1000

    def _whole_steps(self, milliseconds: int) -> int:
        return max(1, milliseconds // self._least_ms) * self._least_ms

    def series_of(self, name: str) -> list[Series] | None:
        """The name's series, each once, its points in order of time; None if stopped."""
        found: dict[tuple[tuple[str, str], ...], Series] = {}
        progress = self._done
        for upto, part in self._parts(name):
            if part is None:
                return None
            for series in part:
                _extend(found, series, self._asked.start)
            self._done = progress + upto - self._asked.start
            self._progress(self._done // 1000, self._total // 1000)
        self._done = progress + self._span
        kept = [series for series in found.values() if series.values]
        if kept:
            self.counts[name] = len(kept)
        self.points += sum(len(series.values) for series in kept)
        self.nameless += sum(
            not any(series.metric.get(label) for label in NODE_LABELS) for series in kept
        )
        return kept

    def _parts(self, name: str) -> Iterator[tuple[int, list[Series] | None]]:
        """What came, each time with how far in time it reaches."""
        at, end = self._asked.start, self._asked.end
        while at < end:
            if self._stop.is_set():
                yield at, None
                return
            upto = min(end, at + self._chunk_ms)
            try:
                self.queries += 1
                part = self._part(name, at, upto)
            except TooMuchError:
                if self._chunk_ms <= self._least_ms:
                    raise
                # As long as it was refused: what is shorter is not too long.
                self._chunk_ms = self._whole_steps((upto - at) // 2)
                continue
            yield upto, part
            at = upto

    def _part(self, name: str, at: int, upto: int) -> list[Series]:
        """The points in [at, upto)."""
        step = self._asked.step_seconds
        if not step:
            return self._prometheus.scraped(name, at - 1, upto - 1)
        return self._prometheus.stepped(name, at, upto - 1, step)


def _extend(found: dict[tuple[tuple[str, str], ...], Series], part: Series, start_ms: int) -> None:
    """Put the points from ``start_ms`` on behind those of the same series, each once.

    Prometheus before release 3 gives the last point before what was asked for, too.
    """
    known = found.setdefault(tuple(sorted(part.metric.items())), Series(part.metric, []))
    last = known.values[-1][0] if known.values else (start_ms - 1) / 1000
    known.values += [point for point in part.values if point[0] > last]
