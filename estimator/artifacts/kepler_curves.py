"""Curves of one feature, by the names of the trainers by which Kepler knows their formulas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from estimator.errors import DamagedError

LOGISTIC: Final = "LogisticRegressionTrainer"
"""``height / (1 + exp(-steepness * (z - middle))) + offset``, of [height, middle, steepness,
offset] and z = rate / scale."""
LOGARITHMIC: Final = "LogarithmicRegressionTrainer"
"""``height * log(steepness * z + 1) + offset``, of [height, steepness, offset]."""
EXPONENTIAL: Final = "ExponentialRegressionTrainer"
"""``height * exp(steepness * z) + offset``, of [height, steepness, offset]."""

CURVE_TRAINERS: Final[Mapping[str, int]] = {LOGISTIC: 4, LOGARITHMIC: 3, EXPONENTIAL: 3}
"""How many weights each has: with another number Kepler ends with a panic."""


class Curve(msgspec.Struct, frozen=True):
    """A curve of one feature: its rate is divided by ``scale``; ``weights`` as the trainer's."""

    feature: str
    scale: float
    weights: list[float]


Curves = dict[str, dict[str, Curve]]
"""Curves by trainer and component."""


def by_component(
    found: Mapping[str, Sequence[Curve]], components: Sequence[str]
) -> Curves | msgspec.UnsetType:
    """Curves by trainer, in the order of the components, as manifests have them; unset if none."""
    if not found:
        return msgspec.UNSET
    return {name: dict(zip(components, curves, strict=True)) for name, curves in found.items()}


def check_curves(curves: Curves, features: Sequence[str], components: Sequence[str]) -> None:
    """Refuse, with ``DamagedError``, curves that Kepler would break down at."""
    for trainer, found in curves.items():
        for component, curve in found.items():
            where = f"curves.{trainer}.{component}"
            if component not in components or curve.feature not in features:
                raise DamagedError(f"{where} is of a component or feature that there is not")
            if len(curve.weights) != CURVE_TRAINERS.get(trainer):
                raise DamagedError(f"{where} has {len(curve.weights)} weights")
            if not all(map(math.isfinite, (curve.scale, *curve.weights))) or curve.scale <= 0:
                raise DamagedError(f"{where} has values that are not finite, or no scale above 0")
