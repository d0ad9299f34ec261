"""Where models come from: a store, a model server, or a memory of what either of them had."""

from __future__ import annotations

from typing import Protocol

from estimator.artifacts.artifact import Artifact
from estimator.machine import MachineSpec
from estimator.storage.model_store import ModelIndex


class ModelSource(Protocol):
    """Models to be read; `model_store.ModelStore` is one. Failures are ``StoreError``."""

    @property
    def unreadable(self) -> frozenset[str]:
        """After `indexes`: the slugs of models that are there and cannot be read."""
        ...

    def indexes(self) -> dict[str, ModelIndex]:
        """The index of every model by slug."""
        ...

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; ``NotFoundError`` or ``DamagedError``."""
        ...

    def artifact_bytes(self, digest: str) -> bytes:
        """Its bytes, of which the digest has been checked."""
        ...

    def number(self, node_type: MachineSpec | str) -> int:
        """The node type's number for Kepler."""
        ...
