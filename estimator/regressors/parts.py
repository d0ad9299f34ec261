"""Rows in parts, one after another: those of several rounds, or of several questions.

What is done to each part is done to all of them at once where they are of one size, as those of a
fleet are, and part by part where they are not: the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from estimator.arrays import Floats


class Parts:
    """P parts of R rows: how many rows each has, and where it begins.

    ``each`` is how many rows every part has, None if not all have as many; ``alone`` says that
    every part is one row.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = list(sizes)
        self.starts = [0, *accumulate(self.sizes)]
        alike = self.sizes.count(self.sizes[0]) == len(self.sizes) if self.sizes else False
        self.each = self.sizes[0] if alike else None
        self.alone = self.each == 1

    def parts(self) -> list[slice]:
        """The rows of each part."""
        return [slice(*ends) for ends in pairwise(self.starts)]

    def part(self, number: int) -> slice:
        """The rows of one part."""
        return slice(self.starts[number], self.starts[number + 1])

    def sums(self, values: Floats) -> Floats:
        """The sum of each part's rows: [R, ...] to [P, ...]."""
        if self.alone:
            return values
        if self.each is not None:
            summed: Floats = np.add.reduce(self.stacked(values), axis=1)
            return summed
        return np.array([np.add.reduce(values[part], axis=0) for part in self.parts()])

    def means(self, values: Floats) -> Floats:
        """The mean of each part's rows: [R, ...] to [P, ...]."""
        if self.alone:
            return values
        counts = np.array(self.sizes, dtype=np.float64)
        means: Floats = self.sums(values) / counts.reshape(-1, *[1] * (values.ndim - 1))
        return means

    def times(self, terms: Floats, matrices: Floats) -> Floats:
        """Each part's terms times its own matrix: [R, D] and [P, D, X] to [R, X]."""
        if self.each is not None:
            product: Floats = np.matmul(self.stacked(terms), matrices)
            return product.reshape(len(terms), -1)
        found = [
            np.matmul(terms[part], matrix)
            for part, matrix in zip(self.parts(), matrices, strict=True)
        ]
        return np.concatenate(found)

    def products(self, one: Floats, other: Floats) -> list[Floats] | Floats:
        """Each part's columns times each other, added up: [R, D] and [R, X] to [P, D, X]."""
        if self.alone:
            return one[:, :, None] * other[:, None, :]
        if self.each is not None:
            product: Floats = np.matmul(self.stacked(one).swapaxes(1, 2), self.stacked(other))
            return product
        return [
            one[part].T * other[part] if size == 1 else one[part].T @ other[part]
            for part, size in zip(self.parts(), self.sizes, strict=True)
        ]

    def stacked(self, values: Floats) -> Floats:
        """The rows of parts of one size, part by part: [R, ...] to [P, R / P, ...]."""
        return values.reshape(len(self.sizes), -1, *values.shape[1:])
