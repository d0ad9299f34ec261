"""A model at one moment: plain arrays and one prediction function, for learning and for serving.

The learner scores frozen models of some minutes ago, an artifact is a frozen model on disk, the
estimator answers with one: all three by `FrozenModel.predict_many`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, TypeGuard

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.artifacts.chunks import Chunked, Chunks
from estimator.artifacts.expansion import expansion
from estimator.artifacts.frozen_curves import FrozenCurves
from estimator.artifacts.frozen_neighbours import FrozenNeighbours
from estimator.errors import DamagedError
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
        self.terms = np.ascontiguousarray(coefficients.transpose(1, 0, 2))
        self.order = order

    @classmethod
    def of_terms(cls, scales: Floats, terms: Floats, order: int) -> FrozenPolynomials:
        """The same of coefficients [D, E, C], which are not copied."""
        made = cls.__new__(cls)
        made.scales, made.terms, made.order = scales, terms, order
        return made

    @property
    def coefficients(self) -> Floats:
        """What weighs the terms: [E, D, C]."""
        return np.ascontiguousarray(self.terms.transpose(1, 0, 2))

    def predict_many(self, rows: Floats) -> Floats:
        """Watts that each expert says: [K, F] to [K, E, C]."""
        return _products([self], rows, [slice(0, len(rows))])

    @staticmethod
    def predict_each(
        experts: Sequence[FrozenPolynomials], rows: Floats, parts: Sequence[slice]
    ) -> Floats:
        """What each of several, alike in shape, says of its own part of the rows: [R, E, C]."""
        return _products(experts, rows, parts)

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


def _products(experts: Sequence[FrozenPolynomials], rows: Floats, parts: Sequence[slice]) -> Floats:
    first = experts[0]
    terms, count, components = first.terms.shape
    expand = expansion(rows.shape[1], first.order).expand
    size = sizes_of(parts)
    if isinstance(size, int):  # as many rows each: one product for all
        scales = np.repeat(np.array([one.scales for one in experts]), size, axis=0)
        matrices = np.array([one.terms for one in experts]).reshape(-1, terms, count * components)
        flat = np.matmul(expand(rows / scales).reshape(-1, size, terms), matrices)
    else:
        found = [
            np.matmul(expand(rows[part] / one.scales), one.terms.reshape(terms, -1))
            for one, part in zip(experts, parts, strict=True)
        ]
        flat = np.concatenate(found)
    said: Floats = flat.reshape(len(rows), count, components)
    return said


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
    FrozenNeighbours.kind: FrozenNeighbours.restore,
    FrozenCurves.kind: FrozenCurves.restore,
}


def restore_experts(state: State, chunks: Chunks | None = None) -> FrozenExperts:
    """Make the frozen experts that ``state`` was taken of; ``DamagedError`` for unknown kinds.

    ``chunks`` hold the rows of those that were taken apart by `chunked_state`.
    """
    if chunks is not None and "chunk" in state:
        return FrozenNeighbours.restore(state, chunks)
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
        return opinions_of([self], rows, [slice(0, len(rows))])

    def settle(self, rows: Floats, opinions: Floats, horizon: int = 0) -> Floats:
        """The experts' opinions [K, E, C] on rows [K, F] made one: [K, C] watts."""
        watts = weighed(opinions, self.weights[horizon])
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

    def state(self, chunks: Chunks | None = None) -> State:
        """Plain data from which `restore` makes the same model again.

        With ``chunks``, rows that several models share are left to these.
        """
        return {
            "banks": [
                bank.chunked_state(chunks)
                if chunks is not None and isinstance(bank, Chunked)
                else bank.state()
                for bank in self.banks
            ],
            "weights": self.weights,
            "idle": self.idle,
            "floor": self.floor,
            "ceiling": self.ceiling,
            "seen": self.seen,
            "at": self.at,
        }

    @classmethod
    def restore(cls, state: State, chunks: Chunks | None = None) -> FrozenModel:
        """Make the model that ``state`` was taken of."""
        return cls(
            [restore_experts(bank, chunks) for bank in state["banks"]],
            state["weights"],
            state["idle"],
            state["floor"],
            state["ceiling"],
            state["seen"],
            int(state["at"]),
        )


def opinions_of(models: Sequence[FrozenModel], rows: Floats, parts: Sequence[slice]) -> Floats:
    """What the experts of models of one kind say, each model of its part: [R, F] to [R, E, C].

    It is what each model's `FrozenModel.opinions` says, to the last bit, for less.
    """
    sizes = sizes_of(parts)
    least, most = per_row([model.seen for model in models], sizes).swapaxes(0, 1)
    within = np.minimum(np.maximum(rows, least), most)
    said = [
        _said_by([model.banks[place] for model in models], within, parts)
        for place in range(len(models[0].banks))
    ]
    watts = said[0] if len(said) == 1 else np.concatenate(said, axis=1)
    floors = per_row([model.floor for model in models], sizes)[:, None]
    uppers = per_row([model.upper for model in models], sizes)[:, None]
    # An expert that has lost its way says NaN: it counts as saying the least.
    return np.fmin(np.fmax(watts, floors), uppers)


def sizes_of(parts: Sequence[slice]) -> int | list[int]:
    """How many rows each part has; one number if all have as many."""
    sizes = [part.stop - part.start for part in parts]
    return sizes[0] if sizes.count(sizes[0]) == len(sizes) else sizes


def per_row(values: Sequence[Floats], sizes: int | Sequence[int]) -> Floats:
    """One array for each row, of one for each part of so many rows."""
    array = np.array(values)
    return array if sizes == 1 else np.repeat(array, sizes, axis=0)


def _said_by(experts: Sequence[FrozenExperts], rows: Floats, parts: Sequence[slice]) -> Floats:
    first = experts[0]
    if isinstance(first, FrozenPolynomials) and _of_a_shape(experts, first):
        return FrozenPolynomials.predict_each(experts, rows, parts)
    if isinstance(first, FrozenNeighbours) and _all_neighbours(experts):
        return FrozenNeighbours.predict_each(experts, rows, parts)
    return np.concatenate(
        [one.predict_many(rows[part]) for one, part in zip(experts, parts, strict=True)]
    )


def _of_a_shape(
    experts: Sequence[FrozenExperts], first: FrozenPolynomials
) -> TypeGuard[Sequence[FrozenPolynomials]]:
    return all(
        isinstance(one, FrozenPolynomials) and one.terms.shape == first.terms.shape
        for one in experts
    )


def _all_neighbours(
    experts: Sequence[FrozenExperts],
) -> TypeGuard[Sequence[FrozenNeighbours]]:
    return all(isinstance(one, FrozenNeighbours) for one in experts)


def weighed(opinions: Floats, weights: Floats) -> Floats:
    """The experts' opinions [..., E, C] by their weights [..., E, C]: [..., C].

    Added up one expert after the other, so that no bit depends on how many rows there are.
    """
    said: Floats = opinions[..., 0, :] * weights[..., 0, :]
    for expert in range(1, opinions.shape[-2]):
        said += opinions[..., expert, :] * weights[..., expert, :]
    return said


def horizon_for_age(seconds: float) -> int:
    """The index of the horizon nearest (by ratio) to a model's age; 0 when it is fresh.

    >>> [horizon_for_age(age) for age in (0, 10, 100, 200, 86_400)]
    [0, 1, 1, 2, 3]
    """
    if seconds <= HORIZONS[1] / 20:
        return 0
    ratios = [abs(float(np.log(seconds / horizon))) for horizon in HORIZONS[1:]]
    return 1 + int(np.argmin(ratios))
