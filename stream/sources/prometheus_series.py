"""The series of a Prometheus range-query answer in flat arrays, for reading them by time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from estimator.errors import WattstreamError
from stream.sources.kepler_exposition import bare_name

LATEST_SECONDS: Final = 1e11
"""No point is later than this (the year 5138): a greater number is no Unix time in seconds."""

Points = list[tuple[float, float]]


class SeriesMeta(NamedTuple):
    """Which series it is: the name without ``_total``, and the labels."""

    name: str
    labels: Mapping[str, str]


class SeriesTable(NamedTuple):
    """All points of the series kept, ordered by time; a point's ``series`` is its place in meta.

    ``skipped`` values were set aside: no number, not finite, negative, or one time twice.
    """

    meta: list[SeriesMeta]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    series: NDArray[np.int32]
    skipped: int


Keep = Callable[[str, Mapping[str, str]], SeriesMeta | None]
"""Says whether a series is kept, given its bare name and its labels, and as what."""


class _Series(msgspec.Struct):
    metric: dict[str, str]
    values: msgspec.Raw


class _Data(msgspec.Struct):
    resultType: str  # noqa: N815 - Prometheus spells it so
    result: msgspec.Raw


class _Answer(msgspec.Struct):
    status: str
    data: _Data | None = None
    error: str = ""


_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_outer = msgspec.json.Decoder(dict[str, msgspec.Raw])
_answer = msgspec.json.Decoder(_Answer)
_list = msgspec.json.Decoder(list[msgspec.Raw])
_series = msgspec.json.Decoder(_Series)
_points = msgspec.json.Decoder(Points, strict=False)
_loose_points = msgspec.json.Decoder(list[Any])


def read_series(data: bytes, name: str, wanted: Collection[str], keep: Keep) -> SeriesTable:
    """Read the wanted series (bare names) of an answer, as far as they are to be kept.

    The answer is ``{metric: [{"metric": labels, "values": [[seconds, "value"]]}]}``, or that of
    Prometheus' HTTP API to a range query, a matrix with ``__name__`` among the labels. One series
    is decoded at a time, so that beside the bytes there are never more than its numbers.
    ``WattstreamError`` names the file (``name``) and the place in it.
    """
    table = _Builder()
    for place, metric, raw in _raw_series(data, name, wanted):
        decoded = _decode(_series, raw, name, place)
        bare = bare_name(metric or decoded.metric.get("__name__", ""))
        meta = keep(bare, decoded.metric) if bare in wanted else None
        if meta is not None:
            table.add(meta, decoded.values, name, place)
    return table.built()


def _raw_series(
    data: bytes, name: str, wanted: Collection[str]
) -> Iterator[tuple[str, str, msgspec.Raw]]:
    """Series with their place and, where the answer is by metric, their metric (if wanted)."""
    try:
        outer = _outer.decode(data)
    except _UNREADABLE as error:
        raise WattstreamError(f"{name}: {_where(data, error)}") from error
    lists: Mapping[str, msgspec.Raw] = outer if "status" not in outer else {"": _matrix(data, name)}
    for metric, raw in lists.items():
        if metric and bare_name(metric) not in wanted:
            continue
        place = metric or "data.result"
        rows: list[msgspec.Raw] = _decode(_list, raw, name, place)
        for row, series in enumerate(rows):
            yield f"{place}[{row}]", metric, series


def _matrix(data: bytes, name: str) -> msgspec.Raw:
    answer = _decode(_answer, msgspec.Raw(data), name, "answer")
    if answer.status != "success" or answer.data is None:
        reason = answer.error or "no data"
        raise WattstreamError(f"{name}: status is {answer.status!r}: {reason}")
    if answer.data.resultType != "matrix":
        raise WattstreamError(
            f"{name}: data.resultType is {answer.data.resultType!r}: "
            "'matrix' is needed, the answer to a range query"
        )
    return answer.data.result


class _Builder:
    """Flat arrays that grow by a series at a time."""

    def __init__(self) -> None:
        self._meta: list[SeriesMeta] = []
        self._times = array("q")
        self._values = array("d")
        self._series = array("i")
        self._skipped = 0

    def add(self, meta: SeriesMeta, raw: msgspec.Raw, name: str, place: str) -> None:
        points = np.array(self._numbers(raw, name, f"{place}.values"), np.float64).reshape(-1, 2)
        seconds, values = points[:, 0], points[:, 1]
        sane = np.isfinite(values) & (values >= 0) & (seconds >= 0) & (seconds < LATEST_SECONDS)
        times = np.round(seconds[sane] * 1000).astype(np.int64)
        values = values[sane]
        if np.any(times[1:] <= times[:-1]):
            times, first = np.unique(times, return_index=True)
            values = values[first]
        self._skipped += len(points) - len(times)
        if len(times):
            self._times.frombytes(times.tobytes())
            self._values.frombytes(values.tobytes())
            self._series.frombytes(np.full(len(times), len(self._meta), np.int32).tobytes())
            self._meta.append(meta)

    def built(self) -> SeriesTable:
        times = np.frombuffer(self._times, np.int64)
        order = np.argsort(times, kind="stable")
        return SeriesTable(
            self._meta,
            times[order],
            np.frombuffer(self._values, np.float64)[order],
            np.frombuffer(self._series, np.int32)[order],
            self._skipped,
        )

    def _numbers(self, raw: msgspec.Raw, name: str, place: str) -> Points:
        try:
            return _points.decode(raw)
        except msgspec.ValidationError:
            numbers = []
            for point in _decode(_loose_points, raw, name, place):
                try:
                    numbers.append(msgspec.convert(point, tuple[float, float], strict=False))
                except msgspec.ValidationError:
                    self._skipped += 1
            return numbers


T = TypeVar("T")


def _decode(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw, name: str, place: str) -> T:
    try:
        return decoder.decode(raw)
    except _UNREADABLE as error:
        raise WattstreamError(f"{name}: {place}: {error}") from error


def _where(data: bytes, error: Exception) -> str:
    """What is wrong with the JSON, and in which line and column if it cannot be parsed."""
    message = str(error)
    if not len(data):
        return "it is empty"
    if isinstance(error, msgspec.ValidationError):
        return f"{message}: an object of metrics, or Prometheus' answer, is needed"
    if not isinstance(error, msgspec.DecodeError):
        return f"JSON is malformed: {message}"
    head, _, tail = message.partition(" (byte ")
    data = bytes(data)  # of what may be a view
    offset = int(tail[:-1]) if tail[:-1].isdigit() else len(data)
    line = data.count(b"\n", 0, offset) + 1
    column = offset - data.rfind(b"\n", 0, offset)
    return f"line {line}, column {column}: {head}"
