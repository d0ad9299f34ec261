"""A frozen model as a file: data only, versioned, with a digest."""

from __future__ import annotations

import hashlib
import math
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec.structs import asdict
from numpy.typing import NDArray

from estimator.arrays import State
from estimator.artifacts.archive import pack, pack_arrays, unpack, unpack_arrays
from estimator.artifacts.artifact_layout import Layout, check_layout
from estimator.artifacts.frozen import FrozenModel
from estimator.artifacts.kepler_curves import Curves, check_curves
from estimator.errors import DamagedError
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.vocabulary import HORIZONS

SCHEMA: Final = 1

_MANIFEST: Final = "manifest.json"
_ARRAYS: Final = "arrays.npz"


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
    ``curves`` are there only where they are learned.

    Of an imported model ``members`` says how many machines its node type had where it was made.
    """

    schema: int = SCHEMA
    key: ModelKey
    machine: MachineSpec
    features: list[str]
    components: list[str]
    members: int | msgspec.UnsetType = msgspec.UNSET
    experts: list[str]
    horizons: list[int]
    samples: int
    since: int
    at: int
    errors: dict[str, dict[str, dict[str, float | None]]]
    lines: dict[str, Line]
    offsets: dict[str, int] = {}
    curves: Curves | msgspec.UnsetType = msgspec.UNSET

    @property
    def members_known(self) -> int:
        """How many machines the node type is known to have had, at least this one."""
        return 1 if isinstance(self.members, msgspec.UnsetType) else max(1, self.members)


class Artifact(NamedTuple):
    """A frozen model with what it is of."""

    manifest: Manifest
    model: FrozenModel


def encode(artifact: Artifact) -> bytes:
    """The artifact's bytes, the same for the same artifact: a zip of a manifest and arrays.

    Raises ``DamagedError`` for what `decode` would refuse, such as coefficients that are NaN.
    """
    manifest, model = artifact
    state = model.state()
    _check(manifest, state)
    tree, arrays = _take_apart(state)
    npz = pack_arrays(arrays)
    document = _Document(
        **asdict(manifest),
        arrays_sha256=digest(npz),
        model=tree,
    )
    return pack({_MANIFEST: msgspec.json.encode(document, order="deterministic"), _ARRAYS: npz})


def decode(data: bytes) -> Artifact:
    """Read an artifact, trusting nothing; ``DamagedError`` says what is wrong with it."""
    members = unpack(data)
    document = _read_manifest(members)
    npz = members[_ARRAYS]
    if digest(npz) != document.arrays_sha256:
        raise DamagedError(f"{_ARRAYS} has digest {digest(npz)}, not {document.arrays_sha256}")
    manifest = Manifest(**{name: getattr(document, name) for name in Manifest.__struct_fields__})
    state = _put_together(document.model, unpack_arrays(npz))
    _check(manifest, state)
    return Artifact(manifest, FrozenModel.restore(state))


def digest(data: bytes) -> str:
    """The sha256 of the bytes in hex: an artifact's name."""
    return hashlib.sha256(data).hexdigest()


class _Versioned(msgspec.Struct, frozen=True):
    schema: int


class _Document(Manifest, frozen=True, kw_only=True):
    """What lies in ``manifest.json``: ``model`` is the frozen model's state without its arrays."""

    arrays_sha256: str
    model: dict[str, Any]


def _read_manifest(members: dict[str, bytes]) -> _Document:
    try:
        # The schema first: a later one may have other members, and is to be refused by name.
        if _MANIFEST in members:
            _check_schema(msgspec.json.decode(members[_MANIFEST], type=_Versioned).schema)
        if set(members) != {_MANIFEST, _ARRAYS}:
            raise DamagedError(f"members are {sorted(members)}: {_ARRAYS}, {_MANIFEST} are needed")
        return msgspec.json.decode(members[_MANIFEST], type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{_MANIFEST}: {error}") from error


def _check_schema(schema: int) -> None:
    if schema != SCHEMA:
        raise DamagedError(f"schema is {schema}: this release reads up to {SCHEMA}")


def _check(manifest: Manifest, state: State) -> None:
    _check_schema(manifest.schema)
    for what in ("features", "components", "experts"):
        names = getattr(manifest, what)
        if len(set(names)) != len(names):
            raise DamagedError(f"{what} are {names}: one is named twice")
    if manifest.horizons != list(HORIZONS):
        raise DamagedError(f"horizons are {manifest.horizons}: {list(HORIZONS)} are needed")
    layout = Layout(
        len(manifest.features),
        len(manifest.components),
        len(manifest.experts),
        len(manifest.horizons),
    )
    check_layout(state, layout)
    for component, line in manifest.lines.items():
        _check_line(component, line, manifest)
    if manifest.curves is not msgspec.UNSET:
        check_curves(manifest.curves, manifest.features, manifest.components)


def _check_line(component: str, line: Line, manifest: Manifest) -> None:
    if component not in manifest.components:
        raise DamagedError(f"lines.{component}: the model has {manifest.components}")
    if not set(line.weights) == set(line.scales) <= set(manifest.features):
        raise DamagedError(f"lines.{component} weighs other features than it scales or has")
    numbers = (line.bias, *line.weights.values(), *line.scales.values())
    if not all(math.isfinite(number) for number in numbers):
        raise DamagedError(f"lines.{component} has values that are not finite")
    if any(scale <= 0 for scale in line.scales.values()):
        raise DamagedError(f"lines.{component}.scales are not all above 0")


def _take_apart(state: State) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Plain nested data, and by dotted path the arrays that were in it."""
    arrays: dict[str, NDArray[Any]] = {}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, dict):
            inside = {key: plain(item, f"{path}.{key}") for key, item in value.items()}
            return {key: item for key, item in inside.items() if item is not None}
        if isinstance(value, list):
            return [plain(item, f"{path}.{place}") for place, item in enumerate(value)]
        if isinstance(value, np.ndarray):
            arrays[path.removeprefix(".")] = value
            return None
        return value

    return plain(state, ""), arrays


def _put_together(tree: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> State:
    for path, array in arrays.items():
        *parents, name = path.split(".")
        at: Any = tree
        for parent in parents:
            if isinstance(at, list) and parent.isdecimal() and int(parent[:9]) < len(at):
                at = at[int(parent[:9])]
            else:
                at = at.get(parent) if isinstance(at, dict) else None
        if not isinstance(at, dict) or name in at:
            raise DamagedError(f"array {path} belongs nowhere")
        at[name] = array
    return tree
