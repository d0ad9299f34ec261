"""The answer to a power request: one short JSON object, in the form that Kepler can read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.kepler_socket.decimals import (
    MILLIWATT_DECIMALS,
    write_few_watts,
    write_one,
    write_watts,
    written_sizes,
)

MOST_BYTES: Final = 4096
"""Kepler reads the answer with one read of so many bytes."""
MOST_WATTS: Final = 1e9
MOST_MESSAGE: Final = 400
"""Characters of a message: it must not cost the rows their decimals."""

_UNREAD: Final = ("psys",)
"""Components that Kepler's socket client does not read: they go with those that are zero."""
_SPARED: Final = ("core", "uncore")
"""Components that Kepler fills in itself when they are missing."""
_FEW: Final = 40
"""So few numbers are written faster without arrays."""
_SHORT_NUMBER: Final = len("1.25,")
"""If numbers are shorter than that on the average, three decimals may fit."""

_HEAD: Final = b'{"powers":{'

_encoder: Final = msgspec.json.Encoder()


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
    names = [_encoder.encode(component) for component in components]
    tail = _tail(message, core_ratio)
    if watts.size <= _FEW:
        return b"%s%s%s" % (_HEAD, _write_few(names, watts.T.tolist()), tail)
    # fmax makes NaN 0, where maximum would keep it; adding 0 makes -0 0.
    columns = np.minimum(np.fmax(watts.T, 0.0), MOST_WATTS) + 0.0
    room = MOST_BYTES - len(_HEAD) - len(tail)
    if columns.size * _SHORT_NUMBER <= room:
        # To write it and see is faster than to count first.
        powers = _write_lists(names, columns, MILLIWATT_DECIMALS)
        if len(powers) <= room:
            return b"%s%s%s" % (_HEAD, powers, tail)
    kept, decimals = _fit(components, names, columns, room)
    powers = _write_lists([names[index] for index in kept], columns[kept], decimals)
    return b"%s%s%s" % (_HEAD, powers, tail)


def _write_lists(names: Sequence[bytes], columns: Floats, decimals: int) -> bytes:
    lists = write_watts(columns, decimals)[2:-2].split(b"],[")
    return b",".join(
        b"%s:[%s]" % (name, numbers) for name, numbers in zip(names, lists, strict=True)
    )


def encode_row(components: Sequence[str], watts: Sequence[float], core_ratio: float = 1.0) -> bytes:
    """The same bytes as `encode_answer` makes of one row and no message, sooner.

    >>> encode_row(["package", "uncore"], [10.5, 0.0])
    b'{"powers":{"package":[10.5],"uncore":[0]},"msg":"","core_ratio":1}'
    """
    form = _form(tuple(components), core_ratio)
    return (form % tuple([write_one(_within(one)) for one in watts])).encode()


@lru_cache(maxsize=256)
def _form(components: tuple[str, ...], core_ratio: float) -> str:
    """The answer to one row with gaps for the numbers."""
    names = [_encoder.encode(component).decode().replace("%", "%%") for component in components]
    lists = ",".join(f"{name}:[%s]" for name in names)
    return f"{_HEAD.decode()}{lists}{_tail('', core_ratio).decode()}"


def _within(watts: float) -> float:
    # A comparison with NaN is false.
    return min(watts, MOST_WATTS) if watts > 0.0 else 0.0


def _write_few(names: Sequence[bytes], columns: list[list[float]]) -> bytes:
    """The lists, unshortened: so few numbers always fit."""
    return b",".join(
        b"%s:%s" % (name, write_few_watts([_within(one) for one in column]))
        for name, column in zip(names, columns, strict=True)
    )


def encode_refusal(message: str) -> bytes:
    """The answer to what has no rows that could be counted."""
    return _HEAD + _tail(message, 1.0)


def _tail(message: str, core_ratio: float) -> bytes:
    if not message and core_ratio == 1.0:
        return b'},"msg":"","core_ratio":1}'
    # A lone surrogate, which JSON can escape, cannot be written as UTF-8.
    text = _encoder.encode(message[:MOST_MESSAGE].encode("utf-8", "replace").decode())
    return b'},"msg":%s,"core_ratio":%s}' % (text, f"{core_ratio:.6g}".encode())


def _fit(
    components: Sequence[str], names: Sequence[bytes], columns: Floats, room: int
) -> tuple[list[int], int]:
    """Which components [C, K] to write with how many decimals, so that they fit into ``room``."""
    everything = list(range(len(names)))
    sizes: dict[int, list[int]] = {}

    def fits(kept: list[int], decimals: int) -> bool:
        if decimals not in sizes:
            sizes[decimals] = written_sizes(columns, decimals)
        lists = sum(sizes[decimals][index] + len(names[index]) + 2 for index in kept)
        return lists - 1 <= room

    # A number and its comma take two bytes at least.
    if 2 * columns.size <= room and fits(everything, MILLIWATT_DECIMALS):
        return everything, MILLIWATT_DECIMALS
    drawing = columns.max(axis=1, initial=0.0).tolist()
    read = [at for at in everything if drawing[at] and components[at] not in _UNREAD]
    read = read or everything[:1]
    for kept in (read, [at for at in read if components[at] not in _SPARED] or read):
        # Fewest decimals first: what does not fit then never does.
        if fits(kept, 0):
            return kept, next(most for most in (3, 2, 1, 0) if fits(kept, most))
    return everything, MILLIWATT_DECIMALS
