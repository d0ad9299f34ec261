"""From learned models to artifacts in the store."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final, Protocol

from estimator.artifacts.artifact import Artifact, Line, Manifest
from estimator.artifacts.kepler_curves import by_component
from estimator.errors import DamagedError
from estimator.learning.model import PowerModel
from estimator.learning.recent_samples import Samples, together
from estimator.learning.scoring import as_json
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.model_key import ModelKey
from estimator.storage.model_store import ModelStore
from estimator.vocabulary import HORIZONS
from stream.learning.dynamic import dynamic_of
from stream.learning.gate import MARGIN, Gate
from stream.learning.learner import Learner

_log = logging.getLogger(__name__)

FEWEST_SAMPLES: Final = 5
"""A model of fewer samples is not published."""


def artifact_of(
    key: ModelKey, machine: MachineSpec, model: PowerModel, offsets: Mapping[str, int]
) -> Artifact | None:
    """The model as an artifact; None before it has learned anything."""
    if model.current is None or model.since is None:
        return None
    errors = {
        component: {
            str(horizon): dict(as_json(model.assessment.recent.errors(place, number)))
            for place, horizon in enumerate(HORIZONS)
        }
        | model.assessment.strangers.errors(number)
        for number, component in enumerate(model.components)
    }
    manifest = Manifest(
        key=key,
        machine=machine,
        features=list(model.features),
        components=list(model.components),
        experts=list(model.experts),
        horizons=list(HORIZONS),
        samples=model.samples,
        since=model.since,
        at=model.current.at,
        errors=errors,
        lines=_lines(model),
        offsets=dict(offsets),
        curves=by_component(model.curves(), model.components),
    )
    return Artifact(manifest, model.current)


def _lines(model: PowerModel) -> dict[str, Line]:
    found = model.lines()
    if found is None:
        return {}
    bias, weights, scales = found
    return {
        component: Line(
            bias=float(bias[number]),
            weights=dict(zip(model.features, weights[:, number].tolist(), strict=True)),
            scales=dict(zip(model.features, scales.tolist(), strict=True)),
        )
        for number, component in enumerate(model.components)
    }


class Models(Protocol):
    """What is published of: a shard, or what another learner has shown of one."""

    @property
    def partition(self) -> int:
        """The number of the partition that it was learned from."""
        ...

    @property
    def positions(self) -> dict[str, int]:
        """How far each topic had been read."""
        ...

    @property
    def learner(self) -> Learner:
        """The models."""
        ...


def owners_by_key(shards: Sequence[Models]) -> dict[ModelKey, list[Models]]:
    """The shards that have a model of each key, as far as the models are of one shape.

    In the order of their partitions: whoever merges them, the result is the same.
    """
    owners: dict[ModelKey, list[Models]] = {}
    for shard in sorted(shards, key=attrgetter("partition")):
        for key, model in shard.learner.models.items():
            alike = owners.setdefault(key, [])
            first = alike[0].learner.models[key] if alike else model
            if model.components == first.components:
                alike.append(shard)
            elif len(model.components) > len(first.components):
                owners[key] = [shard]
    return owners


class Publisher:
    """Publishes the models that have learned something since they were published last.

    Versions that are worse than the current one by more than ``margin`` are held back.
    """

    def __init__(self, models: ModelStore, margin: float = MARGIN) -> None:
        self._models = models
        self._gate = Gate(models, margin)
        self._published: dict[ModelKey, int] = {}
        self._refused: set[str] = set()
        self._there: dict[ModelKey, set[int]] | None = None

    def _is_there(self, key: ModelKey, samples: int) -> bool:
        """Whether the store has a version of the model that has learned from as many samples.

        Asked once a model, so that a restart does not use up versions with what is there.
        """
        if self._there is None:
            self._there = {
                index.key: {version.samples for version in index.versions}
                for index in self._models.indexes().values()
            }
        return samples in self._there.pop(key, ())

    def publish(self, *shards: Models, others: Sequence[Models] = ()) -> int:
        """Publish what has changed in the shards; how many artifacts that made.

        Nodes of one type lie in several partitions: their models are merged into one, with those
        that ``others`` hold. Whoever has the model's first partition publishes it.
        """
        made = 0
        ours = {shard.partition for shard in shards}
        for key, owners in owners_by_key([*shards, *others]).items():
            if owners[0].partition not in ours:
                continue
            models = [shard.learner.models[key] for shard in owners]
            samples = sum(model.samples for model in models)
            if samples < FEWEST_SAMPLES or samples == self._published.get(key):
                continue
            if self._is_there(key, samples):
                self._published[key] = samples
                continue
            machine = owners[0].learner.machines.get(key.node_type, UNKNOWN_MACHINE)
            model = models[0] if len(models) == 1 else models[0].merged(models[1:])
            offsets = {
                f"{topic}/{shard.partition}": offset
                for shard in owners
                for topic, offset in shard.positions.items()
            }
            artifact = artifact_of(key, machine, model, offsets)
            if artifact is not None:
                noted = together([model.assessment.noted for model in models])
                made += self._put(artifact, noted)
                above = dynamic_of(owners[0].learner.isolator, artifact, model, noted)
                made += above is not None and self._put(*above)
            self._published[key] = samples
        return made

    def _put(self, artifact: Artifact, samples: Samples) -> bool:
        """Publish one artifact; whether it could be. One that cannot stops no other."""
        slug = artifact.manifest.key.slug
        try:
            self._gate.publish(artifact, samples)
        except DamagedError as error:
            if slug not in self._refused:
                _log.warning("model %s is not published: %s", slug, error)
            self._refused.add(slug)
            return False
        self._refused.discard(slug)
        return True
