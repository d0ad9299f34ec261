"""A frozen model less a level: what it says above idle, from the sums that it has already."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.artifacts.frozen import (
    FrozenExperts,
    FrozenModel,
    FrozenPolynomials,
    FrozenTrees,
    restore_experts,
)
from estimator.artifacts.frozen_curves import FrozenCurves
from estimator.artifacts.frozen_neighbours import FrozenNeighbours


def lowered(model: FrozenModel, level: Floats) -> FrozenModel:
    """The model that says of each row ``level`` [C] watts less, but nothing below 0.

    It is what the experts would have learned of measurements less the level: the constant term of
    a curve goes without a penalty, and trees and neighbours say means of what was measured. A row
    of zeros is answered with 0.
    """
    return FrozenModel(
        banks=[_lowered(bank, level) for bank in model.banks],
        weights=model.weights,
        idle=np.zeros_like(model.idle),
        floor=np.zeros_like(model.floor),
        ceiling=np.maximum(model.ceiling - level, 0.0),
        seen=model.seen,
        at=model.at,
    )


def _lowered(bank: FrozenExperts, level: Floats) -> FrozenExperts:
    state = bank.state()
    return restore_experts({**state, **LOWERED[state["kind"]](state, level)})


def _polynomials(state: State, level: Floats) -> State:
    coefficients = state["coefficients"].copy()
    coefficients[:, 0] -= level
    return {"coefficients": coefficients}


def _trees(state: State, level: Floats) -> State:
    """Leaves of each component's trees lowered; no tree is of two components."""
    owners: NDArray[Any] = np.zeros(len(state["value"]), dtype=np.intp)
    for component, roots in enumerate(state["roots"]):
        owners[roots] = component
    for node in np.flatnonzero(state["feature"] >= 0):
        # Children come after their parents.
        owners[state["left"][node]] = owners[state["right"][node]] = owners[node]
    return {"value": state["value"] - level[owners]}


def _neighbours(state: State, level: Floats) -> State:
    """What they drew is less; along the curve only differences count."""
    return {"watts": state["watts"] - level}


def _curves(state: State, level: Floats) -> State:
    """The last weight of every form is its offset."""
    weights = state["weights"].copy()
    weights[:, -1] -= level
    return {"weights": weights}


LOWERED: Final[Mapping[str, Callable[[State, Floats], State]]] = {
    FrozenPolynomials.kind: _polynomials,
    FrozenTrees.kind: _trees,
    FrozenNeighbours.kind: _neighbours,
    FrozenCurves.kind: _curves,
}
"""For each kind of frozen experts what is other in those that say less."""
