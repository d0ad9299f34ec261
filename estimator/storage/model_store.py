"""Artifacts by digest, and per model an index that says which of them is current."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from estimator.artifacts.artifact import Artifact, Manifest, decode, digest, encode
from estimator.errors import (
    ConflictError,
    DamagedError,
    NotFoundError,
    StoreError,
)
from estimator.machine import MachineSpec
from estimator.storage.model_index import (
    PASS,
    SCHEMA,
    Decision,
    ModelIndex,
    Version,
    grown,
    pinned,
    rolled_back,
    unpinned,
)
from estimator.storage.retention import SPREAD, Retention
from estimator.storage.store import Store, Stored

__all__: Final = ["SCHEMA", "Decide", "ModelIndex", "ModelStore", "Version", "version_of"]

_NODE_TYPES: Final = "node_types.json"
_ATTEMPTS: Final = 100
"""A conflict means that somebody else got on: so many in a row mean that something is wrong."""
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")

_log = logging.getLogger(__name__)

T = TypeVar("T")

Decide = Callable[[ModelIndex], Decision]
"""Says of a model's index what becomes of a new version of it."""


class NodeTypes(msgspec.Struct, frozen=True):
    """The numbers by which Kepler calls node types."""

    schema: int
    numbers: dict[str, int]


class _Versioned(msgspec.Struct, frozen=True):
    schema: int


class NewerSchemaError(DamagedError):
    """A later release wrote it: what it says is right, and must not be written over."""


