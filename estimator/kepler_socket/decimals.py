"""Watts as short JSON numbers, and how long they will be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats

MILLIWATT_DECIMALS: Final = 3

_encoder: Final = msgspec.json.Encoder()


def write_watts(watts: Floats, decimals: int) -> bytes:
    """The watts, an array of any shape, as JSON with at most so many decimals, zeros left out.

    >>> write_watts(np.array([12.3456, 0.5, 7.0]), 3), write_watts(np.array([12.3456]), 1)
    (b'[12.346,0.5,7]', b'[12.3]')
    """
    if decimals == 0:
        return _encoder.encode(np.rint(watts).astype(np.int64).tolist())
    whole = decimals == MILLIWATT_DECIMALS
    rounded = to_milliwatts(watts) if whole else np.round(watts, decimals)
    written = _encoder.encode(rounded.tolist())
    return written.replace(b".0,", b",").replace(b".0]", b"]")


def write_few_watts(watts: Sequence[float]) -> bytes:
    """The same bytes as `write_watts` makes with three decimals; faster for a few numbers.

    >>> write_few_watts([12.3456, 0.5, 7.0])
    b'[12.346,0.5,7]'
    """
    return f"[{','.join(map(write_one, watts))}]".encode()


def write_one(watts: float) -> str:
    """One number of them.

    >>> write_one(12.3456), write_one(7.0)
    ('12.346', '7')
    """
    milliwatts = round(watts * 1000.0)
    if milliwatts % 1000 == 0:
        return str(milliwatts // 1000)
    rounded = milliwatts / 1000.0
    if rounded * 1000.0 < milliwatts:
        rounded = (milliwatts * 10 + 1) / 10_000.0
    return repr(rounded)


def to_milliwatts(watts: Floats) -> Floats:
    """Watts rounded to milliwatts such that ``floor(1000 * watts)`` is what they were rounded to.

    That is what Kepler computes, in floating point: 1.001 becomes 1.000 W there, as one in a
    hundred numbers does. These get a fourth decimal, a tenth of a milliwatt, and arrive.

    >>> to_milliwatts(np.array([1.0009, 1.0021]))
    array([1.0011, 1.002 ])
    """
    milliwatts = np.rint(watts * 1000.0)
    rounded: Floats = milliwatts / 1000.0
    lost = _lost(milliwatts)
    if lost.any():
        rounded[lost] = (milliwatts[lost] * 10.0 + 1.0) / 10_000.0
    return rounded


def written_sizes(watts: Floats, decimals: int) -> list[int]:
    """How many bytes `write_watts` would make of each row of watts [C, K].

    >>> written_sizes(np.array([[12.3456, 0.5, 7.0], [0.0, 0.0, 1.001]]), 3)
    [14, 12]
    """
    exact = np.rint(watts * 10.0**decimals)
    units = exact.astype(np.int64)
    fourth = _lost(exact) if decimals == MILLIWATT_DECIMALS else np.zeros_like(exact, dtype=bool)
    characters = 1 + 2 * watts.shape[1] + fourth.sum(axis=1)
    rest = units
    for place in range(1, decimals + 1):
        rest = rest // 10
        # Written are the decimals up to the last that is not zero, and then the point too.
        written = (rest * 10**place != units) | fourth
        characters += written.sum(axis=1) * (2 if place == decimals else 1)
    bound, greatest = 10, int(rest.max(initial=0))
    while bound <= greatest:
        characters += (rest >= bound).sum(axis=1)
        bound *= 10
    sizes: list[int] = np.maximum(characters, 2).tolist()
    return sizes


def _lost(milliwatts: Floats) -> NDArray[np.bool_]:
    """Which of these milliwatts would be one less after the way through watts."""
    lost: NDArray[np.bool_] = milliwatts / 1000.0 * 1000.0 < milliwatts
    return lost
