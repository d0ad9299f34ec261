"""A model at one moment: plain arrays and one prediction function, for learning and for serving.

The learner scores frozen models of some minutes ago, an artifact is a frozen model on disk, the
estimator answers with one: all three by `FrozenModel.predict_many`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.errors import DamagedError
from estimator.expansion import expansion
from estimator.vocabulary import HORIZONS

MARGIN: Final = 0.1
"""An estimate may exceed the greatest power that the machine has shown by that fraction."""


class FrozenExperts(Protocol):
    """Experts of one kind, frozen."""

    def predict_many(self, rows: Floats) -> Floats:
        """Watts that each expert says, unguarded: [K, F] to [K, E, C]."""
        ...

    def state(self) -> State:
        """Plain data from which ``restore_experts`` makes the same experts again."""
        ...


class FrozenPolynomials:
    """Polynomials of the scaled features.

    ``scales`` [F] divide the features, ``coefficients`` [E, D, C] weigh their terms.
    """

    kind: Final = "polynomials"

    def __init__(self, scales: Floats, coefficients: Floats, order: int) -> None:
        self.scales = scales
        self.coefficients = coefficients
        self.order = order
        self.expansion = expansion(len(scales), order)

    @cached_property
    def flat(self) -> Floats:
        """The coefficients as one matrix [D, E * C]. Most frozen models are never asked."""
        return self.coefficients.transpose(1, 0, 2).reshape(self.expansion.terms, -1)

    def predict_many(self, rows: Floats) -> Floats:
        """Watts that each expert says: [K, F] to [K, E, C]."""
        experts, _, components = self.coefficients.shape
        terms = self.expansion.expand(rows / self.scales)
        return (terms @ self.flat).reshape(len(rows), experts, components)

    def state(self) -> State:
        """Plain data from which `restore_experts` makes the same experts again."""
        return {
            "kind": self.kind,
            "scales": self.scales,
            "coefficients": self.coefficients,
            "order": self.order,
        }

    @classmethod
    def restore(cls, state: State) -> FrozenPolynomials:
        """Make the experts that ``state`` was taken of."""
        return cls(state["scales"], state["coefficients"], int(state["order"]))


def together(frozen: Sequence[FrozenExperts]) -> list[FrozenExperts]:
    """The same experts in the same order, neighbouring polynomials made one: one product less."""
    made: list[FrozenExperts] = []
    for experts in frozen:
        before = made[-1] if made else None
        if isinstance(before, FrozenPolynomials) and isinstance(experts, FrozenPolynomials):
            made[-1] = _side_by_side(before, experts)
        else:
            made.append(experts)
    return made


def _side_by_side(one: FrozenPolynomials, other: FrozenPolynomials) -> FrozenPolynomials:
    high = one if one.order >= other.order else other
    _, terms, components = high.coefficients.shape
    experts = len(one.coefficients) + len(other.coefficients)
    coefficients = np.zeros((experts, terms, components))
    start = 0
    for part in (one, other):
        mine = part.coefficients
        if part is not high:
            # Divided by other scales, the terms are as much larger as coefficients get smaller.
            ratio = high.scales / part.scales
            mine = mine * expansion(len(ratio), part.order).expand(ratio[None])[0][:, None]
        coefficients[start : start + len(mine), : mine.shape[1]] = mine
        start += len(mine)
    return FrozenPolynomials(high.scales, coefficients, high.order)


class FrozenTrees:
    """One expert: for each component the mean of some binary trees over the raw features.

    All trees lie in one set of arrays of N nodes. Node n asks whether feature ``feature[n]`` is at
    most ``threshold[n]`` and goes on at ``left[n]`` or ``right[n]``; a leaf has feature -1 and says
    ``value[n]`` watts. ``roots`` [C, T] are the nodes where the trees of each component begin.
    """

    kind: Final = "trees"

    def __init__(
        self,
        feature: NDArray[np.int64],
        threshold: Floats,
        left: NDArray[np.int64],
        right: NDArray[np.int64],
        value: Floats,
        roots: NDArray[np.int64],
    ) -> None:
        self.feature, self.threshold = feature, threshold
        self.left, self.right = left, right
        self.value, self.roots = value, roots

    def predict_many(self, rows: Floats) -> Floats:
        """Watts that the expert says: [K, F] to [K, 1, C]."""
        count = len(rows)
        node = np.broadcast_to(self.roots, (count, *self.roots.shape)).copy()
        row = np.arange(count)[:, None, None]
        while (inner := self.feature[node] >= 0).any():
            asked = rows[row, np.maximum(self.feature[node], 0)]
            below = np.where(asked <= self.threshold[node], self.left[node], self.right[node])
            node = np.where(inner, below, node)
        watts: Floats = self.value[node].mean(axis=2)[:, None, :]
        return watts

    def state(self) -> State:
        """Plain data from which `restore_experts` makes the same expert again."""
        return {
            "kind": self.kind,
            "feature": self.feature,
            "threshold": self.threshold,
            "left": self.left,
            "right": self.right,
            "value": self.value,
            "roots": self.roots,
        }

    @classmethod
    def restore(cls, state: State) -> FrozenTrees:
        """Make the expert that ``state`` was taken of; ``DamagedError`` if it would not end."""
        feature, left, right = state["feature"], state["left"], state["right"]
        inner = np.flatnonzero(feature >= 0)
        # Children after their parents: walking down ends, whatever the file says.
        if ((left[inner] <= inner) | (right[inner] <= inner)).any():
            raise DamagedError("trees: a node's child comes before it")
        return cls(feature, state["threshold"], left, right, state["value"], state["roots"])


def mixed(one: FrozenExperts, other: FrozenExperts, share: float) -> FrozenExperts:
    """Both made one, the other with ``share`` of the say: lines averaged, trees put together."""
    if isinstance(one, FrozenPolynomials) and isinstance(other, FrozenPolynomials):
        both = _side_by_side(one, other)
        ours, theirs = np.split(both.coefficients, [len(one.coefficients)])
        return FrozenPolynomials(both.scales, (1 - share) * ours + share * theirs, both.order)
    if isinstance(one, FrozenTrees) and isinstance(other, FrozenTrees):
        shift = len(one.feature)
        return FrozenTrees(
            np.concatenate([one.feature, other.feature]),
            np.concatenate([one.threshold, other.threshold]),
            np.concatenate([one.left, other.left + shift]),
            np.concatenate([one.right, other.right + shift]),
            np.concatenate([one.value, other.value]),
            np.concatenate([one.roots, other.roots + shift], axis=1),
        )
    raise TypeError(f"{type(one).__name__} and {type(other).__name__} do not mix")


_KINDS: Final[Mapping[str, Callable[[State], FrozenExperts]]] = {
    FrozenPolynomials.kind: FrozenPolynomials.restore,
    FrozenTrees.kind: FrozenTrees.restore,
}


def restore_experts(state: State) -> FrozenExperts:
    """Make the frozen experts that ``state`` was taken of; ``DamagedError`` for unknown kinds."""
    kind = str(state.get("kind"))
    if kind not in _KINDS:
        raise DamagedError(f"experts: kind is {kind!r}, known are {', '.join(sorted(_KINDS))}")
    return _KINDS[kind](state)


class FrozenModel:
    """What a model would say at one moment of its life.

    ``banks`` hold its E experts, ``weights`` [H, E, C] their say at each horizon, ``idle`` [C] the
    answer to a row of zeros, ``floor`` and ``ceiling`` [C] the watts that the machine has shown,
    ``seen`` [2, F] the least and the greatest value of each feature, ``at`` (Unix ms) the event
    time up to which it had learned.
    """

    def __init__(
        self,
        banks: Sequence[FrozenExperts],
        weights: Floats,
        idle: Floats,
        floor: Floats,
        ceiling: Floats,
        seen: Floats,
        at: int,
    ) -> None:
        self.banks = tuple(banks)
        self.weights = weights
        self.idle = idle
        self.floor, self.ceiling = floor, ceiling
        self.seen = seen
        self.at = at
        self.upper = ceiling * (1.0 + MARGIN)

    def opinions(self, rows: Floats) -> Floats:
        """What each expert says, within the guards: [K, F] to [K, E, C] watts."""
        within = np.minimum(np.maximum(rows, self.seen[0]), self.seen[1])
        said = [bank.predict_many(within) for bank in self.banks]
        watts = said[0] if len(said) == 1 else np.concatenate(said, axis=1)
        # An expert that has lost its way says NaN: it counts as saying the least.
        return np.fmin(np.fmax(watts, self.floor), self.upper)

    def settle(self, rows: Floats, opinions: Floats, horizon: int = 0) -> Floats:
        """The experts' opinions [K, E, C] on rows [K, F] made one: [K, C] watts."""
        watts: Floats = np.add.reduce(opinions * self.weights[horizon], axis=1)
        watts = np.minimum(np.maximum(watts, self.floor), self.upper)
        zero = ~np.logical_or.reduce(rows, axis=1)
        if np.logical_or.reduce(zero):
            watts[zero] = self.idle
        return watts

    def predict_many(self, rows: Floats, horizon: int = 0) -> Floats:
        """Watts of every row: [K, F] to [K, C]; finite, within the guards, idle for zero rows.

        ``horizon`` is an index into ``vocabulary.HORIZONS``; see `horizon_for_age`.
        """
        return self.settle(rows, self.opinions(rows), horizon)

    def outside(self, rows: Floats) -> int:
        """How many of the rows [K, F] have a feature beyond the range that was learned from."""
        beyond = (rows < self.seen[0]) | (rows > self.seen[1])
        return int(np.count_nonzero(np.logical_or.reduce(beyond, axis=1)))

    def state(self) -> State:
        """Plain data from which `restore` makes the same model again."""
        return {
            "banks": [bank.state() for bank in self.banks],
            "weights": self.weights,
            "idle": self.idle,
            "floor": self.floor,
            "ceiling": self.ceiling,
            "seen": self.seen,
            "at": self.at,
        }

    @classmethod
    def restore(cls, state: State) -> FrozenModel:
        """Make the model that ``state`` was taken of."""
        return cls(
            [restore_experts(bank) for bank in state["banks"]],
            state["weights"],
            state["idle"],
            state["floor"],
            state["ceiling"],
            state["seen"],
            int(state["at"]),
        )


def horizon_for_age(seconds: float) -> int:
    """The index of the horizon nearest (by ratio) to a model's age; 0 when it is fresh.

    >>> [horizon_for_age(age) for age in (0, 10, 100, 200, 86_400)]
    [0, 1, 1, 2, 3]
    """
    if seconds <= HORIZONS[1] / 20:
        return 0
    ratios = [abs(float(np.log(seconds / horizon))) for horizon in HORIZONS[1:]]
    return 1 + int(np.argmin(ratios))
