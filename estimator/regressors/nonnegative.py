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

    ``a`` [D, D] positive definite, ``b`` [D, C]. Coordinate descent: it never leaves the bounds,
    and on a convex problem it ends in the only minimum.

    >>> a, b = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([[4.0], [-6.0]])
    >>> bounded_least_squares(a, b, np.full((2, 1), np.inf)).tolist()
    [[2.0], [0.0]]
    """
    found: Floats = np.clip(np.linalg.solve(a, b), 0.0, greatest)
    for _ in range(_MOST_SWEEPS):
        moved = 0.0
        for row in range(len(a)):
            rest = b[row] - a[row] @ found + a[row, row] * found[row]
            better = np.clip(rest / a[row, row], 0.0, greatest[row])
            moved = max(moved, float(np.abs(better - found[row]).max()))
            found[row] = better
        if moved <= _SETTLED * max(1.0, float(found.max())):
            break
    return found
