"""Least squares within bounds, from sufficient statistics: lines that Kepler may evaluate.

Kepler's regressor multiplies and adds, and a negative sum of watts wraps around to some 1.8e19
milliwatts. A line whose coefficients are not negative cannot get there.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from estimator.arrays import Floats

_MOST_SWEEPS: Final = 200
_SETTLED: Final = 1e-9


def bounded_least_squares(a: Floats, b: Floats, greatest: Floats) -> Floats:
    """Coefficients [D, C] within 0 and ``greatest`` [D, C] that minimise ½ xᵀAx - bᵀx.

    ``a`` [D, D] positive definite, ``b`` [D, C]. Coordinate descent finds which bounds hold, and
    between two sweeps the others are solved for, since alike features would take it for ever.
    Neither leaves the bounds nor goes up, and a convex problem has only one minimum.

    >>> a, b = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([[4.0], [-6.0]])
    >>> bounded_least_squares(a, b, np.full((2, 1), np.inf)).tolist()
    [[2.0], [0.0]]
    """
    found: Floats = np.clip(np.linalg.solve(a, b), 0.0, greatest)
    for _ in range(_MOST_SWEEPS):
        before = found.copy()
        for row in range(len(a)):
            rest = b[row] - a[row] @ found + a[row, row] * found[row]
            found[row] = np.clip(rest / a[row, row], 0.0, greatest[row])
        for column in range(b.shape[1]):
            _descend(a, b[:, column], found[:, column], greatest[:, column])
        if np.abs(found - before).max() <= _SETTLED * max(1.0, float(found.max())):
            break
    return found


def _descend(a: Floats, b: Floats, found: Floats, greatest: Floats) -> None:
    """Move what is strictly within its bounds to its best, as far as the bounds allow."""
    free = (found > 0.0) & (found < greatest)
    if not free.any():
        return
    step = np.linalg.solve(a[np.ix_(free, free)], (b - a @ found)[free])
    room = np.where(step > 0.0, greatest[free] - found[free], found[free])
    moves = step != 0.0
    far = min(1.0, float((room[moves] / np.abs(step[moves])).min(initial=1.0)))
    found[free] = np.clip(found[free] + far * step, 0.0, greatest[free])
