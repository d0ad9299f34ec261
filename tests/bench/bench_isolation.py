"""What each isolator takes to be idle, against what the machine would draw if it did nothing.

``python -m tests.bench.bench_isolation [SEED ...]`` prints the table of decision 33: for simulated
machines, by how many watts the level that is subtracted for DynPower is above true idle power,
after an hour of work, and after an hour in the middle of which idle power rose by 15 W.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

import numpy as np

from estimator.isolation.choose import make_isolator
from estimator.isolation.profile import IdleProfile
from stream.analysis.evaluate import evaluate
from stream.analysis.history import History
from stream.analysis.idle_recording import record_source
from stream.learning.pools import pool
from stream.sources.simulation.events import Event
from stream.sources.simulation.server import Work
from tests.bench.machines import MACHINES, Machine

HOUR: Final = 3600.0
STEP_WATTS: Final = 15.0
COMPONENTS: Final = ("package", "platform")
ISOLATORS: Final = ("min", "idle", "profile")


def true_idle(machine: Machine, seed: int, firmware: float) -> dict[str, float]:
    """Watts by component of the very machine of that seed, settled and with nothing to do."""
    source = machine.source(10.0, seed)
    nothing, sockets = np.zeros(1), np.zeros((1, machine.model.machine.chips))
    servers = source._servers
    for _ in range(400):
        ghz = servers.clock(nothing, sockets)
        watts = servers.step(Work(sockets, nothing, sockets, nothing), ghz, 3.0, firmware, 0.0)
    return {component: float(getattr(watts, component)[0].sum()) for component in COMPONENTS}


def levels(
    machine: Machine, seed: int, firmware: float, profiles: Mapping[str, IdleProfile]
) -> dict[str, dict[str, float]]:
    """By component and isolator the level in watts after an hour, idle power risen half-way."""
    events = (Event("firmware", HOUR / 2, firmware),) if firmware else ()
    history = History()
    groups = {"CPUTime": ("bpf_cpu_time_ms",)}
    evaluate(machine.source(HOUR, seed, events=events), pool(groups=groups), history=history)
    assert history.learner is not None
    found: dict[str, dict[str, float]] = {}
    for key, model in history.learner.models.items():
        for name in ISOLATORS:
            isolator = make_isolator(name, profiles=dict(profiles))
            level = isolator.level(key, model)
            assert level is not None
            for component, watts in zip(model.components, level.tolist(), strict=True):
                found.setdefault(component, {})[name] = watts
    return found


def main(seeds: list[int]) -> None:
    """Print the table."""
    print("| machine, seed | component | idle | " + " | ".join(ISOLATORS) + " |", end="")
    print(" idle risen | " + " | ".join(ISOLATORS) + " |")
    print("| --- " * 2 + "| --: " * 8 + "|")
    wrong: dict[tuple[str, float], list[float]] = {}
    for machine in MACHINES:
        for seed in seeds:
            rest = record_source(machine.source(600.0, seed, mixes=("idle",)), 600.0)
            profiles = {profile.node_type: profile for profile in rest}
            cells: dict[str, list[str]] = {component: [] for component in COMPONENTS}
            for firmware in (0.0, STEP_WATTS):
                truth = true_idle(machine, seed, firmware)
                found = levels(machine, seed, firmware, profiles)
                for component in COMPONENTS:
                    cells[component].append(f"{truth[component]:.1f}")
                    for name in ISOLATORS:
                        bias = found[component][name] - truth[component]
                        cells[component].append(f"{bias:+.1f}")
                        wrong.setdefault((name, firmware), []).append(abs(bias))
            for component in COMPONENTS:
                row = " | ".join(cells[component])
                print(f"| {machine.name}, {seed} | {component} | {row} |", flush=True)
    for (name, firmware), found_wrong in wrong.items():
        when = "after the step" if firmware else "steady"
        mean, median = np.mean(found_wrong), np.median(found_wrong)
        print(f"{name}, {when}: {mean:.1f} W on the mean, {median:.1f} W in the middle")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1, 101])
