"""In what two versions of a model differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from estimator.artifacts.artifact import Artifact

Facts: TypeAlias = Mapping[tuple[str, str, str], float]
"""What is said, of what, and in which unit."""

LEARNED_UNTIL: Final = "learned until"
"""Unix seconds."""


class Difference(NamedTuple):
    """A figure that is not the same in both; None where one does not have it."""

    what: str
    of: str
    a: float | None
    b: float | None
    unit: str


def difference(a: Artifact, b: Artifact) -> list[Difference]:
    """What is not the same in both: samples, errors, features, lines, ranges, idle power.

    Weights are those of the lines, in watts per unit of the feature; a feature that one of them
    does not have lacks its range there.
    """
    one, other = dict(_facts(a)), dict(_facts(b))
    return [
        Difference(what, of, one.get((what, of, unit)), other.get((what, of, unit)), unit)
        for what, of, unit in dict.fromkeys([*one, *other])
        if one.get((what, of, unit)) != other.get((what, of, unit))
    ]


def _facts(artifact: Artifact) -> Iterator[tuple[tuple[str, str, str], float]]:
    manifest, model = artifact
    yield ("samples", "", ""), manifest.samples
    yield (LEARNED_UNTIL, "", "s"), manifest.at / 1000
    for component, horizons in manifest.errors.items():
        for horizon, errors in horizons.items():
            for measure, unit in (("mae", "W"), ("bias", "W"), ("r2", "")):
                if (value := errors.get(measure)) is not None:
                    yield (f"{measure} {horizon} s", component, unit), value
    for place, feature in enumerate(manifest.features):
        yield ("least seen", feature, "/s"), float(model.seen[0, place])
        yield ("most seen", feature, "/s"), float(model.seen[1, place])
    for component, line in manifest.lines.items():
        yield ("line bias", component, "W"), line.bias
        for feature, weight in line.weights.items():
            yield ("line weight", f"{component} {feature}", "W s"), weight / line.scales[feature]
    for place, component in enumerate(manifest.components):
        for what, values in (
            ("idle", model.idle),
            ("least power", model.floor),
            ("most power", model.ceiling),
        ):
            yield (what, component, "W"), float(values[place])
