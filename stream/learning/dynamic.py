"""Power above idle, beside AbsPower: what is learned of it, and what is derived."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.artifact import Artifact, Line
from estimator.isolation.isolator import Isolator
from estimator.isolation.lowered import lowered
from estimator.learning.model import PowerModel
from estimator.learning.recent_samples import Samples
from estimator.vocabulary import ABS_POWER, DYN_POWER
from stream.sample import Sample

MACHINE_LEVELS: Final = frozenset({"cpu_scaling_frequency_hertz", "node_info"})
"""Features that say how the machine is; every workload meets them, none uses them up."""


class Isolated(NamedTuple):
    """Samples' rates [K, F] without those of background workloads, and these; watts above [K, C].

    ``kept`` are the places of the samples whose background is known.
    """

    kept: list[int]
    target: Floats
    watts: Floats


def isolated(
    features: Sequence[str],
    samples: Sequence[Sample],
    models: Sequence[tuple[PowerModel, Sequence[int]]],
) -> Isolated | None:
    """What the samples are above their background; None if no model can say yet.

    The background's power is what the best of the AbsPower models says of the background's rates,
    idle power with it, for it is what the machine would draw without the others. ``models`` go
    with the places of their features; the best is that with the least recent next-sample error of
    its worst component. Watts are never negative.
    """
    kept = [place for place, sample in enumerate(samples) if sample.background is not None]
    known = [(model, columns) for model, columns in models if model.current is not None]
    model, columns = min(known, key=lambda one: _error(one[0]), default=(None, ()))
    if not kept or model is None or model.current is None:
        return None
    shared = np.array([feature in MACHINE_LEVELS for feature in features])
    rates = np.array([samples[place].rates for place in kept])
    background = np.array([samples[place].background for place in kept])
    background = np.where(shared, rates, np.minimum(background, rates))
    target = np.where(shared, rates, rates - background)
    drawn = model.current.predict_many(background[:, columns])
    watts = np.array([samples[place].watts for place in kept])
    return Isolated(kept, target, np.maximum(watts - drawn, 0.0))


def _error(model: PowerModel) -> float:
    """The recent MAE of the next sample, of the worst component; infinite without one."""
    errors = [
        model.assessment.recent.errors(0, number).mae for number in range(len(model.components))
    ]
    return math.inf if any(math.isnan(error) for error in errors) else max(errors)


def dynamic_of(
    isolator: Isolator | None, artifact: Artifact, model: PowerModel, noted: Samples
) -> tuple[Artifact, Samples] | None:
    """DynPower's artifact of what an AbsPower model has learned; None where there is none.

    With it those samples that versions are judged by, isolated as well.
    There is none of a DynPower model, without an isolator, or where samples are isolated one by
    one and learned apart. Errors are AbsPower's: a level less in both, estimate and measurement,
    changes no difference. Percentages of what was measured it would change: there are none.
    """
    manifest = artifact.manifest
    if isolator is None or isolator.hints is not None or manifest.key.output_type != ABS_POWER:
        return None
    level = isolator.level(manifest.key, model)
    if level is None:
        return None
    changed = msgspec.structs.replace(
        manifest,
        key=msgspec.structs.replace(manifest.key, output_type=DYN_POWER),
        errors={
            component: {horizon: {**errors, "mape": None} for horizon, errors in found.items()}
            for component, found in manifest.errors.items()
        },
        lines=_lines(model, level),
        curves=msgspec.UNSET,
    )
    above = noted._replace(
        estimated=np.maximum(noted.estimated - level, 0.0),
        measured=np.maximum(noted.measured - level, 0.0),
    )
    return Artifact(changed, lowered(artifact.model, level)), above


def _lines(model: PowerModel, level: Floats) -> dict[str, Line]:
    found = model.lines_above(level)
    if found is None:
        return {}
    weights, scales = found
    return {
        component: Line(
            bias=0.0,
            weights=dict(zip(model.features, weights[:, number].tolist(), strict=True)),
            scales=dict(zip(model.features, scales.tolist(), strict=True)),
        )
        for number, component in enumerate(model.components)
    }
