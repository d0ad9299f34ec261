"""Artifacts by digest, and per model an index that says which of them is current."""

from __future__ import annotations

import msgspec

from estimator.artifact import Artifact
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.store import Store


class Version(msgspec.Struct, frozen=True):
    """One published artifact of a model; ``at`` and ``errors`` are its manifest's."""

    digest: str
    at: int
    samples: int
    errors: dict[str, dict[str, dict[str, float | None]]]
    machine: MachineSpec
    features: list[str]
    components: list[str]


class ModelIndex(msgspec.Struct, frozen=True):
    """What there is of one model, oldest version first; ``current`` is one of their digests."""

    schema: int
    key: ModelKey
    current: str
    versions: list[Version]


class ModelStore:
    """Publishes artifacts to a store and reads them back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def publish(self, artifact: Artifact, keep: int = 10) -> str:
        """Make the artifact its model's current version; returns its digest."""
        raise NotImplementedError

    def indexes(self) -> dict[str, ModelIndex]:
        """The readable index of every model, by slug."""
        raise NotImplementedError

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; ``NotFoundError`` or ``DamagedError``."""
        raise NotImplementedError

    def artifact_bytes(self, digest: str) -> bytes:
        """The bytes of the artifact with this digest, checked."""
        raise NotImplementedError

    def roll_back(self, slug: str, digest: str) -> None:
        """Make an older version of the model current again."""
        raise NotImplementedError

    def number(self, node_type: MachineSpec | str) -> int:
        """The node type's number for Kepler: the same for ever, first come first numbered."""
        raise NotImplementedError