class ModelStore:
    """Publishes artifacts to a store and reads them back; several processes may do so at once.

    After `indexes`, ``unreadable`` has the slugs of those indexes that are there and damaged.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._numbers: dict[str, int] = {}
        self._read: dict[str, tuple[str, ModelIndex]] = {}
        self._warned: dict[str, str] = {}
        self.unreadable: frozenset[str] = frozenset()

    def publish(
        self, artifact: Artifact, keep: Retention = SPREAD, decide: Decide | None = None
    ) -> str:
        """Make the artifact its model's newest version; returns its digest.

        It becomes the current one unless the model is pinned or ``decide`` holds it back, which is
        asked anew whenever another has changed the index.

        Steps: 1. number the node type; 2. write the artifact; 3. name it in the index; 4. delete
        what ``keep`` does not keep. After a crash at any step the index names whole artifacts
        only. Publishing what is current does nothing.
        """
        data = encode(artifact)
        name, manifest = digest(data), artifact.manifest
        self.number(manifest.key.node_type)  # 1
        path, dropped = _index_path(manifest.key.slug), list[str]()
        written = False
        for _ in range(_ATTEMPTS):
            old, tag = self._index_to_change(path)
            if old is not None and old.key != manifest.key:
                raise StoreError(f"{path} is of {old.key}: {manifest.key} has the same name")
            if old is not None and old.current == name:
                return name
            decision = PASS if old is None or old.pinned or decide is None else decide(old)
            if not written:
                self._store.put(_artifact_path(name), data)  # 2
                written = True
            index, dropped = grown(old, version_of(name, manifest), manifest.key, keep, decision)
            if self._swap(path, index, tag):  # 3
                break
        else:
            raise ConflictError(f"{path} was changed by others {_ATTEMPTS} times in a row")
        self._drop(dropped)  # 4
        return name

    def indexes(self) -> dict[str, ModelIndex]:
        """The index of every model by slug; damaged ones are said in the log and left out."""
        found: dict[str, ModelIndex] = {}
        unreadable = set()
        for path in self._store.list("models"):
            slug = _slug(path)
            if path != _index_path(slug):
                continue
            try:
                found[slug] = self._index(path)[0]
                self._warned.pop(path, None)
            except NotFoundError:
                continue
            except DamagedError as error:
                unreadable.add(slug)
                self._warn_once(path, f"{error}")
        known, paths = self._read, map(_index_path, found)
        self._read = {path: known[path] for path in paths if path in known}
        self.unreadable = frozenset(unreadable)
        return found

    def artifact(self, digest: str) -> Artifact:
        """The artifact with this digest; ``NotFoundError`` or ``DamagedError``."""
        data = self.artifact_bytes(digest)
        try:
            return decode(data)
        except DamagedError as error:
            raise DamagedError(f"{_artifact_path(digest)}: {error}") from error

    def artifact_bytes(self, digest: str) -> bytes:
        """The bytes of the artifact with this digest; ``NotFoundError`` or ``DamagedError``."""
        if not _DIGEST.fullmatch(digest):
            raise NotFoundError(f"artifact is {digest[:80]!r}: 64 hexadecimal digits are needed")
        data = self._store.get(_artifact_path(digest)).data
        if _digest_of(data) != digest:
            raise DamagedError(f"{_artifact_path(digest)} has digest {_digest_of(data)}")
        return data

    def index(self, slug: str) -> ModelIndex:
        """The index of the model; ``NotFoundError`` or ``DamagedError``."""
        return self._index(_index_path(slug))[0]

    def roll_back(self, slug: str, digest: str) -> None:
        """Make another version current and pin it; ``NotFoundError`` if it is not kept.

        It is counted. Without the pin the next version would take its place.
        """
        self.artifact(digest)
        self._change(slug, lambda index: rolled_back(index, digest))

    def pin(self, slug: str, digest: str) -> None:
        """Keep that version current until it is unpinned; ``NotFoundError`` if it is not kept."""
        self.artifact(digest)
        self._change(slug, lambda index: pinned(index, digest))

    def unpin(self, slug: str) -> None:
        """Have new versions become current again."""
        self._change(slug, unpinned)

    def _change(self, slug: str, change: Callable[[ModelIndex], ModelIndex]) -> None:
        path = _index_path(slug)
        for _ in range(_ATTEMPTS):
            index, tag = self._index(path)
            changed = change(index)
            if changed == index or self._swap(path, changed, tag):
                return
        raise ConflictError(f"{path} was changed by others {_ATTEMPTS} times in a row")

    def number(self, node_type: MachineSpec | str) -> int:
        """The node type's number for Kepler, from 1: first come, first numbered, for ever."""
        name = node_type.node_type if isinstance(node_type, MachineSpec) else node_type
        for _ in range(_ATTEMPTS):
            if name in self._numbers:
                return self._numbers[name]
            numbers, tag = self._node_types()
            if name not in numbers:
                numbers[name] = max(numbers.values(), default=0) + 1
                if not self._swap(_NODE_TYPES, NodeTypes(SCHEMA, numbers), tag):
                    continue
            self._numbers = numbers
        raise ConflictError(f"{_NODE_TYPES} was changed by others {_ATTEMPTS} times in a row")

    def _node_types(self) -> tuple[dict[str, int], str | None]:
        try:
            stored = self._store.get(_NODE_TYPES)
        except NotFoundError:
            return {}, None
        try:
            return _decoded(stored.data, _NODE_TYPES, NodeTypes).numbers, stored.tag
        except NewerSchemaError:
            raise
        except DamagedError as error:
            self._warn_once(_NODE_TYPES, f"{error}; node types are numbered anew")
            return dict(self._numbers), stored.tag

    def _index(self, path: str) -> tuple[ModelIndex, str]:
        stored = self._store.get(path)
        return self._parsed(path, stored), stored.tag

    def _index_to_change(self, path: str) -> tuple[ModelIndex | None, str | None]:
        """The index and its tag; a damaged one counts as none, to be replaced."""
        try:
            stored = self._store.get(path)
        except NotFoundError:
            return None, None
        try:
            return self._parsed(path, stored), stored.tag
        except NewerSchemaError:
            raise
        except DamagedError as error:
            self._warn_once(path, f"{error}; it is begun anew")
            return None, stored.tag

    def _parsed(self, path: str, stored: Stored) -> ModelIndex:
        known = self._read.get(path)
        if known is not None and known[0] == stored.tag:
            return known[1]
        index = _decoded(stored.data, path, ModelIndex)
        if _index_path(index.key.slug) != path:
            raise DamagedError(f"{path} is of {index.key.slug}")
        if index.current not in {version.digest for version in index.versions}:
            raise DamagedError(f"{path}: current is {index.current!r}, which is no version of it")
        self._read[path] = stored.tag, index
        return index

    def _swap(self, path: str, content: msgspec.Struct, tag: str | None) -> bool:
        """Write if the tag is still right; whether it was."""
        try:
            self._store.swap(path, msgspec.json.encode(content), tag)
        except ConflictError:
            return False
        return True

    def _drop(self, digests: list[str]) -> None:
        # An artifact's key is in its bytes: no other model's index can name the same digest.
        for old in digests:
            try:
                self._store.delete(_artifact_path(old))
            except StoreError as error:
                _log.warning("%s stays although no index names it: %s", _artifact_path(old), error)

    def _warn_once(self, path: str, reason: str) -> None:
        if self._warned.get(path) != reason:
            self._warned[path] = reason
            _log.warning("%s", reason)


_digest_of: Final[Callable[[bytes], str]] = digest
"""For methods where ``digest`` is an argument."""


def _index_path(slug: str) -> str:
    return f"models/{slug}.json"


def _slug(path: str) -> str:
    return path.removeprefix("models/").removesuffix(".json")


def _artifact_path(digest: str) -> str:
    return f"artifacts/{digest}.zip"


def version_of(name: str, manifest: Manifest) -> Version:
    """The version of a model that the artifact with that digest and manifest is."""
    return Version(
        digest=name,
        at=manifest.at,
        samples=manifest.samples,
        errors=manifest.errors,
        machine=manifest.machine,
        features=manifest.features,
        components=manifest.components,
        since=manifest.since,
    )


def _decoded(data: bytes, path: str, kind: type[T]) -> T:
    try:
        schema = msgspec.json.decode(data, type=_Versioned).schema
        if schema != SCHEMA:
            raise NewerSchemaError(f"{path}: schema is {schema}: this release reads {SCHEMA}")
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
