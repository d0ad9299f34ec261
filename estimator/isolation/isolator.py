"""Isolators: how power above idle is told from a node's whole power."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

import numpy as np

from estimator.arrays import Floats
from estimator.errors import DamagedError
from estimator.isolation.hints import Hints
from estimator.isolation.profile import IdleProfile, Profiles

if TYPE_CHECKING:
    from estimator.learning.model import PowerModel
    from estimator.model_key import ModelKey

_log = logging.getLogger(__name__)


class Isolator(Protocol):
    """Says what of the power that a model has learned is not dynamic."""

    @property
    def word(self) -> str:
        """Its name with what it was given, the same for those that isolate alike."""
        ...

    @property
    def hints(self) -> Hints | None:
        """Which workloads' power is predicted and subtracted, sample by sample.

        None where one level is subtracted from all that was learned: then AbsPower's sums are
        those of DynPower, and nothing has to be learned a second time.
        """
        ...

    def level(self, key: ModelKey, model: PowerModel, /) -> Floats | None:
        """The watts [C] to subtract from what the model says; None where that is not known."""
        ...


class IdleIsolator:
    """Subtracts what the model takes for idle power now: what it answers to a row of zeros."""

    word = "idle"
    hints = None

    def level(self, _key: ModelKey, model: PowerModel, /) -> Floats | None:
        """The idle level that the model follows."""
        return None if model.current is None else model.current.idle


class MinIsolator:
    """Subtracts the least power that was ever measured, one low reading apart."""

    word = "min"
    hints = None

    def level(self, _key: ModelKey, model: PowerModel, /) -> Floats | None:
        """The lowest watts seen; see `Lowest`."""
        watts = model.lowest.watts()
        return watts if np.isfinite(watts).all() else None


class NoneIsolator:
    """Subtracts nothing."""

    word = "none"
    hints = None

    def level(self, _key: ModelKey, model: PowerModel, /) -> Floats | None:
        """Zeros."""
        return np.zeros(len(model.components))


class ProfileIsolator:
    """Subtracts the background power of the node type's idle profile.

    Of what was not recorded, the idle level that the model follows stands in, which is said once.
    """

    word = "profile"
    hints = None

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._missed: set[str] = set()

    def level(self, key: ModelKey, model: PowerModel, /) -> Floats | None:
        """What the profile says of the model's components."""
        idle = IdleIsolator().level(key, model)
        profile = self._profile(key.node_type)
        if idle is None or profile is None:
            return idle
        level = profile.level(key.source, model.components)
        missing = np.isnan(level)
        for number in np.flatnonzero(missing).tolist():
            self._miss(key.node_type, f"has no {model.components[number]} of {key.source}")
        return np.where(missing, idle, level)

    def _profile(self, node_type: str) -> IdleProfile | None:
        try:
            profile = self._profiles.get(node_type)
        except DamagedError as error:
            self._miss(node_type, f"cannot be read: {error}")
            return None
        if profile is None:
            self._miss(node_type, "is not there")
        return profile

    def _miss(self, node_type: str, why: str) -> None:
        what = f"the idle profile of node type {node_type} {why}"
        if what not in self._missed:
            _log.warning("%s; its idle level is used until one is recorded", what)
        self._missed.add(what)


class TrainerIsolator:
    """Subtracts, from each sample, what the AbsPower model says of its background workloads."""

    def __init__(self, hints: Hints) -> None:
        self.hints: Hints | None = hints
        self.word = f"trainer(bg_hints={list(hints.background)}, target_hints={list(hints.target)})"

    def level(self, _key: ModelKey, model: PowerModel, /) -> Floats | None:
        """Nothing: the samples were isolated before they were learned."""
        return np.zeros(len(model.components))
