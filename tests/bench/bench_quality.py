"""How good models are on traces and on simulated machines: each expert alone beside the ensemble.

``python -m tests.bench.bench_quality [--markdown] [TRACE.csv:FEATURE,FEATURE ...]``

Of every machine the next-sample error and the served errors, in watts, of what each expert says
alone and of what the model says, and what the machines are for: steps in idle power, idleness,
steady load, and a mix of workloads that was never seen before.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from estimator.arrays import Floats
from estimator.learning.model import PowerModel
from estimator.regressors.batch import Round
from estimator.vocabulary import HORIZONS
from stream.joining.join import Join
from stream.learning.pools import pool
from stream.records import PowerRecord, UsageRecord
from stream.sources.protocol import Source
from stream.sources.simulation.events import Event
from stream.sources.trace import TraceSource
from tests.bench.machines import COUNTERS, MACHINES, Machine

SEED: Final = 101
STEP_WATTS: Final = 15.0
HOUR: Final = 3600.0


class Samples(NamedTuple):
    """What a model of some features learns, one node, sample by sample."""

    components: tuple[str, ...]
    rounds: list[Round]


def samples_of(source: Source, features: Sequence[str], meter: str = "rapl-sysfs") -> Samples:
    """Join all that the source has to say."""
    join = Join()
    found: list[Round] = []
    components: tuple[str, ...] = ()
    while (records := source.poll()) is not None:
        # As a merge would order them: by event time.
        for record in sorted(records, key=lambda one: one.at):
            samples = (
                join.add_power(record)
                if isinstance(record, PowerRecord)
                else join.add_usage(record)
                if isinstance(record, UsageRecord)
                else []
            )
            for sample in samples:
                if sample.source == meter:
                    columns = [sample.features.index(feature) for feature in features]
                    rates = np.array(sample.rates)[None, columns]
                    components = sample.components
                    found.append(Round(rates, np.array(sample.watts)[None], sample.end))
    return Samples(components, found)


def learned(
    samples: Samples, features: Sequence[str], experts: Sequence[str] = ()
) -> tuple[PowerModel, Floats]:
    """A model that has learned the samples, and what it said of each before: NaN for the first."""
    banks = (pool(experts) if experts else pool()).banks
    model = PowerModel(features, samples.components, banks)
    said = model.learn_rounds(samples.rounds)
    nothing = np.full((1, len(samples.components)), np.nan)
    return model, np.concatenate([nothing if one is None else one for one in said])


class Opinions:
    """Mean absolute errors of each expert alone, by horizon and component."""

    def __init__(self, model: PowerModel) -> None:
        self._sums: dict[int, Floats] = {}
        self._counts: dict[int, int] = {}
        self._model = model
        update = model.assessment._weighing.update

        def watched(horizons: Sequence[int], wrong: Floats, at_seconds: float) -> None:
            for horizon, watts in zip(horizons, wrong, strict=True):
                self._sums[horizon] = self._sums.get(horizon, 0.0) + watts
                self._counts[horizon] = self._counts.get(horizon, 0) + 1
            update(horizons, wrong, at_seconds)

        model.assessment._weighing.update = watched  # type: ignore[method-assign]

    def mae(self, horizon: int) -> Floats:
        """By expert and component: [E, C]."""
        nothing = np.full((len(self._model.experts), len(self._model.components)), np.nan)
        mean: Floats = self._sums.get(horizon, nothing) / self._counts.get(horizon, 1)
        return mean


def table(name: str, samples: Samples, features: Sequence[str], *, markdown: bool) -> None:
    """Print the errors of each expert alone, and of the model, by horizon and component."""
    model = PowerModel(features, samples.components, pool().banks)
    opinions = Opinions(model)
    model.learn_rounds(samples.rounds)
    shown = [
        number
        for number, component in enumerate(samples.components)
        if model.ever_positive(number) and component in ("package", "dram", "platform")
    ]
    heads = [f"{samples.components[c]} {h or 'next'}" for c in shown for h in HORIZONS]
    rows = [
        (expert, [opinions.mae(h)[e, c] for c in shown for h in range(len(HORIZONS))])
        for e, expert in enumerate(model.experts)
    ]
    together = [
        model.assessment.total.errors(h, c).mae for c in shown for h in range(len(HORIZONS))
    ]
    rows.append(("**all**" if markdown else "all", together))
    _print(f"{name}, {len(features)} features", heads, rows, markdown=markdown)


def _print(
    name: str, heads: Sequence[str], rows: Sequence[tuple[str, list[float]]], *, markdown: bool
) -> None:
    digits = 2 if max(max(values) for _, values in rows) >= 1 else 4
    if markdown:
        print(f"\n| {name} | " + " | ".join(heads) + " |")
        print("| --- |" + " --: |" * len(heads))
        for expert, values in rows:
            print(f"| {expert} | " + " | ".join(f"{v:.{digits}f}" for v in values) + " |")
        return
    print(f"\n{name}\n{'':20}" + "".join(f"{head:>14}" for head in heads))
    for expert, values in rows:
        print(f"{expert:20}" + "".join(f"{value:14.{digits}f}" for value in values))


def _errors(samples: Samples, said: Floats) -> Floats:
    watts = np.concatenate([one.watts for one in samples.rounds])
    wrong: Floats = said - watts
    return wrong


def step(machine: Machine, seed: int) -> dict[str, float]:
    """Mean absolute error of the package before idle power rises, and a minute after."""
    at = 2 * HOUR / 2
    source = machine.source(at + 600, seed, events=[Event("firmware", at, STEP_WATTS)])
    samples = samples_of(source, COUNTERS)
    _, said = learned(samples, COUNTERS)
    wrong = np.abs(_errors(samples, said))[:, 0]
    seconds = _seconds(samples)
    before = wrong[(seconds > at - 600) & (seconds <= at)].mean()
    during = wrong[(seconds > at + 3) & (seconds <= at + 60)].mean()
    after = wrong[(seconds > at + 60) & (seconds <= at + 180)].mean()
    return {"before": before, "first minute": during, "after a minute": after}


def idle(machine: Machine, seed: int) -> dict[str, float]:
    """Bias of the package within ten minutes of idleness that follow an hour of work."""
    busy = samples_of(machine.source(HOUR, seed), COUNTERS)
    rest = samples_of(machine.source(900, seed + 1000, mixes=("idle",)), COUNTERS)
    samples = _one_after_the_other(busy, rest)
    model, said = learned(samples, COUNTERS)
    last = _errors(samples, said)[-100:, 0]
    drawn = np.concatenate([one.watts[:, 0] for one in samples.rounds[-100:]])
    answered = model.predict_one(dict.fromkeys(COUNTERS, 0.0))[samples.components[0]]
    return {"bias": last.mean(), "zero row": answered - float(np.quantile(drawn, 0.2))}


def steady(machine: Machine, seed: int) -> dict[str, float]:
    """MAPE of the package in the second hour of work."""
    samples = samples_of(machine.source(2 * HOUR, seed), COUNTERS)
    _, said = learned(samples, COUNTERS)
    half = len(said) // 2
    watts = np.concatenate([one.watts for one in samples.rounds])[half:, 0]
    wrong = np.abs(_errors(samples, said))[half:, 0]
    return {"MAPE %": 100 * float((wrong / watts).mean())}


def unseen(machine: Machine, seed: int) -> dict[str, float]:
    """R2 of the package over half an hour of workloads of kinds that were never seen before."""
    before = samples_of(machine.source(HOUR, seed, mixes=("bursty", "idle", "io")), COUNTERS)
    then = machine.source(HOUR / 2, seed + 1000, mixes=("compute", "memory"))
    after = samples_of(then, COUNTERS)
    samples = _one_after_the_other(before, after)
    _, said = learned(samples, COUNTERS)
    count = len(after.rounds)
    watts = np.concatenate([one.watts for one in samples.rounds])[-count:, 0]
    wrong = _errors(samples, said)[-count:, 0]
    return {"R2": 1.0 - float((wrong**2).mean() / watts.var())}


def _one_after_the_other(one: Samples, other: Samples) -> Samples:
    apart = one.rounds[-1].at - other.rounds[0].at + 3000
    later = [Round(rows, watts, at + apart) for rows, watts, at in other.rounds]
    return Samples(one.components, one.rounds + later)


def _seconds(samples: Samples) -> Floats:
    at = np.array([one.at for one in samples.rounds], dtype=np.float64)
    return (at - 1_700_000_000_000.0) / 1000.0


def _traces(arguments: Sequence[str]) -> Iterator[tuple[str, Samples, list[str]]]:
    for argument in arguments:
        path, _, named = argument.partition(":")
        features = sorted(named.split(","))
        yield (
            Path(path).name,
            samples_of(TraceSource(Path(path), features=features), features),
            features,
        )
    for machine in MACHINES:
        for names in (COUNTERS, COUNTERS[:1]):
            yield machine.name, samples_of(machine.source(2 * HOUR, SEED), names), list(names)
    first = MACHINES[0]
    yield first.name, samples_of(first.source(2 * HOUR, SEED), COUNTERS, "acpi"), list(COUNTERS)


def run(arguments: Sequence[str] = ()) -> None:
    """Print all tables."""
    markdown = "--markdown" in arguments
    for name, samples, features in _traces([one for one in arguments if one != "--markdown"]):
        table(name, samples, features, markdown=markdown)
        sys.stdout.flush()
    for what in (step, idle, steady, unseen):
        print(f"\n{what.__name__}: {(what.__doc__ or '').splitlines()[0]}")
        for machine in MACHINES:
            found = what(machine, SEED)
            print(f"{machine.name:20}" + "  ".join(f"{k} {v:.3f}" for k, v in found.items()))
            sys.stdout.flush()


if __name__ == "__main__":
    run(sys.argv[1:])
