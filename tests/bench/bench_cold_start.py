"""What another machine's model is worth to one that is met first: error against samples seen.

``python -m tests.bench.bench_cold_start [--markdown] [--plot FILE] [--published FOLDER]
[TRACE.csv:FEATURE,FEATURE ...]``

Each simulated machine starts from what was published of the most similar of the others (a line
over CPU time, as kepler-model-server would have made it), with what ``--published`` has (a folder
in kepler-model-db's layout) instead where it is given. A trace is started anew every hundredth
sample; its first feature stands for CPU time in milliseconds, which tells how many cores it has,
and otherwise its machine is taken to be like the first published.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from estimator.arrays import Floats
from estimator.artifacts.artifact import Artifact
from estimator.choosing.shelf import LINEAR_TRAINER
from estimator.learning.model import PowerModel
from estimator.machine import MachineSpec
from estimator.model_key import ModelKey
from estimator.published.pipeline_folder import folder_files
from estimator.published.pipelines import read_pipelines
from estimator.published.priors import Priors
from estimator.published.published_weights import Place, published_artifact
from estimator.regressors.prior import Prior
from stream.learning.pools import pool
from stream.sources.trace import TraceSource
from tests.bench.bench_quality import Samples, samples_of
from tests.bench.machines import COUNTERS, MACHINES, Machine

CPU_TIME: Final = "bpf_cpu_time_ms"
FEATURE_SETS: Final = ((CPU_TIME,), COUNTERS)
SEEN: Final = (1, 3, 6, 10, 20, 50, 100)
"""Errors are means over the samples from one of these to the next."""
SECONDS: Final = 330.0
LEARNED_SECONDS: Final = 1800.0
SEEDS: Final = (101, 102, 103, 104)
"""None that a choice was made with: those were 1 to 5."""


class Course(NamedTuple):
    """Errors in watts of the greatest component by samples seen, without and with a prior."""

    name: str
    without: Floats
    started: Floats


def published(machine: Machine, meter: str = "rapl-sysfs") -> Artifact:
    """What kepler-model-server would have published of the machine: a line over CPU time."""
    samples = samples_of(machine.source(LEARNED_SECONDS, 7), (CPU_TIME,), meter)
    rows = np.concatenate([one.rows for one in samples.rounds])
    watts = np.concatenate([one.watts for one in samples.rounds])
    most = float(rows.max())
    terms = np.stack([np.ones(len(rows)), rows[:, 0] / most], axis=1)
    lines = np.linalg.lstsq(terms, watts, rcond=None)[0].T
    document = {
        component: {
            "All_Weights": {
                "Bias_Weight": bias,
                "Numerical_Variables": {CPU_TIME: {"scale": most, "weight": max(weight, 0.0)}},
            }
        }
        for component, (bias, weight) in zip(samples.components, lines.tolist(), strict=True)
        if component != "psys"
    }
    place = Place("simulated", meter, "AbsPower", "CPUTime", LINEAR_TRAINER, "0")
    return published_artifact(msgspec.json.encode(document), place, machine.model.machine)


def errors(samples: Samples, features: Sequence[str], prior: Prior | None) -> Floats:
    """How wrong each sample was said to be, in watts of the first component: NaN for the first."""
    model = PowerModel(features, samples.components, pool().banks)
    if prior is not None:
        model.start_from(prior)
    said = model.learn_rounds(samples.rounds)
    return np.array(
        [
            np.nan if one is None else abs(float((one - over.watts)[0, 0]))
            for one, over in zip(said, samples.rounds, strict=True)
        ]
    )


def course(
    name: str,
    starts: Iterable[Samples],
    features: Sequence[str],
    priors: Priors,
    machine: MachineSpec,
    named: Sequence[str] | None = None,
) -> Course:
    """The mean errors over some starts of a machine, without and with the prior that it gets."""
    every = list(starts)
    key = ModelKey(machine.node_type, "rapl-sysfs", "AbsPower", "any")
    prior = priors.prior(key, machine, named or features, every[0].components)
    if prior is None:
        raise SystemExit(f"{name}: nothing that is published fits")
    print(f"{name}: starts from {prior.origin}, {prior.likeness:.0%} alike")
    length = min(len(one.rounds) for one in every)
    both = [
        np.mean([errors(one, features, start)[:length] for one in every], axis=0)
        for start in (None, prior)
    ]
    return Course(name, *both)


def simulated(priors: Priors | None, seeds: Sequence[int] = SEEDS) -> list[Course]:
    """Each machine from the most similar other, or from what was given."""
    others = {machine.name: published(machine) for machine in MACHINES} if priors is None else {}
    found = []
    for machine in MACHINES:
        rest = [artifact for name, artifact in others.items() if name != machine.name]
        known = Priors(rest) if priors is None else priors
        for features in FEATURE_SETS:
            starts = [samples_of(machine.source(SECONDS, seed), features) for seed in seeds]
            name = f"{machine.name}, {len(features)} features"
            found.append(course(name, starts, features, known, machine.model.machine))
    return found


def trace(argument: str, priors: Priors, machine: MachineSpec) -> Course:
    """A recorded machine, started anew every hundredth sample."""
    path, _, names = argument.partition(":")
    features = names.split(",")
    whole = samples_of(TraceSource(Path(path), features=features), features)
    most = max(float(one.rows[:, 0].max()) for one in whole.rounds)
    machine = msgspec.structs.replace(machine, cores=math.ceil(most / 1000))
    starts = [
        Samples(whole.components, whole.rounds[first : first + SEEN[-1]])
        for first in range(0, len(whole.rounds) - SEEN[-1], 100)
    ]
    named = [CPU_TIME, *features[1:]]
    name = f"{Path(path).stem}, {len(features)} features"
    return course(name, starts, features, priors, machine, named)


def _rows(one: Course) -> list[list[str]]:
    rows = []
    for what, watts in (("from nothing", one.without), ("from the prior", one.started)):
        means = [watts[first:last].mean() for first, last in pairwise(SEEN)]
        rows.append([one.name, what, *(f"{mean:.2f}" for mean in means)])
    return rows


def _print(courses: Sequence[Course], *, markdown: bool) -> None:
    spans = [f"{first + 1} to {last}" for first, last in pairwise(SEEN)]
    heads = ["machine", "starts", *spans]
    rows = [row for one in courses for row in _rows(one)]
    if markdown:
        print("| " + " | ".join(heads) + " |\n| --- | --- |" + " --: |" * len(spans))
        print("\n".join("| " + " | ".join(row) + " |" for row in rows))
        return
    for row in [heads, *rows]:
        print(f"{row[0]:30}{row[1]:16}" + "".join(f"{cell:>10}" for cell in row[2:]))


def _plot(courses: Sequence[Course], path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 2.4 * ((len(courses) + 2) // 3)), layout="constrained")
    for number, one in enumerate(courses, start=1):
        axes = figure.add_subplot((len(courses) + 2) // 3, 3, number)
        for label, watts in (("from nothing", one.without), ("from the prior", one.started)):
            last = min(len(watts), SEEN[-1])
            axes.plot(np.arange(2, last + 1), watts[1:last], lw=1.0, label=label)
        axes.set_title(one.name, fontsize="small")
        axes.set(xscale="log", xlabel="samples seen", ylabel="error, W")
        axes.legend(fontsize="x-small", frameon=False)
    figure.savefig(path, dpi=110)


def run(arguments: Sequence[str] = ()) -> None:
    """Print the table, and draw it if asked."""
    words, options = list(arguments), dict[str, str]()
    for name in ("--plot", "--published"):
        if name in words:
            place = words.index(name)
            options[name] = words[place + 1]
            del words[place : place + 2]
    priors, machine = None, MachineSpec()
    if "--published" in options:
        folder = Path(options["--published"])
        found = [
            one
            for one in read_pipelines(folder_files(folder), folder.name)
            if isinstance(one, Artifact)
        ]
        priors = Priors(found)
        machine = found[0].manifest.machine
    courses = simulated(priors)
    for argument in words:
        if argument != "--markdown" and priors is not None:
            courses.append(trace(argument, priors, machine))
    _print(courses, markdown="--markdown" in words)
    if "--plot" in options:
        _plot(courses, options["--plot"])


if __name__ == "__main__":
    run(sys.argv[1:])
