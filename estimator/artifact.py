"""A frozen model as a file: data only, versioned, with a digest."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from estimator.frozen import FrozenModel
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey

SCHEMA: Final = 1


class Line(msgspec.Struct, frozen=True):
    """A linear model in the features' own units, for Kepler's regressor: never negative.

    Watts = ``bias`` + sum of ``weights[feature]`` * rate / ``scales[feature]``.
    """

    bias: float
    weights: dict[str, float]
    scales: dict[str, float]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an artifact is of, how good it was when it was made, and what it was made of.

    ``errors`` by component and horizon in seconds ("0" is the next sample): count, mae, rmse,
    mape, r2, bias of the recent past, null where there is none. ``since`` and ``at`` are the event
    times (Unix ms) of the first and the last sample, ``offsets`` where the shard was then.
    """

    schema: int = SCHEMA
    key: ModelKey
    machine: MachineSpec
    features: list[str]
    components: list[str]
    experts: list[str]
    horizons: list[int]
    samples: int
    since: int
    at: int
    errors: dict[str, dict[str, dict[str, float | None]]]
    lines: dict[str, Line]
    offsets: dict[str, int] = {}


class Artifact(NamedTuple):
    """A frozen model with what it is of."""

    manifest: Manifest
    model: FrozenModel


def encode(artifact: Artifact) -> bytes:
    """The artifact's bytes: a zip of ``manifest.json`` and ``arrays.npz``."""
    raise NotImplementedError


def decode(data: bytes) -> Artifact:
    """Read an artifact; ``DamagedError`` says what is wrong with it."""
    raise NotImplementedError


def digest(data: bytes) -> str:
    """The sha256 of the bytes in hex: an artifact's name."""
    return hashlib.sha256(data).hexdigest()
