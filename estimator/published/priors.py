"""Imported models as priors: which of them a machine that is met first starts from."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.artifact import Artifact
from estimator.choosing.similarity import NodeTypeSearch
from estimator.errors import DamagedError, NotFoundError
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.model_key import ModelKey
from estimator.published.published_weights import TRAINERS
from estimator.regressors.prior import Prior
from estimator.storage.model_store import ModelStore
from estimator.vocabulary import canonical_source

_LOADS: Final = 9
"""At so many loads from none to the greatest the imported model is asked."""
_PARTS: Final = {"core": "package", "psys": "package"}
"""What follows another component where nothing is known of it: a part of it, or its whole."""
_LEAST_WATTS: Final = 1e-6

_log = logging.getLogger(__name__)


class _Known(NamedTuple):
    """An imported model, the features that it heeds, and up to which rate it was learned."""

    artifact: Artifact
    most: Mapping[str, float]


class Priors:
    """Imported models, to start others from."""

    def __init__(self, artifacts: Iterable[Artifact]) -> None:
        self._known: dict[tuple[str, str], list[_Known]] = {}
        for artifact in artifacts:
            key = artifact.manifest.key
            known = _Known(artifact, _heeded(artifact))
            if known.most:
                place = canonical_source(key.source), key.output_type
                self._known.setdefault(place, []).append(known)

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def prior(
        self,
        key: ModelKey,
        machine: MachineSpec,
        features: Sequence[str],
        components: Sequence[str],
    ) -> Prior | None:
        """What a model of that key starts from; None where nothing fits.

        Of the imported models whose features it has, one of the most similar machine, by the rules
        by which Kepler is given models; a line rather than a curve.
        """
        if machine == UNKNOWN_MACHINE:
            return None
        fitting = [
            known
            for known in self._known.get((canonical_source(key.source), key.output_type), ())
            if known.most.keys() <= set(features)
        ]
        if not fitting:
            return None
        types: dict[str, tuple[MachineSpec, int]] = {}
        for known in fitting:
            manifest = known.artifact.manifest
            _, members = types.get(manifest.key.node_type, (manifest.machine, 1))
            members = max(members, manifest.members_known)
            types[manifest.key.node_type] = manifest.machine, members
        machines, counts = zip(*types.values(), strict=True)
        match = NodeTypeSearch(machines, counts).search(machine, loose=True)
        node_type = list(types)[match.place]
        chosen = min(
            (one for one in fitting if one.artifact.manifest.key.node_type == node_type),
            key=_preference,
        )
        found = _scaled(chosen, machine, features, components)
        if found is None:
            return None
        found = found._replace(likeness=1.0 - match.looseness)
        _log.info(
            "model %s starts from %s (%.0f %% alike)", key.slug, found.origin, 100 * found.likeness
        )
        return found


def imported_priors(models: ModelStore) -> Priors:
    """All imported models of the store, as it is now; those that are damaged are left out."""
    found = []
    for slug, index in sorted(models.indexes().items()):
        if not index.key.imported:
            continue
        try:
            found.append(models.artifact(index.current))
        except (DamagedError, NotFoundError) as error:
            _log.warning("nothing starts from the imported model %s: %s", slug, error)
    return Priors(found)


def _preference(known: _Known) -> tuple[int, str]:
    manifest = known.artifact.manifest
    return TRAINERS.index(manifest.experts[0]), manifest.key.slug


def _heeded(artifact: Artifact) -> dict[str, float]:
    """The features that make a difference to the model, and the greatest rate of each."""
    manifest, model = artifact
    found = {}
    for column, feature in enumerate(manifest.features):
        most = _greatest(artifact, feature)
        rows = np.zeros((2, len(manifest.features)))
        rows[1, column] = most
        none, all_of_it = model.opinions(rows)[:, 0]
        if (np.abs(all_of_it - none) > _LEAST_WATTS).any():
            found[feature] = most
    return found


def _greatest(artifact: Artifact, feature: str) -> float:
    """The greatest rate that the model was learned from: published scales are that."""
    manifest, model = artifact
    scales = [line.scales[feature] for line in manifest.lines.values() if feature in line.scales]
    return max(scales) if scales else float(model.seen[1, manifest.features.index(feature)])


def _scaled(
    known: _Known, machine: MachineSpec, features: Sequence[str], components: Sequence[str]
) -> Prior | None:
    """What the machine would draw if it were the imported one at another size.

    Full load is as much more as there are more cores. What it draws then is so much more as the
    mean of (the ratios of) cores and sockets says: newer machines have more cores to a socket,
    and draw about the same. None if nothing is known of any of the components.
    """
    manifest, model = known.artifact
    cores = _ratio(machine.cores, manifest.machine.cores)
    size = (cores * _ratio(machine.chips, manifest.machine.chips)) ** 0.5
    names = list(known.most)
    loads = np.linspace(0.0, 1.0, _LOADS)
    shares = np.concatenate([np.outer(loads, one) for one in _directions(len(names))])
    asked = np.zeros((len(shares), len(manifest.features)))
    rows = np.zeros((len(shares), len(features)))
    for column, name in enumerate(names):
        rate = shares[:, column] * known.most[name]
        asked[:, manifest.features.index(name)] = rate
        rows[:, features.index(name)] = rate * cores
    said = dict(zip(manifest.components, model.opinions(asked)[:, 0].T * size, strict=True))
    watts = [_component(name, said) for name in components]
    if not any(np.ptp(one) > _LEAST_WATTS for one in watts):
        return None
    origin = f"{manifest.key.imported} of {manifest.key.node_type}"
    return Prior(origin, rows, np.array(watts).T)


def _component(name: str, said: Mapping[str, Floats]) -> Floats:
    """What is known of a component, or of what it is a part of; what is unknown does not grow."""
    nothing = np.zeros_like(next(iter(said.values())))
    found = said.get(name, nothing)
    if np.ptp(found) <= _LEAST_WATTS and name in _PARTS:
        return said.get(_PARTS[name], nothing)
    return found


def _directions(count: int) -> Floats:
    """Along what features loads are told apart: each alone, and all together."""
    alone = np.eye(count)
    return alone if count == 1 else np.concatenate([alone, np.ones((1, count))])


def _ratio(ours: int, theirs: int) -> float:
    return ours / theirs if ours and theirs else 1.0
