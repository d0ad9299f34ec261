"""Published curves as frozen experts: one curve of one feature for each component."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimator.arrays import Floats, State
from estimator.artifacts.kepler_curves import CURVE_TRAINERS, LOGARITHMIC, LOGISTIC
from estimator.errors import DamagedError


class FrozenCurves:
    """One expert: a curve of Kepler's for each of C components.

    ``form`` is the trainer whose formula it is (see `kepler_curves`), ``columns`` [C] say which
    feature each component's curve is of, ``scales`` [C] divide it, ``weights`` [C, W] are the
    formula's.
    """

    kind: Final = "curves"

    def __init__(
        self, form: str, columns: NDArray[np.int64], scales: Floats, weights: Floats
    ) -> None:
        if form not in CURVE_TRAINERS:
            raise DamagedError(f"curves: form is {form!r}: known are {', '.join(CURVE_TRAINERS)}")
        self.form, self.columns, self.scales, self.weights = form, columns, scales, weights

    def predict_many(self, rows: Floats) -> Floats:
        """Watts that the curves say: [K, F] to [K, 1, C]; where a formula has none, NaN."""
        z = rows[:, self.columns] / self.scales
        height, *middle, steepness, offset = self.weights.T
        # A published curve may leave what floats can hold, or the logarithm's domain: guards know.
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            if self.form == LOGISTIC:
                watts = height / (1.0 + np.exp(-steepness * (z - middle[0]))) + offset
            elif self.form == LOGARITHMIC:
                watts = height * np.log(steepness * z + 1.0) + offset
            else:
                watts = height * np.exp(steepness * z) + offset
        said: Floats = watts[:, None, :]
        return said

    def state(self) -> State:
        """Plain data from which `restore_experts` makes the same expert again."""
        return {
            "kind": self.kind,
            "form": self.form,
            "columns": self.columns,
            "scales": self.scales,
            "weights": self.weights,
        }

    @classmethod
    def restore(cls, state: State) -> FrozenCurves:
        """Make the expert that ``state`` was taken of."""
        return cls(str(state["form"]), state["columns"], state["scales"], state["weights"])
