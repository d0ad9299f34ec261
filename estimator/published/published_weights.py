"""One file of published weights in Kepler's format, as an artifact that can be served.

All four kinds of kepler-model-server's weights are read: lines, and the curves of one feature.
Of which feature a curve is, no file says; kepler-model-server's rule does, see `main_feature`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.artifact import Artifact, Line, Manifest
from estimator.artifacts.frozen import FrozenExperts, FrozenModel, FrozenPolynomials
from estimator.artifacts.frozen_curves import FrozenCurves
from estimator.artifacts.kepler_curves import CURVE_TRAINERS, Curve
from estimator.choosing.shelf import LINEAR_TRAINER
from estimator.errors import DamagedError
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.vocabulary import DYN_POWER, HORIZONS, OutputType, component_order

TRAINERS: Final = (LINEAR_TRAINER, *CURVE_TRAINERS)
"""The kinds of weights, in the order in which they are preferred: Kepler asks for lines."""
MOST_WATTS: Final = 10_000.0
"""Published weights know no maximum; no node draws more."""

_COMPONENTS: Final = frozenset({"package", "core", "uncore", "dram", "platform"})


class _Variable(msgspec.Struct):
    scale: float
    weight: float = 0.0


class _Weights(msgspec.Struct):
    bias: float = msgspec.field(name="Bias_Weight", default=0.0)
    numerical: dict[str, _Variable] = msgspec.field(
        name="Numerical_Variables", default_factory=dict
    )
    curve: list[float] = msgspec.field(name="CurveFit_Weights", default_factory=list)


class _Component(msgspec.Struct):
    weights: _Weights = msgspec.field(name="All_Weights")


class Place(NamedTuple):
    """Where a file lies in a pipeline, and so what it is of."""

    pipeline: str
    source: str
    output_type: OutputType
    group: str
    trainer: str
    number: str

    @property
    def origin(self) -> str:
        """What models of it are marked with."""
        return f"{self.pipeline}/{self.trainer}"


def main_feature(features: Sequence[str], component: str) -> str:
    """The feature that a published curve is of: kepler-model-server's rule.

    >>> main_feature(["bpf_cpu_time_ms", "bpf_page_cache_hit"], "dram")
    'bpf_page_cache_hit'
    >>> main_feature(["cache_miss", "cpu_instructions"], "package")
    'cpu_instructions'
    """
    counted, otherwise = (
        ("cache_miss", "bpf_page_cache_hit")
        if component == "dram"
        else ("cpu_instructions", "bpf_cpu_time_ms")
    )
    return counted if counted in features else otherwise


def published_artifact(
    data: bytes, place: Place, machine: MachineSpec, members: int = 1
) -> Artifact:
    """The file's model, marked as imported; ``DamagedError`` says what is wrong with it.

    Nothing in it depends on when it was read: the same file makes the same artifact.
    """
    parts = _parse(data)
    features = sorted({name for weights in parts.values() for name in weights.numerical})
    if not features:
        raise DamagedError("Numerical_Variables name no feature")
    expert = (
        _line_expert(parts, features, place)
        if place.trainer == LINEAR_TRAINER
        else _curve_expert(parts, features, place)
    )
    key = ModelKey(
        machine.node_type, place.source, place.output_type, place.group, imported=place.origin
    )
    curves = {
        name: Curve(main_feature(features, name), _scale(weights, features, name), weights.curve)
        for name, weights in parts.items()
    }
    manifest = Manifest(
        key=key,
        machine=machine,
        features=features,
        components=list(parts),
        experts=[place.trainer],
        members=members,
        horizons=list(HORIZONS),
        samples=0,
        since=0,
        at=0,
        errors={},
        lines=_lines(parts, place) if place.trainer == LINEAR_TRAINER else {},
        curves=msgspec.UNSET if place.trainer == LINEAR_TRAINER else {place.trainer: curves},
    )
    return Artifact(manifest, _frozen(expert, parts, features, place))


def _parse(data: bytes) -> dict[str, _Weights]:
    """The weights by component, in the vocabulary's order."""
    try:
        document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        parts = {
            name: msgspec.json.decode(document[name], type=_Component).weights
            for name in component_order(set(document) & _COMPONENTS)
        }
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"no weights: {error}") from error
    if not parts:
        raise DamagedError("it has weights of no component")
    for name, weights in parts.items():
        numbers = [weights.bias, *weights.curve]
        for variable in weights.numerical.values():
            numbers += [variable.scale, variable.weight]
        if not all(map(math.isfinite, numbers)):
            raise DamagedError(f"{name} has values that are not finite")
    return parts


