"""Which model answers a request: the models of a store in memory, and Kepler's rules of choice."""

from __future__ import annotations

import msgspec

from estimator.artifact import Manifest
from estimator.frozen import FrozenModel
from estimator.machine import MachineSpec
from estimator.model_store import ModelStore


class Query(msgspec.Struct, frozen=True):
    """What a model is asked for, in the words of Kepler's ``POST /model``."""

    metrics: tuple[str, ...]
    output_type: str = "AbsPower"
    source: str = "rapl-sysfs"
    node_type: int = -1
    machine: MachineSpec | None = None
    trainer_name: str = ""
    filter: str = ""
    weight: bool = False
    loose: bool = True


class Entry(msgspec.Struct, frozen=True):
    """A model that can be chosen; ``number`` is its node type's for Kepler."""

    digest: str
    manifest: Manifest
    model: FrozenModel
    number: int

    @property
    def error(self) -> float:
        """What it is chosen by, in watts."""
        raise NotImplementedError


class Catalog:
    """The models of a store, ready to be chosen from."""

    def __init__(self, models: ModelStore) -> None:
        self._models = models
        self.entries: tuple[Entry, ...] = ()
        self.last_error: str | None = None

    def refresh(self) -> bool:
        """Read what is new in the store; True if the entries changed."""
        raise NotImplementedError

    def select(self, query: Query) -> Entry:
        """The best model for the query; ``NoModelError`` or ``RequestError`` say why none."""
        raise NotImplementedError
