"""Reads the usable rows of a CSV trace, and says where and why the others are not."""

from __future__ import annotations

import csv
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, TextIO

import msgspec

from estimator.errors import MisuseError
from estimator.vocabulary import COMPONENTS, KNOWN_FEATURES

_log = logging.getLogger(__name__)

_TIMESTAMP = "timestamp"
_POWER = "_power"
_LATEST_SECONDS = 1e11
"""Beyond it (the year 5138) a number is no Unix time in seconds, but one in milliseconds."""
_EXAMPLES = 5
_LONGEST = 1e300
"""Amounts from here on would overflow once accumulated."""
_MOST_NAMES, _LONGEST_NAME = 50, 60
"""Of what columns are called in an error: what is no table may have anything in its first line."""


class Table(msgspec.Struct, frozen=True):
    """A trace's rows: ``at`` in Unix ms, strictly increasing; usage rates; watts."""

    features: tuple[str, ...]
    components: tuple[str, ...]
    at: list[int]
    usage: list[list[float]]
    watts: list[list[float]]
    set_aside: Counter[str]


class _Refusal(NamedTuple):
    """Why a row is set aside: the reason it is counted under, and what exactly is wrong."""

    reason: str
    what: str


def read_table(path: Path, features: Sequence[str] | None = None) -> Table:
    """Read a trace's rows; unusable ones are counted, the first of them logged as one warning.

    Raises ``MisuseError`` for a file that is none, is not text, lacks ``timestamp``, power or the
    named features, or has no row that can be used.
    """
    try:
        # Bytes that are no UTF-8 make their own cells unusable, not the whole file.
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            return _Reader(path, file, features).read()
    except OSError as error:
        raise MisuseError(f"{path} cannot be read: {error.strerror}") from error


class _Reader:
    def __init__(self, path: Path, file: TextIO, features: Sequence[str] | None) -> None:
        self._path = path
        self._rows = csv.reader(file, strict=True)
        self._header = self._read_header()
        self._timestamp = self._column(_TIMESTAMP)
        names = [f"{component}{_POWER}" for component in COMPONENTS]
        self._watts = [self._column(name) for name in names if name in self._header]
        if not self._watts:
            raise self._misuse(f"no power column ({', '.join(names)})")
        if features is None:
            features = [name for name in self._header if name in KNOWN_FEATURES]
        if not features:
            raise self._misuse("no known feature to use, name some,")
        self._features = tuple(dict.fromkeys(features))
        self._usage = [self._column(name) for name in self._features]
        self._refused: Counter[str] = Counter()
        self._examples: list[str] = []

    def read(self) -> Table:
        at: list[int] = []
        usage: list[list[float]] = []
        watts: list[list[float]] = []
        wanted = [*self._usage, *self._watts]
        split, width, latest = len(self._usage), len(self._header), -1
        for row in self._each_row():
            time = _read_time(row[self._timestamp]) if len(row) == width else None
            amounts = None if time is None else _read_amounts(row, wanted)
            if time is None or amounts is None or time <= latest:
                self._refuse(self._explain(row, wanted, latest))
                continue
            latest = time
            at.append(time)
            usage.append(amounts[:split])
            watts.append(amounts[split:])
        self._report(len(at))
        components = tuple(self._header[column].removesuffix(_POWER) for column in self._watts)
        return Table(self._features, components, at, usage, watts, self._refused)

    def _each_row(self) -> Iterator[list[str]]:
        """The rows that are CSV at all, blank lines left out."""
        while True:
            try:
                row = next(self._rows)
            except StopIteration:
                return
            except csv.Error as error:
                self._refuse(_Refusal("not CSV", f"not CSV: {error}"))
                continue
            if row:
                yield row

    def _read_header(self) -> list[str]:
        try:
            header = [name.strip() for name in next(self._rows, [])]
        except csv.Error as error:
            raise MisuseError(f"{self._path}, line 1: {error}") from error
        if not header:
            raise MisuseError(f"{self._path}, line 1, column 1: the file is empty")
        for column, name in enumerate(header, 1):
            if not name.isprintable():
                raise MisuseError(f"{self._path}, line 1, column {column}: this is not text")
        return header

    def _column(self, name: str) -> int:
        if name not in self._header:
            raise self._misuse(f"no column {name!r}")
        if self._header.count(name) > 1:
            raise self._misuse(f"two columns {name!r}")
        return self._header.index(name)

    def _misuse(self, what: str) -> MisuseError:
        columns = ", ".join(name[:_LONGEST_NAME] for name in self._header[:_MOST_NAMES])
        if len(self._header) > _MOST_NAMES:
            columns += f" and {len(self._header) - _MOST_NAMES} more"
        return MisuseError(f"{self._path}, line 1: {what} among the columns {columns}")

    def _explain(self, row: list[str], wanted: list[int], latest: int) -> _Refusal:
        """Why the row cannot be used: its first fault from the left."""
        if len(row) != len(self._header):
            return _Refusal("ragged row", f"{len(row)} cells under {len(self._header)} columns")
        for column in sorted([self._timestamp, *wanted]):
            cell = row[column]
            reason = _explain_time(cell) if column == self._timestamp else _explain_amount(cell)
            if reason:
                place = f"column {column + 1} ({self._header[column]})"
                return _Refusal(reason, f"{place}: {reason} {cell[:40]!a}")
        time = _read_time(row[self._timestamp])
        reason = "duplicate time" if time == latest else "out of order"
        return _Refusal(reason, f"{reason}: {row[self._timestamp]!a}")

    def _refuse(self, refusal: _Refusal) -> None:
        self._refused[refusal.reason] += 1
        if len(self._examples) < _EXAMPLES:
            self._examples.append(f"line {self._rows.line_num}, {refusal.what}")

    def _report(self, usable: int) -> None:
        examples = "; ".join(self._examples)
        if not usable:
            raise MisuseError(
                f"{self._path}: no row can be used: {examples or 'line 2: there is none'}"
            )
        if self._refused:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self._refused.items())
            _log.warning(
                "%s: %d of %d rows set aside (%s): %s",
                self._path,
                self._refused.total(),
                self._refused.total() + usable,
                reasons,
                examples,
            )


def _read_time(cell: str) -> int | None:
    """Unix ms, from Unix seconds or ISO 8601 (UTC where no offset is given)."""
    try:
        seconds = float(cell)
    except ValueError:
        try:
            moment = datetime.fromisoformat(cell.strip())
        except ValueError:
            return None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        seconds = moment.timestamp()
    return round(seconds * 1000) if 0 <= seconds < _LATEST_SECONDS else None


def _read_amounts(row: list[str], columns: list[int]) -> list[float] | None:
    try:
        amounts = [float(row[column]) for column in columns]
    except ValueError:
        return None
    # One comparison a cell; NaN fails it as well.
    return amounts if all(0 <= amount < _LONGEST for amount in amounts) else None


def _explain_time(cell: str) -> str:
    if not cell.strip():
        return "empty cell"
    if _read_time(cell) is not None:
        return ""
    try:
        float(cell)
    except ValueError:
        return "no time"
    return "no Unix time in seconds"


def _explain_amount(cell: str) -> str:
    if not cell.strip():
        return "empty cell"
    try:
        amount = float(cell)
    except ValueError:
        return "no number"
    if 0 <= amount < _LONGEST:
        return ""
    return "negative number" if -_LONGEST < amount < 0 else "not finite"
