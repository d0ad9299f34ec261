"""What is published of shards is as good as what one shard would have learned of all."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice
from typing import Final

import numpy as np
import pytest

from estimator.arrays import Floats
from estimator.learning.model import PowerModel
from stream.joining.join import Join
from stream.learning.pools import DEFAULT_BANKS, pool
from stream.records import PowerRecord, UsageRecord
from stream.sample import Sample
from stream.sources.simulated import simulated_fleet

FEATURES: Final = ("bpf_cpu_time_ms", "cache_miss", "cpu_cycles", "cpu_instructions")
NODES: Final = 6
SHARDS: Final = 3
ROUNDS: Final = 300
WARM_UP: Final = 60
WITHIN: Final = 0.05


def rounds_of(seed: int) -> list[list[Sample]]:
    """The samples of a simulated fleet by RAPL: in each round one of every node."""
    start = 1_790_000_000.0
    (source,) = simulated_fleet(NODES, seed, start=start, speed=0.0, clock=lambda: start + 3600)
    join = Join()
    samples: list[Sample] = []
    while len(samples) < 2 * NODES * ROUNDS:
        records = source.poll() or []
        for record in sorted(records, key=lambda one: one.at):
            if isinstance(record, PowerRecord):
                samples += join.add_power(record)
            elif isinstance(record, UsageRecord):
                samples += join.add_usage(record)
    metered = sorted(
        (s for s in samples if s.source == "rapl-sysfs"), key=lambda s: (s.end, s.node)
    )
    rounds = (list(each) for _, each in groupby(metered, key=lambda s: s.end // 3000))
    return [each for each in islice(rounds, ROUNDS) if len(each) == NODES]


def as_arrays(samples: Sequence[Sample]) -> tuple[Floats, Floats]:
    columns = [samples[0].features.index(name) for name in FEATURES]
    return np.array([s.rates[columns] for s in samples]), np.array([s.watts for s in samples])


@pytest.mark.parametrize("seed", [5, 23])
@pytest.mark.parametrize("banks", [DEFAULT_BANKS, ("ridge",)])
def test_the_merged_model_is_hardly_worse_than_that_of_one_shard(
    banks: tuple[str, ...], seed: int
) -> None:
    rounds = rounds_of(seed)
    assert len(rounds) > ROUNDS / 2
    components = rounds[0][0].components
    one, *shards = (PowerModel(FEATURES, components, pool(banks).banks) for _ in range(SHARDS + 1))
    wrong: list[tuple[Floats, Floats]] = []
    for number, samples in enumerate(rounds):
        rows, watts = as_arrays(samples)
        if number >= WARM_UP:
            merged = shards[0].merged(shards[1:])
            said = [model.current.predict_many(rows) for model in (merged, one) if model.current]
            wrong.append((abs(said[0] - watts).mean(axis=0), abs(said[1] - watts).mean(axis=0)))
        at = samples[0].end
        one.learn_round(rows, watts, at)
        for place, shard in enumerate(shards):
            shard.learn_round(rows[place::SHARDS], watts[place::SHARDS], at)
    ours, theirs = np.mean(wrong, axis=0)
    assert (ours <= (1 + WITHIN) * theirs).all(), dict(zip(components, ours / theirs, strict=True))
