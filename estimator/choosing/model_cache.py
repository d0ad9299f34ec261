"""The last good models on disk, for a start without network."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from estimator.artifacts.artifact import Artifact, decode
from estimator.choosing.catalog import Catalog
from estimator.choosing.choice import Entry
from estimator.errors import DamagedError, NotFoundError, StoreError
from estimator.machine import MachineSpec
from estimator.storage.model_source import ModelSource
from estimator.storage.model_store import SCHEMA, ModelIndex, ModelStore, version_of
from estimator.storage.store import Store

_log = logging.getLogger(__name__)

_INDEXES: Final = "models"
_ARTIFACTS: Final = "artifacts"


class ModelCache:
    """A source of models whose artifacts are kept in a store of its own, read but once.

    What is kept is a store of models itself: one version of each, that which was served last.
    """

    def __init__(self, source: ModelSource, kept: Store) -> None:
        self._source = source
        self._kept = kept
        self._kept_models = ModelStore(kept)
        self._indexes: dict[str, bytes] = {}

    def remembered(self) -> tuple[Entry, ...]:
        """The models that were served last; none if they cannot be read."""
        catalog = Catalog(self._kept_models)
        try:
            catalog.refresh()
        except StoreError as error:
            _log.warning("models of last time cannot be read: %s", error)
        return catalog.entries

    def remember(self, entries: Sequence[Entry]) -> None:
        """Keep these models and no others. A failure is said in the log: it costs a restart."""
        try:
            self._keep(entries)
        except StoreError as error:
            _log.warning("models cannot be kept for the next start: %s", error)

    def _keep(self, entries: Sequence[Entry]) -> None:
        # Indexes last written first removed: whatever is named is there at any moment.
        indexes = {
            f"{_INDEXES}/{entry.manifest.key.slug}.json": msgspec.json.encode(_index(entry))
            for entry in entries
        }
        artifacts = {f"{_ARTIFACTS}/{entry.digest}.zip" for entry in entries}
        for path, data in indexes.items():
            if self._indexes.get(path) != data:
                self._kept.put(path, data)
        for path in self._kept.list(_INDEXES):
            if path not in indexes:
                self._kept.delete(path)
        for path in self._kept.list(_ARTIFACTS):
            if path not in artifacts:
                self._kept.delete(path)
        self._indexes = indexes

    @property
    def unreadable(self) -> frozenset[str]:
        """After `indexes`: the slugs of models that are there and cannot be read."""
        return self._source.unreadable

    def indexes(self) -> dict[str, ModelIndex]:
        """The index of every model by slug, as the source has it."""
        return self._source.indexes()

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest, read from the source once."""
        try:
            return self._kept_models.artifact(digest)
        except (StoreError, DamagedError):
            data = self._source.artifact_bytes(digest)
        artifact = decode(data)
        try:
            self._kept.put(f"{_ARTIFACTS}/{digest}.zip", data)
        except StoreError as error:
            _log.warning("a model cannot be kept for the next start: %s", error)
        return artifact

    def artifact_bytes(self, digest: str) -> bytes:
        """Its bytes, of which the digest has been checked."""
        try:
            return self._kept_models.artifact_bytes(digest)
        except (NotFoundError, DamagedError):
            return self._source.artifact_bytes(digest)

    def number(self, node_type: MachineSpec | str) -> int:
        """The node type's number for Kepler."""
        return self._source.number(node_type)


def _index(entry: Entry) -> ModelIndex:
    manifest = entry.manifest
    return ModelIndex(SCHEMA, manifest.key, entry.digest, [version_of(entry.digest, manifest)])
