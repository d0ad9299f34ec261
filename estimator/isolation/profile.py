"""Idle profiles: between which watts machines of a type were while they ran nothing but idle."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.errors import DamagedError, NotFoundError
from estimator.storage.store import Store

SCHEMA: Final = 1
FOLDER: Final = "profiles"
_LOOK_AGAIN_SECONDS: Final = 30.0
"""A profile that was recorded meanwhile is taken up after so long."""


class PowerRange(msgspec.Struct, frozen=True):
    """The least and the greatest watts of a component, all units of a node together."""

    min: float
    max: float
    samples: int

    @property
    def background(self) -> float:
        """What is taken to be background: half way, as kepler-model-server has it."""
        return (self.min + self.max) / 2.0


class IdleProfile(msgspec.Struct, frozen=True):
    """What was recorded of the nodes of a type, by energy source and component.

    ``since`` and ``until`` are the event times (Unix ms) of the first and the last sample.
    """

    schema: int
    node_type: str
    since: int
    until: int
    sources: dict[str, dict[str, PowerRange]]

    def level(self, source: str, components: Sequence[str]) -> Floats:
        """The background watts [C] of the components; NaN for those that were not recorded."""
        recorded = self.sources.get(source, {})
        found = [recorded.get(component) for component in components]
        return np.array([np.nan if one is None else one.background for one in found])


class Profiles(Protocol):
    """Where the profiles of node types are; a plain dict is one."""

    def get(self, node_type: str, /) -> IdleProfile | None:
        """The profile of the node type; None if none was recorded."""
        ...


class StoredProfiles:
    """The profiles in a store, which `put` adds to and `get` looks at again every 30 s."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._found: dict[str, tuple[float, IdleProfile | None]] = {}

    def put(self, profile: IdleProfile) -> str:
        """Keep the profile in place of the one before; the path at which it lies."""
        path = _path(profile.node_type)
        self._store.put(path, msgspec.json.encode(profile))
        self._found.pop(profile.node_type, None)
        return path

    def get(self, node_type: str, /) -> IdleProfile | None:
        """The profile of the node type; None if none was recorded.

        ``StoreError`` if it cannot be read, ``DamagedError`` if it makes no sense.
        """
        looked, found = self._found.get(node_type, (0.0, None))
        now = self._clock()
        if node_type not in self._found or now - looked >= _LOOK_AGAIN_SECONDS:
            found = self._read(node_type)
            self._found[node_type] = now, found
        return found

    def _read(self, node_type: str) -> IdleProfile | None:
        path = _path(node_type)
        try:
            data = self._store.get(path).data
        except NotFoundError:
            return None
        try:
            profile = msgspec.json.decode(data, type=IdleProfile)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DamagedError(f"{path} is damaged: {error}") from error
        if profile.schema != SCHEMA or profile.node_type != node_type:
            raise DamagedError(
                f"{path} is of schema {profile.schema} and node type {profile.node_type!r}: "
                f"{SCHEMA} and {node_type!r} are needed"
            )
        return profile


def _path(node_type: str) -> str:
    return f"{FOLDER}/{re.sub(r'[^A-Za-z0-9_-]+', '_', node_type)}.json"
