"""How far an estimate can be trusted: from the error that its model makes where it is measured."""

from __future__ import annotations

from typing import NamedTuple

from estimator.artifacts.artifact import Manifest
from estimator.artifacts.frozen import horizon_for_age
from estimator.choosing.similarity import NodeTypeSearch
from estimator.learning.strangers import TRANSFER
from estimator.machine import MachineSpec
from estimator.vocabulary import HORIZONS


class Trust(NamedTuple):
    """The score, 0 to 1, and the errors that it comes from, where they are known.

    ``mae`` is the mean absolute error in watts, ``mape`` that over what was measured, a ratio.
    """

    score: float
    mae: float | None = None
    mape: float | None = None


def trust(
    manifest: Manifest, component: str, machine: MachineSpec, age_seconds: float, unmetered: bool
) -> Trust:
    """Trust in what the model says of one component on this machine.

    The score is 1 less the mean relative error, times how alike the machines are (1 for one of the
    model's own type). The error is that of machines that the model never learned from, where this
    one is ``unmetered`` and there are such; else that of the model at its age. Where nothing was
    measured, as of imported models, nothing is known, and the score is 0.
    """
    errors = manifest.errors.get(component, {})
    at_age = str(HORIZONS[horizon_for_age(round(max(0.0, age_seconds)))])
    for horizon in (*([TRANSFER] if unmetered else []), at_age, "0"):
        found = errors.get(horizon, {})
        percent = found.get("mape")
        if percent is not None:
            ratio = percent / 100.0
            score = max(0.0, 1.0 - ratio) * likeness(manifest.machine, machine)
            return Trust(score, found.get("mae"), ratio)
    return Trust(0.0)


def likeness(model: MachineSpec, machine: MachineSpec) -> float:
    """How alike two machines are, 0 to 1, by kepler-model-server's weights.

    >>> one = MachineSpec("intel", "xeon_a", 64, 2, 188, 2100)
    >>> likeness(one, one), likeness(one, MachineSpec("intel", "xeon_a", 64, 2, 94, 2100)) < 1
    (1.0, True)
    """
    if model.node_type == machine.node_type:
        return 1.0
    return float(NodeTypeSearch([model], [1.0]).similarities(machine)[0])
