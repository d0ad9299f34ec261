"""How far off estimates for simulated guests are: of the type that was learned, and of another.

``python -m tests.bench.bench_guests [--markdown] [SECONDS]``

Guests of some hosts teach, by the power that Kepler says on each host that they draw. Errors are
mean absolute ones in percent of what was drawn: of the next sample, of models five minutes old, of
guests of the same type that no model learned from, and of guests of another type. The least is
what is left if the watts of each used processor second are known of the sample before, and if
nothing of them is known but their median: what no feature inside a guest can tell is what its
neighbours do.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.serving import ServedModel
from estimator.learning.model import PowerModel
from estimator.regressors.batch import Round
from estimator.vocabulary import FEATURE_GROUPS, HORIZONS, HYPERVISOR
from stream.joining.join import Join
from stream.learning.pools import pool
from stream.learning.rounds import LONGEST_MS
from stream.records import PowerRecord, UsageRecord
from stream.sample import Sample
from stream.sources.simulated_host import SimulatedHosts
from stream.sources.simulation.server import ServerModel
from tests.bench.machines import MACHINES, START

GROUPS: Final = ("CPUTime", "NodeStat")
CPU_TIME: Final = "bpf_cpu_time_ms"
OLD: Final = HORIZONS.index(300)
FEWEST_WATTS: Final = 0.5
"""Percents of less mean nothing."""


class Kind(NamedTuple):
    """How guests live: on what host, how many, of what size."""

    name: str
    guests: int
    cores: int
    model: ServerModel = MACHINES[0].model


ALONE: Final = Kind("one guest has the host", 1, 64)
THREE: Final = Kind("three guests of 16 on a host", 3, 16)
ELSEWHERE: Final = {
    ALONE.name: [
        Kind("48 of 64 processors", 1, 48),
        Kind("a hot host of 48", 1, 48, MACHINES[4].model),
        Kind("a host of 96, memory-bound", 1, 96, MACHINES[5].model),
    ],
    THREE.name: [
        Kind("two guests of 32", 2, 32),
        Kind("three of 16 on a hot host of 48", 3, 16, MACHINES[4].model),
    ],
}
TEACHING: Final = 6
ASKED: Final = 2
"""Hosts whose guests teach, and hosts whose guests are only asked about."""


def samples_of(kind: Kind, hosts: int, seconds: float, seed: int) -> list[Sample]:
    """What the hosts' guests did and drew."""
    source = SimulatedHosts(
        hosts,
        seed,
        guests=kind.guests,
        guest_cores=kind.cores,
        workloads=max(4, 40 * kind.cores // 64),
        model=kind.model,
        start=START,
        speed=0.0,
        duration_seconds=seconds,
    )
    join, found = Join(), list[Sample]()
    while (records := source.poll()) is not None:
        for record in records:
            if isinstance(record, PowerRecord):
                found += join.add_power(record)
            elif isinstance(record, UsageRecord):
                found += join.add_usage(record)
    return [sample for sample in found if sample.source == HYPERVISOR]


def rounds_of(samples: Sequence[Sample], features: Sequence[str]) -> list[Round]:
    """The samples in rounds, as a learner makes them."""
    by_round: dict[int, list[Sample]] = {}
    for sample in samples:
        by_round.setdefault(sample.end // LONGEST_MS, []).append(sample)
    columns = [samples[0].features.index(feature) for feature in features]
    return [
        Round(
            np.array([one.rates for one in alike])[:, columns],
            np.array([one.watts for one in alike]),
            max(one.end for one in alike),
        )
        for _, alike in sorted(by_round.items())
    ]


def mape(estimated: Floats, measured: Floats) -> float:
    """In percent, where as much as `FEWEST_WATTS` was drawn."""
    enough = measured >= FEWEST_WATTS
    return 100.0 * float((np.abs(estimated - measured)[enough] / measured[enough]).mean())


def asked(model: PowerModel, rounds: Sequence[Round], component: int) -> float:
    """The error of what the model, as it is five minutes from now, says of others' rounds."""
    assert model.current is not None
    served = ServedModel(model.current, OLD)
    half = rounds[len(rounds) // 4 :]
    rows = np.concatenate([one.rows for one in half])
    watts = np.concatenate([one.watts for one in half])[:, component]
    return mape(served.predict_many(rows)[:, component], watts)


def least(samples: Sequence[Sample], component: int) -> tuple[float, float]:
    """The errors if the watts of a used processor second were known: of the last time, and ever."""
    last, ever = [], []
    for node in {sample.node for sample in samples}:
        mine = [sample for sample in samples if sample.node == node]
        place = mine[0].features.index(CPU_TIME)
        used = np.array([one.rates[place] for one in mine])
        watts = np.array([one.watts[component] for one in mine])
        each = watts / np.maximum(used, 1e-9)
        last.append(mape(each[:-1] * used[1:], watts[1:]))
        ever.append(mape(float(np.median(each)) * used, watts))
    return float(np.mean(last)), float(np.mean(ever))


def table(kind: Kind, seconds: float, *, markdown: bool) -> None:
    """Print the errors for guests that live so, by feature group and zone."""
    samples = samples_of(kind, TEACHING, seconds, 101)
    strangers = samples_of(kind, ASKED, seconds / 2, 102)
    others = {
        other.name: samples_of(other, ASKED, seconds / 2, 103) for other in ELSEWHERE[kind.name]
    }
    heads = ["next", "300 s", "same type, not learned", *others, "least", "by the median"]
    mean = np.mean([sample.watts[0] for sample in samples])
    rows = []
    for group in GROUPS:
        features = FEATURE_GROUPS[group]
        model = PowerModel(features, samples[0].components, pool().banks)
        model.learn_rounds(rounds_of(samples, features))
        for number, component in enumerate(samples[0].components):
            errors = [
                model.assessment.total.errors(0, number).mape,
                model.assessment.total.errors(OLD, number).mape,
                asked(model, rounds_of(strangers, features), number),
                *(asked(model, rounds_of(one, features), number) for one in others.values()),
                *least(samples, number),
            ]
            rows.append((f"{group} {component}", errors))
    name = f"{kind.name}, {mean:.1f} W"
    if markdown:
        print(f"\n| {name}, MAPE % | " + " | ".join(heads) + " |")
        print("| --- |" + " --: |" * len(heads))
        for row, errors in rows:
            print(f"| {row} | " + " | ".join(f"{error:.1f}" for error in errors) + " |")
        return
    print(f"\n{name}, MAPE in percent: " + "; ".join(heads))
    for row, errors in rows:
        print(f"{row:20}" + "".join(f"{error:8.1f}" for error in errors))


def run(arguments: Sequence[str] = ()) -> None:
    """Print both tables."""
    seconds = next((float(one) for one in arguments if one != "--markdown"), 7200.0)
    for kind in (ALONE, THREE):
        table(kind, seconds, markdown="--markdown" in arguments)


if __name__ == "__main__":
    run(sys.argv[1:])
