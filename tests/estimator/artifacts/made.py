"""Small artifacts for tests, each determined by its arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from estimator.artifacts.artifact import Artifact, Line, Manifest
from estimator.artifacts.chunks import Chunk
from estimator.artifacts.expansion import expansion
from estimator.artifacts.frozen import FrozenExperts, FrozenModel, FrozenPolynomials, FrozenTrees
from estimator.artifacts.frozen_neighbours import EXPERTS as NEIGHBOURS
from estimator.artifacts.frozen_neighbours import FrozenNeighbours
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.vocabulary import FEATURE_GROUPS, HORIZONS

XEON = MachineSpec("intel", "xeon_gold_6130", 64, 2, 188, 2100, 2)


def made_artifact(
    *,
    machine: MachineSpec = XEON,
    source: str = "rapl-sysfs",
    output_type: Any = "AbsPower",
    group: str = "BPFOnly",
    components: tuple[str, ...] = ("package", "dram"),
    seed: int = 0,
    trees: bool = False,
    neighbours: bool = False,
    samples: int = 100,
    mae: dict[str, float | None] | None = None,
    with_lines: bool = True,
) -> Artifact:
    """An artifact of that key; ``mae`` by horizon in seconds is the same for all components."""
    features = FEATURE_GROUPS[group]
    model = made_model(len(features), len(components), seed, trees, neighbours)
    experts = ["ridge1-300s", "ridge2-300s", *(["forest"] if trees else [])]
    experts += NEIGHBOURS if neighbours else ()
    scored = {"0": 2.0} if mae is None else mae
    line = Line(
        bias=10.0,
        weights=dict.fromkeys(features, 50.0),
        scales=dict.fromkeys(features, 4000.0),
    )
    manifest = Manifest(
        key=ModelKey(machine.node_type, source, output_type, group),
        machine=machine,
        features=list(features),
        components=list(components),
        experts=experts,
        horizons=list(HORIZONS),
        samples=samples,
        since=1_000,
        at=model.at,
        errors={
            name: {horizon: {"count": 9.0, "mae": value} for horizon, value in scored.items()}
            for name in components
        },
        lines=dict.fromkeys(components, line) if with_lines else {},
        offsets={"wattstream.usage/0": 17},
    )
    return Artifact(manifest, model)


def made_model(
    features: int, components: int, seed: int, trees: bool, neighbours: bool = False
) -> FrozenModel:
    """Two polynomials, if asked a forest of small trees and neighbours, made by chance."""
    rng = np.random.default_rng(seed)
    terms = expansion(features, 2).terms
    coefficients = rng.normal(0, 10, (2, terms, components))
    coefficients[0, 1 + features :] = 0
    banks: list[FrozenExperts] = [
        FrozenPolynomials(np.full(features, 1024.0), coefficients, order=2)
    ]
    if trees:
        banks.append(_forest(features, components, rng))
    if neighbours:
        banks.append(_neighbours(features, components, rng))
    experts = 2 + trees + neighbours * len(NEIGHBOURS)
    weights = rng.random((len(HORIZONS), experts, components))
    return FrozenModel(
        banks=banks,
        weights=weights / weights.sum(axis=1, keepdims=True),
        idle=np.linspace(5, 6, components),
        floor=np.full(components, 4.0),
        ceiling=np.full(components, 150.0),
        seen=np.stack([np.zeros(features), np.full(features, 4000.0)]),
        at=1_700_000_000_000 + seed,
    )


def _neighbours(features: int, components: int, rng: np.random.Generator) -> FrozenNeighbours:
    """A window of twenty rows."""
    rows = rng.uniform(0, 4000, (20, features))
    return FrozenNeighbours(
        Chunk.of(rows, rng.uniform(4, 150, (20, components))),
        0,
        20,
        scales=np.full(features, 4000.0),
        curve_scales=np.full(features, 4096.0),
        coefficients=rng.normal(0, 10, (expansion(features, 2).terms, components)),
    )


def _forest(features: int, components: int, rng: np.random.Generator) -> FrozenTrees:
    """For each component two trees of one split."""
    trees = 2 * components
    roots = 3 * np.arange(trees)
    feature = np.tile([0, -1, -1], trees)
    feature[roots] = rng.integers(0, features, trees)
    left, right = np.zeros(3 * trees, np.int64), np.zeros(3 * trees, np.int64)
    left[roots], right[roots] = roots + 1, roots + 2
    return FrozenTrees(
        feature,
        rng.uniform(0, 4000, 3 * trees),
        left,
        right,
        rng.uniform(4, 150, 3 * trees),
        roots.reshape(components, 2),
    )
