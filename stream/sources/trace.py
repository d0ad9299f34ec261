"""A recorded trace in CSV, published as the records that would have made it."""

from __future__ import annotations

import bisect
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.vocabulary import SOURCE_COMPONENTS
from stream.records import VERSION, PowerRecord, UsageRecord, Zone
from stream.sources.protocol import Record
from stream.sources.table import Table, read_table

Pace = Literal["fastest", "recorded"]

_ROWS_PER_POLL = 256
_LONGEST_STEP = 1.5
"""Times the median step; after a longer one there is a gap."""


class Progress(NamedTuple):
    """How far a trace has been published, in rows that can be used."""

    rows: int
    total: int


class TraceSource:
    """Publishes each row of a CSV trace as rates over its interval and the energy they took.

    ``timestamp`` is Unix seconds or ISO 8601. Columns ``<component>_power`` are watts: of
    ``rapl-sysfs`` for package, core, uncore, dram and psys, of ``acpi`` for platform. Usage is
    what ``features`` names, or every column that is a known feature. A row's interval is the step
    from the row before; for the first row, and after a gap of more than 1.5 times the median
    step, it is the median step. Energy is accumulated so that its mean power over the interval
    is exactly the row's watts.

    With ``pace`` "fastest" a poll returns the next rows at once; with "recorded" it returns those
    whose time has come, the first at the first poll. Time stamps are the recorded ones in both.
    Rows that cannot be used are set aside and counted (``set_aside``, by reason).

    Raises ``MisuseError`` from the constructor if nothing in the file can be used.
    """

    def __init__(
        self,
        path: Path,
        node: str = "trace",
        *,
        features: Sequence[str] | None = None,
        pace: Pace = "fastest",
        machine: MachineSpec = UNKNOWN_MACHINE,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._node = node
        self._pace = pace
        self._machine = machine
        self._monotonic = monotonic
        self._table = read_table(path, features)
        self._step_ms = _median_step(self._table.at)
        self._records = _Recorder(node, machine, self._table, self._step_ms)
        self._next = 0
        self._started: float | None = None

    @property
    def name(self) -> str:
        """What this source reads."""
        return f"trace {self._path}"

    @property
    def interval_seconds(self) -> float | None:
        """None for a trace in its fastest time, the median step for one in recorded time."""
        return None if self._pace == "fastest" else self._step_ms / 1000

    @property
    def progress(self) -> Progress:
        """How many rows have been published, and of how many."""
        return Progress(self._next, len(self._table.at))

    @property
    def polled(self) -> int:
        """How many rows have been published."""
        return self._next

    @property
    def points(self) -> int:
        """How many rows there are to publish."""
        return len(self._table.at)

    @property
    def skipped(self) -> int:
        """How many rows could not be used."""
        return self._table.set_aside.total()

    @property
    def features(self) -> tuple[str, ...]:
        """The columns published as usage."""
        return self._table.features

    @property
    def set_aside(self) -> dict[str, int]:
        """How many rows could not be used, by reason."""
        return dict(self._table.set_aside)

    def poll(self) -> list[Record] | None:
        """The next rows' records in event-time order; None after the last."""
        first, total = self._next, len(self._table.at)
        if first == total:
            return None
        self._next = min(first + _ROWS_PER_POLL, total, self._rows_due())
        return [record for row in range(first, self._next) for record in self._records.of(row)]

    def close(self) -> None:
        """Nothing is held: the file was read at once."""

    def _rows_due(self) -> int:
        """How many rows the recording had after as long as this replay has run."""
        if self._pace == "fastest":
            return len(self._table.at)
        now = self._monotonic()
        self._started = now if self._started is None else self._started
        elapsed_ms = round((now - self._started) * 1000)
        return bisect.bisect_right(self._table.at, self._table.at[0] + elapsed_ms)


class _Recorder:
    """Turns rows into records, in order, accumulating each column's energy."""

    def __init__(self, node: str, machine: MachineSpec, table: Table, step_ms: int) -> None:
        self._node = node
        self._machine = machine
        self._table = table
        self._step_ms = step_ms
        self._joules = [0.0] * len(table.components)
        rows_of = {component: row for row, component in enumerate(table.components)}
        self._zones = {
            source: rows
            for source, components in SOURCE_COMPONENTS.items()
            if source in ("rapl-sysfs", "acpi")
            and (rows := [rows_of[name] for name in components if name in rows_of])
        }

    def of(self, row: int) -> Iterator[Record]:
        """The records of a row: power where its interval starts, if need be, usage, and power."""
        at = self._table.at
        before = at[row - 1] if row else None
        start = at[row] - self._step_ms if before is None else before
        if before is not None and at[row] - before > _LONGEST_STEP * self._step_ms:
            start = at[row] - self._step_ms
            # Nobody knows the gap's energy. The counters go on, so that none seems to be stuck.
            self._accumulate(row, start - before)
        start = max(start, 0)
        if start != before:
            yield from self._power(start)
        if start == at[row]:
            return  # a first row at the epoch itself ends no interval
        self._accumulate(row, at[row] - start)
        yield UsageRecord(
            VERSION,
            self._node,
            at[row],
            "rate",
            (at[row] - start) / 1000,
            self._machine,
            dict(zip(self._table.features, self._table.usage[row], strict=True)),
        )
        yield from self._power(at[row])

    def _accumulate(self, row: int, milliseconds: int) -> None:
        watts = self._table.watts[row]
        seconds = milliseconds / 1000
        self._joules = [old + w * seconds for old, w in zip(self._joules, watts, strict=True)]

    def _power(self, at: int) -> Iterator[Record]:
        for source, rows in self._zones.items():
            zones = [Zone(self._table.components[i], "trace", self._joules[i]) for i in rows]
            yield PowerRecord(VERSION, self._node, at, source, zones)


def _median_step(at: Sequence[int]) -> int:
    """The usual step in ms; a trace of one row is taken to have been read each second."""
    steps = [after - before for before, after in itertools.pairwise(at)]
    return round(statistics.median(steps)) if steps else 1000
