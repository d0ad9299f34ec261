"""How long it takes to choose among ten thousand models: 317 node types, all feature groups.

``python -m tests.bench.bench_choice``. Kepler's own question, of a machine that none of the node
types is, so that the most similar one has to be looked for.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from estimator.choosing.choice import Query
from estimator.choosing.model_filter import parse_filter
from estimator.choosing.shelf import Shelf
from estimator.machine import MachineSpec
from estimator.vocabulary import FEATURE_GROUPS, OUTPUT_TYPES, RAPL, OutputType
from tests.server.fakes import make_entry

LIMIT_MS: Final = 2.0
NODE_TYPES: Final = 317
MODELS: Final = 10_000
ROUNDS: Final = 50


def run() -> None:
    """Print the time of a choice, and its ratio to the limit."""
    sources = (RAPL, "acpi")
    groups = tuple(FEATURE_GROUPS)[: MODELS // (NODE_TYPES * len(sources) * len(OUTPUT_TYPES)) + 1]
    types = _machines()
    shelves = {
        (source, output): _shelf(types, groups, source, output)
        for source in sources
        for output in OUTPUT_TYPES
    }
    count = NODE_TYPES * len(groups) * len(shelves)
    metrics = tuple(sorted({feature for group in groups for feature in FEATURE_GROUPS[group]}))
    like = MachineSpec("intel", "xeon_platinum_8_like_none", 72, 2, 250, 2650, 2)
    asked = {
        "a machine like none": Query(metrics, machine=like, unmetered=True),
        "the same, weights and a filter": Query(
            metrics, machine=like, weight=True, filter="mae:500", unmetered=True
        ),
        "a node type's number": Query(metrics, node_type=NODE_TYPES // 2),
        "nothing of the machine": Query(metrics),
    }
    print(f"{count} models of {NODE_TYPES} node types, {len(groups)} feature groups")
    shelf = shelves[RAPL, "AbsPower"]
    for name, query in asked.items():
        milliseconds = 1e3 * _median(partial(shelf.choose, query, parse_filter(query.filter)))
        print(f"  {name:32} {milliseconds:>6.3f} ms   ({milliseconds / LIMIT_MS:.2f} of the limit)")


def _machines() -> list[MachineSpec]:
    random.seed(3)
    return [
        MachineSpec(
            "intel",
            f"xeon_{random.choice(['gold', 'silver', 'platinum', 'e5'])}_{number}",
            random.choice([8, 16, 32, 64, 96, 128]),
            random.choice([1, 2, 4]),
            random.choice([32, 64, 128, 256, 512]),
            random.choice(range(1800, 3900, 100)),
            2,
        )
        for number in range(NODE_TYPES)
    ]


def _shelf(
    types: list[MachineSpec], groups: tuple[str, ...], source: str, output: OutputType
) -> Shelf:
    return Shelf(
        [
            make_entry(group, source, output, machine, 1.0 + number % 7, number, 1000 + number)
            for number, machine in enumerate(types, start=1)
            for group in groups
        ]
    )


def _median(choose: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        choose()
        taken.append(time.perf_counter() - started)
    return sorted(taken)[ROUNDS // 2]


if __name__ == "__main__":
    run()
