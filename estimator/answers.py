"""The answer to a power request: one short JSON object, in the form that Kepler can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np

from estimator.arrays import Floats

MOST_BYTES: Final = 4096
"""Kepler reads the answer with one read of so many bytes."""
MOST_WATTS: Final = 1e9
MOST_MESSAGE: Final = 400
"""Characters of a message: it must not cost the rows their decimals."""

_UNREAD: Final = ("psys",)
"""Components that Kepler's socket client does not read: the first to leave out."""
_SPARED: Final = ("core", "uncore")
"""Components that Kepler fills in itself when they are missing: the next."""
_DECIMALS: Final = 3

_encoder: Final = msgspec.json.Encoder()
_Lists = dict[str, bytes]


def encode_answer(
    components: Sequence[str], watts: Floats, message: str = "", core_ratio: float = 1.0
) -> bytes:
    """Watts [K, C] of the components, K entries in each list, in at most 4,096 bytes if possible.

    Three decimals. If that is too long, components that are zero in all rows are left out, then
    decimals, then what Kepler can do without; if it is still too long, all is written, for clients
    that read on. Never negative, never NaN; one list at least, even if all is zero.

    >>> encode_answer(["package", "uncore"], np.array([[10.5, 0.0], [0.25, 0.0]]))
    b'{"powers":{"package":[10.5,0.25],"uncore":[0,0]},"msg":"","core_ratio":1}'
    """
    # fmax makes NaN 0, where maximum would keep it; adding 0 makes -0 0.
    within = np.minimum(np.fmax(watts.T, 0.0), MOST_WATTS) + 0.0
    tail = _tail(message, core_ratio)
    room = MOST_BYTES - len(tail) - len(b'{"powers":{}')
    columns = dict(zip(components, within, strict=True))
    lists = _write(columns, _DECIMALS)
    chosen = lists if _size(lists) <= room else _shorten(columns, lists, room)
    powers = b",".join(b'"%s":%s' % (name.encode(), text) for name, text in chosen.items())
    return b'{"powers":{%s}%s' % (powers, tail)


def encode_refusal(message: str) -> bytes:
    """The answer to what has no rows that could be counted."""
    return b'{"powers":{}%s' % _tail(message, 1.0)


def _tail(message: str, core_ratio: float) -> bytes:
    if not message and core_ratio == 1.0:
        return b',"msg":"","core_ratio":1}'
    # A lone surrogate, which JSON can escape, cannot be written as UTF-8.
    text = _encoder.encode(message[:MOST_MESSAGE].encode("utf-8", "replace").decode())
    ratio = _trim(_encoder.encode([round(core_ratio, 6)]))[1:-1]
    return b',"msg":%s,"core_ratio":%s}' % (text, ratio)


def _write(columns: Mapping[str, Floats], decimals: int) -> _Lists:
    """Each column as a JSON list of numbers with at most so many decimals."""
    if decimals == _DECIMALS:
        numbers = {name: to_milliwatts(column) for name, column in columns.items()}
    else:
        numbers = {name: np.round(column, decimals) for name, column in columns.items()}
    return {name: _trim(_encoder.encode(column.tolist())) for name, column in numbers.items()}


def to_milliwatts(watts: Floats) -> Floats:
    """Watts rounded to milliwatts such that ``floor(1000 * watts)`` is what they were rounded to.

    That is what Kepler computes, in floating point: 1.001 becomes 1.000 W there, as one in a
    hundred numbers does. These get a fourth decimal, a tenth of a milliwatt, and arrive.

    >>> to_milliwatts(np.array([1.0009, 1.0021]))
    array([1.0011, 1.002 ])
    """
    milliwatts = np.rint(watts * 1000.0)
    rounded: Floats = milliwatts / 1000.0
    lost = rounded * 1000.0 < milliwatts
    if lost.any():
        rounded[lost] = (milliwatts[lost] * 10.0 + 1.0) / 10_000.0
    return rounded


def _trim(numbers: bytes) -> bytes:
    """The JSON list with 1 instead of 1.0."""
    return numbers.replace(b".0,", b",").replace(b".0]", b"]")


def _size(lists: Mapping[str, bytes]) -> int:
    """Bytes that the lists take with their names, quotes, colons and commas."""
    return sum(len(name) + len(text) + 4 for name, text in lists.items()) - 1


def _shorten(columns: Mapping[str, Floats], full: _Lists, room: int) -> _Lists:
    """The most precise lists that fit into ``room`` bytes; the full ones if none do."""
    read = [name for name, column in columns.items() if column.any() and name not in _UNREAD]
    read = read or list(columns)[:1]
    for names in (read, [name for name in read if name not in _SPARED] or read):
        numbers = sum(len(columns[name]) for name in names)
        longest = _size({name: full[name] for name in names})
        for decimals in range(_DECIMALS, -1, -1):
            # At most so many characters of a number go: decimals (to_milliwatts may add a fourth)
            # and, with the last of them, the point. What cannot fit is not tried.
            gone = 0 if decimals == _DECIMALS else _DECIMALS + 1 - decimals + (decimals == 0)
            if longest - gone * numbers > room:
                continue
            lists = _write({name: columns[name] for name in names}, decimals)
            if _size(lists) <= room:
                return lists
    return full
