"""Models as the weights that Kepler's own regressor reads, and that regressor's arithmetic.

Kepler up to 0.9 (``pkg/model/estimator/local/regressor``) asks the model server for them once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import asdict

from estimator.artifacts.artifact import Line
from estimator.artifacts.kepler_curves import CURVE_TRAINERS, Curve
from estimator.choosing.catalog import Entry
from estimator.choosing.shelf import LINEAR_TRAINER, curves_of
from estimator.errors import DamagedError, NoModelError

_PLATFORM: Final = "platform"
_PARTS: Final = ("package", "core", "uncore", "dram")
_UINT64: Final = 1 << 64
_INT64: Final = 1 << 63

_Curve = Callable[[Sequence[float], float], float]


def weights_answer(entry: Entry, trainer: str = LINEAR_TRAINER) -> dict[str, Any]:
    """The answer to a request for weights, in Kepler's JSON; ``NoModelError`` if it has none.

    Linear unless a curve's trainer is named: Kepler applies a curve to the first feature of its
    list, whatever that is. Numbers in ``machine_spec`` are integers: Kepler reads no others.
    Components that Kepler does not know, such as psys, are left out.
    """
    manifest = entry.manifest
    if trainer in CURVE_TRAINERS:
        curves = curves_of(entry).get(trainer, {})
        weights = {name: _curve_weights(curve) for name, curve in curves.items()}
    else:
        trainer = LINEAR_TRAINER
        weights = {name: _all_weights(line) for name, line in manifest.lines.items()}
    names = [_PLATFORM] if _PLATFORM in weights else [part for part in _PARTS if part in weights]
    if not names:
        what = "linear weights" if trainer == LINEAR_TRAINER else f"weights of {trainer}"
        raise NoModelError(f"model {manifest.key.slug} has no {what} for Kepler")
    return {
        "model_name": f"{trainer}_{entry.number}",
        "machine_spec": asdict(manifest.machine),
        **{name: {"All_Weights": weights[name]} for name in names},
    }


def _curve_weights(curve: Curve) -> dict[str, Any]:
    return {
        "Bias_Weight": 0.0,
        "Categorical_Variables": {},
        "Numerical_Variables": {curve.feature: {"scale": curve.scale, "weight": 0.0}},
        "CurveFit_Weights": curve.weights,
    }


def _all_weights(line: Line) -> dict[str, Any]:
    return {
        "Bias_Weight": line.bias,
        "Categorical_Variables": {},
        "Numerical_Variables": {
            feature: {"scale": line.scales[feature], "weight": weight}
            for feature, weight in line.weights.items()
        },
    }


def evaluate_as_kepler(
    weights: Mapping[str, Any],
    values: Mapping[str, float],
    architecture: str = "",
    core_ratio: float = 1.0,
) -> dict[str, int]:
    """Milliwatts by component that Kepler 0.9 computes from such weights, to the last bit.

    ``values`` are rates by feature in the order in which Kepler has them, ``core_ratio`` what it
    applies to idle power. ``DamagedError`` for weights that Kepler refuses or breaks down at.

    >>> line = {"All_Weights": {"Bias_Weight": 1.0, "Categorical_Variables": {},
    ...         "Numerical_Variables": {"cpu_cycles": {"scale": 10.0, "weight": 2.0}}}}
    >>> evaluate_as_kepler({"model_name": "SGDRegressorTrainer_1", "platform": line},
    ...                    {"cpu_cycles": 15.0})
    {'platform': 4000}
    """
    trainer = str(weights.get("model_name", "")).rpartition("_")[0]

    def milliwatts(component: str) -> int:
        model = weights.get(component)
        if model is None:
            return 0
        watts = _watts(trainer, model["All_Weights"], values, architecture)
        return _as_uint64(watts * 1000 * core_ratio)

    if weights.get(_PLATFORM) is not None:
        return {_PLATFORM: milliwatts(_PLATFORM)}
    if not any(weights.get(part) is not None for part in _PARTS):
        raise DamagedError(f"weights are not valid: they have none of {_PLATFORM}, {_PARTS}")
    return _fill({part: milliwatts(part) for part in _PARTS})


def _watts(
    trainer: str, model: Mapping[str, Any], values: Mapping[str, float], architecture: str
) -> float:
    numerical = model.get("Numerical_Variables") or {}
    scaled = {name: _scaled(value, numerical.get(name, {})) for name, value in values.items()}
    categories = (model.get("Categorical_Variables") or {}).get("cpu_architecture", {})
    base = float(categories.get(architecture, {}).get("weight", 0.0))
    curve = model.get("CurveFit_Weights") or []
    count, function = _CURVES.get(trainer, (0, None))
    if len(curve) != count:
        raise DamagedError(f"CurveFit_Weights are {len(curve)}: {trainer or 'linear'} has {count}")
    if function is not None:
        return base + function(curve, next(iter(scaled.values()), 0.0))
    watts = float(model.get("Bias_Weight", 0.0)) + base
    for name, x in scaled.items():
        watts += float(numerical.get(name, {}).get("weight", 0.0)) * x
    return watts


def _scaled(value: float, variable: Mapping[str, float]) -> float:
    scale = variable.get("scale", 0.0)
    return value / scale if scale else 0.0


def _exp(power: float) -> float:
    try:
        return math.exp(power)
    except OverflowError:
        return math.inf


def _logistic(weights: Sequence[float], z: float) -> float:
    height, middle, steepness, offset = weights
    return height / (1 + _exp(-steepness * (z - middle))) + offset


def _logarithmic(weights: Sequence[float], z: float) -> float:
    height, steepness, offset = weights
    inside = steepness * z + 1
    if inside <= 0:
        return math.nan if inside < 0 else -math.inf * height
    return height * math.log(inside) + offset


def _exponential(weights: Sequence[float], z: float) -> float:
    height, steepness, offset = weights
    return height * _exp(steepness * z) + offset


_CURVES: Final[Mapping[str, tuple[int, _Curve | None]]] = {
    "LogisticRegressionTrainer": (4, _logistic),
    "LogarithmicRegressionTrainer": (3, _logarithmic),
    "ExponentialRegressionTrainer": (3, _exponential),
}


def _as_uint64(value: float) -> int:
    """What Go makes of a float64 on amd64: truncated, negative ones wrap, NaN is 2**63."""
    if not math.isfinite(value) or not -_INT64 <= value < _UINT64:
        return _INT64
    return int(value) % _UINT64


def _fill(parts: dict[str, int]) -> dict[str, int]:
    """Kepler's ``FillNodeComponentsPower``: a package holds its parts, the core what is left."""
    package = max(parts["package"], (parts["core"] + parts["uncore"]) % _UINT64)
    core = parts["core"] or (package - parts["uncore"]) % _UINT64
    return {**parts, "package": package, "core": core}
