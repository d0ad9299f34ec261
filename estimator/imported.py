"""Published weights in Kepler's format, for machines of which nothing has been learned yet.

The layout is kepler-model-db's: ``<pipeline>/<energy source>/<output type>/<feature group>/
<trainer>_<node type>.json`` and ``<pipeline>/node_type_index.json``. Linear weights only: of the
curves nothing says of which feature they are.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from estimator.artifact import Line, Manifest
from estimator.catalog import Catalog
from estimator.choice import Entry, Query
from estimator.frozen import FrozenModel, FrozenPolynomials
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from estimator.model_key import ModelKey
from estimator.model_store import ModelStore
from estimator.shelf import LINEAR_TRAINER
from estimator.similarity import NodeTypeSearch
from estimator.store import InMemoryStore
from estimator.vocabulary import DYN_POWER, HORIZONS, OUTPUT_TYPES, component_order

MOST_BYTES: Final = 4 << 20
"""A larger file is none of weights."""
MOST_WATTS: Final = 10_000.0
"""Published weights know no maximum; no node draws more."""

_log = logging.getLogger(__name__)


class _Variable(msgspec.Struct):
    scale: float
    weight: float


class _Weights(msgspec.Struct):
    bias: float = msgspec.field(name="Bias_Weight", default=0.0)
    numerical: dict[str, _Variable] = msgspec.field(
        name="Numerical_Variables", default_factory=dict
    )


class _Component(msgspec.Struct):
    weights: _Weights = msgspec.field(name="All_Weights")


class _Attributes(msgspec.Struct):
    processor: str = ""
    cores: float = 0
    chips: float = 0
    memory: float = 0
    frequency: float = 0


class _NodeType(msgspec.Struct):
    attrs: _Attributes
    members: list[str] = []


class ImportedModels:
    """The folder's models, to be chosen from; read when the first of them is asked for."""

    def __init__(self, folder: Path, machine: MachineSpec = UNKNOWN_MACHINE) -> None:
        self._folder = folder
        self._machine = machine
        self._catalog: Catalog | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The models that have been read."""
        return self._read().entries

    def select(self, query: Query) -> Entry:
        """The best model for the query; ``NoModelError`` or ``RequestError`` say why none."""
        return self._read().select(query)

    def _read(self) -> Catalog:
        catalog = self._catalog
        if catalog is None:
            catalog = Catalog(ModelStore(InMemoryStore()))
            catalog.adopt(read_imported(self._folder, self._machine))
            self._catalog = catalog
        return catalog


def read_imported(folder: Path, machine: MachineSpec = UNKNOWN_MACHINE) -> tuple[Entry, ...]:
    """Of each source, output type and feature group the weights of the machine most like this.

    What cannot be read is said in the log and left out; a folder that is not there has none.
    """
    found: list[Entry] = []
    for pipeline in sorted(folder.glob("*/node_type_index.json")):
        types = _node_types(pipeline)
        kinds: dict[Path, list[tuple[str, Path]]] = {}
        for path in sorted(pipeline.parent.glob(f"*/*/*/{LINEAR_TRAINER}_*.json")):
            number = path.stem.rpartition("_")[2]
            if number in types and path.parts[-3] in OUTPUT_TYPES:
                kinds.setdefault(path.parent, []).append((number, path))
        for numbered in kinds.values():
            entry = _nearest(numbered, types, machine)
            if entry is not None:
                found.append(entry)
    return tuple(found)


def _nearest(
    numbered: list[tuple[str, Path]], types: dict[str, _NodeType], machine: MachineSpec
) -> Entry | None:
    specs = [_spec(types[number].attrs) for number, _ in numbered]
    members = [max(1, len(types[number].members)) for number, _ in numbered]
    place = NodeTypeSearch(specs, members).search(machine, loose=True).place
    path = numbered[place][1]
    try:
        return _entry(path, specs[place])
    except (OSError, ValueError) as error:
        _log.warning("imported weights %s cannot be read: %s", path, error)
        return None


def _node_types(path: Path) -> dict[str, _NodeType]:
    try:
        return msgspec.json.decode(_read(path), type=dict[str, _NodeType])
    except (OSError, ValueError) as error:
        _log.warning("imported node types %s cannot be read: %s", path, error)
        return {}


def _read(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    return path.read_bytes()


def _spec(attributes: _Attributes) -> MachineSpec:
    # The published numbers are floats.
    return MachineSpec(
        processor=attributes.processor,
        cores=int(attributes.cores),
        chips=int(attributes.chips),
        memory=int(attributes.memory),
        frequency=int(attributes.frequency),
    )


def _entry(path: Path, machine: MachineSpec) -> Entry:
    data = _read(path)
    document = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    parts = {
        name: msgspec.json.decode(document[name], type=_Component).weights
        for name in component_order(
            set(document) & {"package", "core", "uncore", "dram", "platform"}
        )
    }
    if not parts:
        raise ValueError("it has weights of no component")
    source, output_type, group = path.parts[-4:-1]
    features = sorted({name for weights in parts.values() for name in weights.numerical})
    coefficients = np.array(
        [_coefficients(weights, features, output_type) for weights in parts.values()]
    ).T
    idle = np.maximum(coefficients[0], 0.0)
    zeros, most = np.zeros(len(parts)), np.full(len(parts), MOST_WATTS)
    model = FrozenModel(
        banks=[FrozenPolynomials(np.ones(len(features)), coefficients[None], order=1)],
        weights=np.ones((len(HORIZONS), 1, len(parts))),
        idle=idle,
        floor=zeros,
        ceiling=most,
        seen=np.array([np.zeros(len(features)), np.full(len(features), np.finfo(float).max)]),
        at=0,
    )
    lines = {
        name: Line(
            weights.bias,
            {feature: variable.weight for feature, variable in weights.numerical.items()},
            {feature: variable.scale for feature, variable in weights.numerical.items()},
        )
        for name, weights in parts.items()
    }
    key = ModelKey(
        machine.node_type, source, DYN_POWER if output_type == DYN_POWER else "AbsPower", group
    )
    manifest = Manifest(
        key=key,
        machine=machine,
        features=features,
        components=list(parts),
        experts=[path.stem],
        horizons=list(HORIZONS),
        samples=0,
        since=0,
        at=0,
        errors={},
        lines=lines,
    )
    return Entry(hashlib.sha256(data).hexdigest(), manifest, model, 0)


def _coefficients(weights: _Weights, features: list[str], output_type: str) -> list[float]:
    # Above idle there is nothing where there is no usage, whatever the published bias says.
    bias = 0.0 if output_type == DYN_POWER else weights.bias
    rates = []
    for feature in features:
        variable = weights.numerical.get(feature)
        rates.append(variable.weight / variable.scale if variable and variable.scale > 0 else 0.0)
    return [bias, *rates]
