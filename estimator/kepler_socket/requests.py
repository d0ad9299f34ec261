"""A power request, as Kepler writes it on the estimator's socket."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.errors import RequestError
from estimator.vocabulary import OUTPUT_TYPES

MOST_NUMBERS: Final = 250_000
"""A request of more values is refused unread: to read them would hold up everybody else."""

_FEW: Final = 64
"""So few numbers are looked through faster without arrays."""


class PowerRequest(NamedTuple):
    """What is asked: watts for every row of ``rows`` [K, F], whose columns are ``metrics``.

    ``complaints`` name what could not be read, key and value. A row that could not be read is
    zero, so that the answer has an entry for every row all the same. ``only`` is the row of a
    request that has one and no complaints: there arrays would take longer than what they hold.
    """

    metrics: tuple[str, ...]
    rows: Floats
    output_type: str
    source: str | None
    trainer_name: str
    filter: str
    complaints: tuple[str, ...] = ()
    only: tuple[float, ...] | None = None


class UnreadableError(RequestError):
    """Not even how many rows the request has can be known."""


class Wire(msgspec.Struct):
    """The request's JSON; what else Kepler sends (system_features, ...) changes no answer."""

    metrics: tuple[str, ...]
    values: list[tuple[float, ...]]
    output_type: str
    source: str | None = None
    trainer_name: str | None = ""
    filter: str | None = ""


_decoder: Final = msgspec.json.Decoder(Wire)


def decode_request(data: bytes) -> PowerRequest | None:
    """Read a request with nothing to complain about; None for any other: see `mending.mend`.

    >>> request = decode_request(b'{"metrics":["a"],"values":[[1],[2]],"output_type":"DynPower"}')
    >>> request.metrics, request.rows.tolist()
    (('a',), [[1.0], [2.0]])
    """
    check_size(data)
    try:
        wire = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    rows = matrix(wire.values, len(wire.metrics))
    if rows is None or not wire.metrics or wire.output_type not in OUTPUT_TYPES:
        return None
    if len(set(wire.metrics)) < len(wire.metrics):
        return None
    trainer_name, wanted = wire.trainer_name or "", wire.filter or ""
    only = wire.values[0] if len(wire.values) == 1 else None
    return PowerRequest(
        *(wire.metrics, rows, wire.output_type, wire.source, trainer_name, wanted), (), only
    )


def check_size(data: bytes) -> None:
    """Raise ``UnreadableError`` if there are more numbers than should be read."""
    if len(data) > 2 * MOST_NUMBERS and data.count(b",") > MOST_NUMBERS:
        raise UnreadableError(f"values: more than {MOST_NUMBERS} numbers")


def matrix(values: Sequence[Sequence[float]], columns: int) -> Floats | None:
    """The rows as an array [K, F]; None if there are none, they are ragged, or one is negative.

    The decoder has refused what is not finite.
    """
    if set(map(len, values)) != {columns}:
        return None
    count = len(values) * columns
    # Half the time that np.array takes for nested sequences.
    packed = struct.pack(f"{count}d", *chain.from_iterable(values))
    rows = np.frombuffer(packed).reshape(len(values), columns)
    if not count:
        return rows
    least = min(map(min, values)) if count <= _FEW else rows.min()
    return rows if least >= 0.0 else None
