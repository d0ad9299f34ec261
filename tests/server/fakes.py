"""Models, a store, a catalog and a status of one's own making, for the server's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from estimator.artifacts.artifact import Line, Manifest
from estimator.artifacts.frozen import FrozenModel, FrozenPolynomials
from estimator.choosing.catalog import Catalog, Entry, Query
from estimator.choosing.choice import Choice
from estimator.errors import NoModelError, NotFoundError
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.storage.model_store import ModelIndex, ModelStore, version_of
from estimator.vocabulary import FEATURE_GROUPS, HORIZONS, RAPL, SOURCE_COMPONENTS, OutputType
from server.monitoring.status import (
    CheckpointStatus,
    DriftStatus,
    GuardStatus,
    LearnerStatus,
    PartitionStatus,
    ShardStatus,
    SourceStatus,
    Status,
)

XEON = MachineSpec(
    vendor="intel",
    processor="intel_xeon_gold_6130",
    cores=64,
    chips=2,
    memory=188,
    frequency=2100,
    threads_per_core=2,
)
AT = 1_700_000_000_000


def make_entry(
    group: str = "BPFOnly",
    source: str = RAPL,
    output_type: OutputType = "AbsPower",
    machine: MachineSpec = XEON,
    mae: float = 1.5,
    number: int = 0,
    samples: int = 1000,
) -> Entry:
    """A model that says 10 W for everything."""
    features = list(FEATURE_GROUPS[group])
    components = [one for one in SOURCE_COMPONENTS[source] if one != "psys"]
    errors: dict[str, float | None] = {
        "count": 200.0,
        "mae": mae,
        "rmse": mae * 1.25,
        "mape": 5.0,
        "r2": None,
        "bias": -0.5,
    }
    width, height = len(features), len(components)
    manifest = Manifest(
        key=ModelKey(machine.node_type, source, output_type, group),
        machine=machine,
        features=features,
        components=components,
        experts=["ridge"],
        horizons=list(HORIZONS),
        samples=samples,
        since=AT - 3_600_000,
        at=AT,
        errors={
            component: {"0": errors, "60": {**errors, "mae": mae * 2}} for component in components
        },
        lines={
            component: Line(10.0, dict.fromkeys(features, 2.0), dict.fromkeys(features, 100.0))
            for component in components
        },
    )
    coefficients = np.zeros((1, 1 + width, height))
    coefficients[:, 0] = 10.0
    model = FrozenModel(
        banks=[FrozenPolynomials(np.ones(width), coefficients, order=1)],
        weights=np.ones((len(HORIZONS), 1, height)),
        idle=np.full(height, 10.0),
        floor=np.zeros(height),
        ceiling=np.full(height, 100.0),
        seen=np.vstack([np.zeros(width), np.full(width, 1e9)]),
        at=AT,
    )
    named = f"{manifest.key.slug} {mae} {samples}".encode()
    return Entry(hashlib.sha256(named).hexdigest(), manifest, model, number)


class FakeModels(ModelStore):
    """A store of the entries' artifacts, whose bytes name their digest; counts what is read."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = {entry.digest: entry for entry in entries}
        self.reads: list[str] = []
        self.failure: Exception | None = None
        self.changed: dict[str, ModelIndex] = {}

    def artifact_bytes(self, digest: str) -> bytes:
        self.reads.append(digest)
        self._fail()
        if digest not in self.entries:
            raise NotFoundError(f"artifact {digest}: there is none")
        return b"PK the bytes of " + digest.encode()

    def indexes(self) -> dict[str, ModelIndex]:
        self._fail()
        made = {entry.manifest.key.slug: make_index(entry) for entry in self.entries.values()}
        return {**made, **self.changed}

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


def make_index(entry: Entry) -> ModelIndex:
    """The index of a model with that one version."""
    version = version_of(entry.digest, entry.manifest)
    return ModelIndex(1, entry.manifest.key, entry.digest, [version])


class FakeCatalog(Catalog):
    """Chooses the entry of the least error whose features and source are asked for."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries = tuple(entries)
        self.indexes = {entry.manifest.key.slug: make_index(entry) for entry in self.entries}
        self.last_error = None
        self.queries: list[Query] = []
        self.refreshes = 0

    def refresh(self) -> bool:
        self.refreshes += 1
        return False

    def choose(self, query: Query) -> Choice:
        self.queries.append(query)
        fitting = [
            entry
            for entry in self.entries
            if set(entry.manifest.features) <= set(query.metrics)
            and entry.manifest.key.output_type == query.output_type
        ]
        if not fitting:
            raise NoModelError(f"metrics are {', '.join(query.metrics)}: no model fits")
        entry = min(fitting, key=lambda entry: entry.manifest.errors["package"]["0"]["mae"] or 0)
        return Choice(entry, query.unmetered, 0.25, 0.0)


STATUS = Status(
    sources=(
        SourceStatus("sim", up=True, since=AT / 1000 - 60, records=120, errors=0),
        SourceStatus(
            "kepler http://node7:9102/metrics",
            up=False,
            since=AT / 1000 - 5,
            records=44,
            errors=3,
            last_error="connection refused",
            dropped=9,
            refused=2,
            buffered=31,
        ),
    ),
    learner=LearnerStatus(
        records=164,
        samples=80,
        dropped={"late": 2, "orphaned": 1, "duplicate": 0},
        dead_letters={"wattstream.usage": 4},
        shards=(
            ShardStatus(
                0,
                records=164,
                samples=80,
                dropped={"late": 2, "orphaned": 1, "duplicate": 0},
                dead_letters={"wattstream.usage": 4},
                drifts=(
                    DriftStatus(ModelKey("xeon", RAPL, "AbsPower", "Basic"), 2, AT / 1000 - 60),
                    DriftStatus(ModelKey("xeon", RAPL, "AbsPower", "CPUTime"), 0),
                ),
                guards=(GuardStatus(ModelKey("xeon", RAPL, "AbsPower", "Basic"), 9, 1),),
            ),
        ),
        fenced=3,
        partitions=(
            PartitionStatus("wattstream.usage", 0, 100, 7),
            PartitionStatus("wattstream.power", 0, 64, 0),
        ),
        checkpoint=CheckpointStatus(AT / 1000 - 8, 0.025, 52_000),
    ),
)


class FakeProvider:
    """Says what it was told to say."""

    def __init__(self, status: Status = STATUS) -> None:
        self.now = status

    def status(self) -> Status:
        return self.now