def _frozen(
    expert: FrozenExperts, parts: Mapping[str, _Weights], features: Sequence[str], place: Place
) -> FrozenModel:
    most = np.full(len(features), np.finfo(float).max)
    if place.trainer != LINEAR_TRAINER:
        # Beyond what it was fitted to, an exponential leaves the earth; scales are the greatest
        # values there were.
        most = np.array(
            [max(one.numerical[name].scale for one in _with(parts, name)) for name in features]
        )
    zeros = np.zeros(len(parts))
    model = FrozenModel(
        banks=[expert],
        weights=np.ones((len(HORIZONS), 1, len(parts))),
        idle=zeros,
        floor=zeros,
        ceiling=np.full(len(parts), MOST_WATTS),
        seen=np.array([np.zeros(len(features)), np.maximum(most, 0.0)]),
        at=0,
    )
    if place.output_type != DYN_POWER:
        model.idle = model.opinions(np.zeros((1, len(features))))[0, 0]
    return model


def _with(parts: Mapping[str, _Weights], feature: str) -> list[_Weights]:
    return [weights for weights in parts.values() if feature in weights.numerical]


def _line_expert(
    parts: Mapping[str, _Weights], features: Sequence[str], place: Place
) -> FrozenPolynomials:
    rows = []
    for name, weights in parts.items():
        if weights.curve:
            raise DamagedError(f"{name} has CurveFit_Weights, and {place.trainer} has none")
        # Above idle there is nothing where there is no usage, whatever the published bias says.
        bias = 0.0 if place.output_type == DYN_POWER else weights.bias
        rows.append([bias, *(_slope(weights.numerical.get(feature)) for feature in features)])
    return FrozenPolynomials(np.ones(len(features)), np.array(rows).T[None], order=1)


def _slope(variable: _Variable | None) -> float:
    return variable.weight / variable.scale if variable and variable.scale > 0 else 0.0


def _lines(parts: Mapping[str, _Weights], place: Place) -> dict[str, Line]:
    # Kepler shares what is above idle by these; a published bias there is no one's usage.
    above = place.output_type == DYN_POWER
    return {
        name: Line(
            0.0 if above else weights.bias,
            {name: one.weight for name, one in weights.numerical.items() if one.scale > 0},
            {name: one.scale for name, one in weights.numerical.items() if one.scale > 0},
        )
        for name, weights in parts.items()
    }


def _curve_expert(
    parts: Mapping[str, _Weights], features: Sequence[str], place: Place
) -> FrozenCurves:
    wanted = CURVE_TRAINERS[place.trainer]
    for name, weights in parts.items():
        if len(weights.curve) != wanted:
            raise DamagedError(
                f"{name} has {len(weights.curve)} CurveFit_Weights: {place.trainer} has {wanted}"
            )
        if main_feature(features, name) not in features:
            raise DamagedError(
                f"{name}: of which of {', '.join(features)} its curve is, is unknown"
            )
    curves: Floats = np.array([weights.curve for weights in parts.values()], dtype=np.float64)
    if place.output_type == DYN_POWER:
        curves[:, -1] = 0.0
    return FrozenCurves(
        place.trainer,
        np.array([features.index(main_feature(features, name)) for name in parts], np.int64),
        np.array([_scale(weights, features, name) for name, weights in parts.items()]),
        curves,
    )


def _scale(weights: _Weights, features: Sequence[str], component: str) -> float:
    variable = weights.numerical.get(main_feature(features, component))
    return variable.scale if variable is not None and variable.scale > 0 else 1.0
