"""Of a fleet's models those that this machine may need: a node need not hold all of them."""

from __future__ import annotations

from collections.abc import Iterable

from estimator.artifacts.artifact import Artifact
from estimator.choosing.similarity import NodeTypeSearch
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.storage.model_source import ModelSource
from estimator.storage.model_store import ModelIndex, Version
from estimator.vocabulary import canonical_source


class NearbyModels:
    """The models of a source, of each kind only those of the machine's node type.

    A kind is source, output type and features. Where none is of the machine's type, those of the
    most similar type are there, which is what `Catalog.select` would choose.
    """

    def __init__(self, source: ModelSource, machine: MachineSpec) -> None:
        self._source = source
        self._machine = machine

    def move(self, machine: MachineSpec) -> None:
        """Have the next `indexes` be of another machine."""
        self._machine = machine

    @property
    def unreadable(self) -> frozenset[str]:
        """After `indexes`: the slugs of models that are there and cannot be read."""
        return self._source.unreadable

    def indexes(self) -> dict[str, ModelIndex]:
        """The index of every model that may be needed, by slug."""
        found = self._source.indexes()
        if self._machine == UNKNOWN_MACHINE:
            return found
        kinds: dict[tuple[object, ...], dict[str, ModelIndex]] = {}
        for slug, index in found.items():
            key = index.key
            features = frozenset(_current(index).features)
            kind = canonical_source(key.source), key.output_type, features
            kinds.setdefault(kind, {})[slug] = index
        nearby: dict[str, ModelIndex] = {}
        for alike in kinds.values():
            nearest = self._nearest(alike.values())
            nearby.update(
                (slug, index) for slug, index in alike.items() if index.key.node_type == nearest
            )
        return nearby

    def _nearest(self, indexes: Iterable[ModelIndex]) -> str:
        types: dict[str, tuple[MachineSpec, int]] = {}
        for index in indexes:
            version = _current(index)
            types[index.key.node_type] = version.machine, max(version.samples, 1)
        machines, members = zip(*types.values(), strict=True)
        place = NodeTypeSearch(machines, members).search(self._machine, loose=True).place
        return list(types)[place]

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; ``NotFoundError`` or ``DamagedError``."""
        return self._source.artifact(digest)

    def artifact_bytes(self, digest: str) -> bytes:
        """Its bytes, of which the digest has been checked."""
        return self._source.artifact_bytes(digest)

    def number(self, node_type: MachineSpec | str) -> int:
        """The node type's number for Kepler."""
        return self._source.number(node_type)


def _current(index: ModelIndex) -> Version:
    return next(version for version in index.versions if version.digest == index.current)
