"""Models to serve in tests: really trained, on made-up machines, without river."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from estimator.artifacts.artifact import Line, Manifest
from estimator.artifacts.frozen import FrozenModel, FrozenPolynomials
from estimator.choosing.catalog import Entry, Query
from estimator.errors import NoModelError
from estimator.learning.model import PowerModel
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.regressors.banks import BankMaker
from estimator.regressors.ridge import RidgeBank
from estimator.vocabulary import HORIZONS, SOURCE_COMPONENTS, OutputType, canonical_source

MACHINE = MachineSpec(processor="testium", cores=16, chips=1, memory=32, frequency=2000)
AT_MS = 1_700_000_000_000
IDLE_WATTS = {"package": 20.0, "core": 8.0, "uncore": 4.0, "dram": 3.0, "platform": 40.0}
FULL_WATTS = {"package": 90.0, "core": 60.0, "uncore": 6.0, "dram": 12.0, "platform": 150.0}
BUSIEST = {
    "bpf_cpu_time_ms": 16_000.0,
    "bpf_page_cache_hit": 5_000.0,
    "cpu_cycles": 3e10,
    "cpu_instructions": 4e10,
    "cache_miss": 2e8,
}


def entry(
    features: tuple[str, ...] = ("bpf_cpu_time_ms", "bpf_page_cache_hit"),
    components: tuple[str, ...] = ("package", "core", "uncore", "dram"),
    source: str = "rapl-sysfs",
    output_type: OutputType = "AbsPower",
    rounds: int = 200,
    seed: int = 1,
    banks: Mapping[str, BankMaker] | None = None,
) -> Entry:
    """A model of a machine whose power rises with the mean of its features."""
    ridge = {"ridge": lambda f, c: RidgeBank(len(f), len(c))}
    model = PowerModel(features, components, banks or ridge)
    rng = np.random.default_rng(seed)
    busiest = np.array([BUSIEST[feature] for feature in features])
    idle = np.array([IDLE_WATTS[component] for component in components])
    full = np.array([FULL_WATTS[component] for component in components])
    for index in range(rounds):
        usage = rng.uniform(0.0, 1.0, len(features)) * (index % 10 > 0)
        watts = idle + (full - idle) * usage.mean() + rng.normal(0.0, 0.2, len(components))
        at = AT_MS + (index - rounds + 1) * 3000
        model.learn_round((usage * busiest)[None], np.maximum(watts, 0.0)[None], at)
    assert model.current is not None
    lines = {
        component: Line(
            bias=float(idle[at]),
            weights={feature: float(full[at] - idle[at]) / len(features) for feature in features},
            scales=dict(zip(features, busiest.tolist(), strict=True)),
        )
        for at, component in enumerate(components)
    }
    manifest = Manifest(
        key=ModelKey(MACHINE.node_type, source, output_type, "Test"),
        machine=MACHINE,
        features=list(features),
        components=list(components),
        experts=list(model.experts),
        horizons=list(HORIZONS),
        samples=model.samples,
        since=AT_MS - 3000 * rounds,
        at=AT_MS,
        errors={},
        lines=lines,
    )
    return Entry(digest=f"{seed:064x}", manifest=manifest, model=model.current, number=0)


class Shelf:
    """A catalog in miniature: the first model that fits, and how often it was asked."""

    def __init__(self, *entries: Entry) -> None:
        self.entries: tuple[Entry, ...] = entries
        self.queries: list[Query] = []

    def select(self, query: Query) -> Entry:
        self.queries.append(query)
        for found in self.entries:
            key = found.manifest.key
            wanted = canonical_source(query.source), query.output_type
            if (key.source, key.output_type) == wanted and set(found.manifest.features) <= set(
                query.metrics
            ):
                return found
        raise NoModelError(f"no model for source {query.source!r}, {query.output_type!r}")


def plain_entry(
    source: str = "rapl-sysfs",
    output_type: OutputType = "AbsPower",
    machine: MachineSpec = MACHINE,
    idle_watts: float = 10.0,
) -> Entry:
    """A model that is one line, the same on every machine to the last bit.

    Component number c draws (c + 1) * (idle + cpu / 64) watts, of ``bpf_cpu_time_ms`` up to 8192.
    """
    components = SOURCE_COMPONENTS[source][:4]
    factor = np.arange(1.0, len(components) + 1)
    coefficients = np.array([[idle_watts * factor, 128.0 * factor]])
    scales = np.array([8192.0])
    model = FrozenModel(
        banks=[FrozenPolynomials(scales, coefficients, order=1)],
        weights=np.ones((len(HORIZONS), 1, len(components))),
        idle=idle_watts * factor,
        floor=idle_watts * factor,
        ceiling=(idle_watts + 128.0) * factor,
        seen=np.array([[0.0], [8192.0]]),
        at=AT_MS,
    )
    feature = "bpf_cpu_time_ms"
    lines = {
        component: Line(
            float(idle_watts * factor[at]), {feature: float(128.0 * factor[at])}, {feature: 8192.0}
        )
        for at, component in enumerate(components)
    }
    manifest = Manifest(
        key=ModelKey(machine.node_type, source, output_type, "CPUTime"),
        machine=machine,
        features=[feature],
        components=list(components),
        experts=["line"],
        horizons=list(HORIZONS),
        samples=1,
        since=AT_MS,
        at=AT_MS,
        errors={},
        lines=lines,
    )
    return Entry(digest=f"{idle_watts:064.0f}", manifest=manifest, model=model, number=0)


def power_request(
    values: list[list[float]],
    metrics: tuple[str, ...] = ("bpf_cpu_time_ms",),
    output_type: str = "AbsPower",
    source: str = "rapl-sysfs",
) -> dict[str, object]:
    """A request with all the keys that Kepler sends."""
    return {
        "metrics": list(metrics),
        "values": values,
        "output_type": output_type,
        "source": source,
        "system_features": ["cpu_architecture"],
        "system_values": ["unknown"],
        "trainer_name": "",
        "filter": "",
    }
