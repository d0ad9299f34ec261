"""Polynomial terms of a feature row: what every ridge and every polynomial artifact sees."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats

ALL_PAIRS_UP_TO = 12
"""With more features than this, second order means squares only: terms grow with the square."""


class Expansion:
    """Turns F scaled features into D terms: 1, the features, then second-order products.

    >>> Expansion(2, order=2).expand(np.array([[3.0, 5.0]]))
    array([[ 1.,  3.,  5.,  9., 15., 25.]])
    """

    def __init__(self, features: int, order: int) -> None:
        self.features = features
        self.order = order
        rows, columns = np.triu_indices(features if order == 2 else 0)
        if features > ALL_PAIRS_UP_TO:
            rows = columns = np.arange(features if order == 2 else 0)
        self._rows, self._columns = rows, columns
        self.linear_terms = 1 + features
        self.terms = self.linear_terms + len(rows)

    def expand(self, scaled: Floats) -> Floats:
        """Terms of every row: [K, F] to [K, D]."""
        terms = np.empty((len(scaled), self.terms))
        terms[:, 0] = 1.0
        terms[:, 1 : self.linear_terms] = scaled
        if self.terms > self.linear_terms:
            np.multiply(
                scaled[:, self._rows], scaled[:, self._columns], out=terms[:, self.linear_terms :]
            )
        return terms

    def factors(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Every term as the product of two of (1, first feature, second feature, ...): places.

        >>> left, right = Expansion(2, order=2).factors()
        >>> row = np.array([1.0, 3.0, 5.0])
        >>> row[left] * row[right]
        array([ 1.,  3.,  5.,  9., 15., 25.])
        """
        ones = np.zeros(self.linear_terms, np.intp)
        linear = np.arange(self.linear_terms)
        return np.concatenate([ones, 1 + self._rows]), np.concatenate([linear, 1 + self._columns])


@lru_cache(maxsize=256)
def expansion(features: int, order: int) -> Expansion:
    """The (shared, immutable) expansion for so many features."""
    return Expansion(features, order)
