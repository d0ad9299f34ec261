"""Requests that are not as they should be: what can be read is, the rest is complained about."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from estimator.arrays import Floats
from estimator.kepler_socket.requests import PowerRequest, UnreadableError, check_size
from estimator.vocabulary import OUTPUT_TYPES

MOST_BYTES: Final = 4 << 20
"""A bad request of more bytes than that is refused: mending is slow, and others wait."""
MOST_COMPLAINTS: Final = 4
_QUOTED_CHARACTERS: Final = 60


def mend(data: bytes) -> PowerRequest:
    """Read what can be read of one request; ``UnreadableError`` if its rows cannot be counted.

    >>> request = mend(b'{"metrics":["a"],"values":[[1],[NaN]],"output_type":"DynPower"}')
    >>> request.rows.tolist(), request.complaints
    ([[1.0], [0.0]], ('values[1][0]: nan is not a number >= 0; the row counts as zeros',))
    """
    complaints: list[str] = []
    fields = _fields(data, complaints)
    values = fields.get("values")
    if not isinstance(values, list):
        raise UnreadableError(f"values: {quoted(values)} is not a list of rows")
    metrics = _metrics(fields.get("metrics"), complaints)
    request = PowerRequest(
        metrics=tuple(dict.fromkeys(metrics)),
        rows=_rows(values, metrics, complaints),
        output_type=_output_type(fields.get("output_type"), complaints),
        source=_text(fields, "source", complaints) or None,
        trainer_name=_text(fields, "trainer_name", complaints),
        filter=_text(fields, "filter", complaints),
    )
    return request._replace(complaints=tuple(complaints[:MOST_COMPLAINTS]))


def quoted(value: object) -> str:
    """The value for a message, cut if it is long."""
    text = ascii(value)
    return text if len(text) <= _QUOTED_CHARACTERS else text[: _QUOTED_CHARACTERS - 3] + "..."


def _fields(data: bytes, complaints: list[str]) -> dict[str, Any]:
    check_size(data)
    if len(data) > MOST_BYTES:
        raise UnreadableError(f"request: {len(data)} bytes that are no valid request")
    text = data.decode("utf-8", "replace")
    if "\N{REPLACEMENT CHARACTER}" in text and not _is_utf8(data):
        complaints.append("request: is not UTF-8")
    try:
        # Unlike msgspec it reads NaN and Infinity, which some clients write.
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"request: is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise UnreadableError(f"request: {quoted(fields)} is not an object")
    return fields


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _metrics(metrics: object, complaints: list[str]) -> list[str]:
    if not isinstance(metrics, list) or not all(isinstance(name, str) for name in metrics):
        complaints.append(f"metrics: {quoted(metrics)} is not a list of names")
        return []
    if not metrics:
        complaints.append("metrics: there are none")
    twice = [name for name in dict.fromkeys(metrics) if metrics.count(name) > 1][:MOST_COMPLAINTS]
    complaints.extend(f"metrics: {quoted(name)} comes twice; the first counts" for name in twice)
    return metrics


def _rows(values: list[Any], metrics: Sequence[str], complaints: list[str]) -> Floats:
    """The rows [K, F] without the columns of names that come again; zeros where they are bad."""
    kept = sorted({name: at for at, name in reversed(list(enumerate(metrics)))}.values())
    rows = np.zeros((len(values), len(kept)))
    if not values:
        complaints.append("values: there are no rows")
    if not metrics:
        return rows
    bad = 0
    for index, row in enumerate(values):
        why = _why_bad(row, len(metrics))
        if not why:
            rows[index] = [row[at] for at in kept]
            continue
        bad += 1
        if bad == 1:
            complaints.append(f"values[{index}]{why}; the row counts as zeros")
    if bad > 1:
        complaints.append(f"values: {bad} of {len(values)} rows count as zeros")
    return rows


def _why_bad(row: object, columns: int) -> str:
    """What is wrong with a row, as the end of a message; "" if it is good."""
    if not isinstance(row, list):
        return f": {quoted(row)} is not a list of numbers"
    if len(row) != columns:
        return f": has {len(row)} numbers for {columns} metrics"
    for column, value in enumerate(row):
        if not _is_rate(value):
            return f"[{column}]: {quoted(value)} is not a number >= 0"
    return ""


def _is_rate(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return 0.0 <= float(value) < math.inf
    except OverflowError:
        return False


def _output_type(value: object, complaints: list[str]) -> str:
    """The output type, or "" if there is no such one."""
    if isinstance(value, str) and value in OUTPUT_TYPES:
        return value
    complaints.append(f"output_type: {quoted(value)} is none of {', '.join(OUTPUT_TYPES)}")
    return ""


def _text(fields: dict[str, Any], key: str, complaints: list[str]) -> str:
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value or ""
    complaints.append(f"{key}: {quoted(value)} is not a text; it counts as none given")
    return ""
