"""What a model is asked for, what can be chosen, and by which error."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec

from estimator.artifacts.artifact import Manifest
from estimator.artifacts.frozen import FrozenModel
from estimator.learning.strangers import TRANSFER
from estimator.machine import MachineSpec

CHOSEN_AT: Final = "300"
"""Models are compared as their users meet them: five minutes old. Seconds, as in manifests."""

OWN_PIPELINE: Final = "wattstream"
"""What the pipeline of models that were learned here is called."""

MORE_IS_BETTER: Final = frozenset({"r2", "count"})
"""The measures that say good things of a model."""


class Query(msgspec.Struct, frozen=True):
    """What a model is asked for, in the words of Kepler's ``POST /model``.

    ``node_type`` is a number that `ModelStore.number` gave; 0 and below stand for unknown.
    ``pipeline`` is the imported models' own name, or `OWN_PIPELINE` for those learned here. Who is
    ``unmetered`` has no meter that a model could have learned from: `Entry.transfer_error` counts.
    """

    metrics: tuple[str, ...]
    output_type: str = "AbsPower"
    source: str = "rapl-sysfs"
    node_type: int = -1
    machine: MachineSpec | None = None
    trainer_name: str = ""
    pipeline: str = ""
    filter: str = ""
    weight: bool = False
    loose: bool = True
    unmetered: bool = False


class Entry(msgspec.Struct, frozen=True):
    """A model that can be chosen; ``number`` is its node type's for Kepler."""

    digest: str
    manifest: Manifest
    model: FrozenModel
    number: int

    @property
    def transfer_error(self) -> float:
        """What it is chosen by for a machine without meters: its MAE on nodes never learned from.

        Where that is not known, `error`.
        """
        return _errors(self.manifest, TRANSFER).get("mae", self.error)

    @property
    def error(self) -> float:
        """What it is chosen by: the MAE in watts of its worst component, infinite without one."""
        return chosen_by(self.manifest).get("mae", math.inf)

    @property
    def pipeline(self) -> str:
        """By which pipeline it was made: `OWN_PIPELINE`, or that of an imported model."""
        imported = self.manifest.key.imported
        return imported.rpartition("/")[0] if imported else OWN_PIPELINE

    @property
    def tie(self) -> str:
        """What orders models that are equally good, for want of scores in most cases.

        Learned ones come before imported ones, of these lines before curves; then the digest.
        """
        if not self.manifest.key.imported:
            return f"0{self.digest}"
        return f"{1 if self.manifest.lines else 2}{self.digest}"


class Choice(NamedTuple):
    """The model that was chosen, why, and how sure that is.

    ``uncertainty`` is the share of machines that would do as well and are of other types,
    ``looseness`` how much the model's machine differs from the one that was asked for; both are
    from 0 to 1, as kepler-model-server has them.
    """

    entry: Entry
    unmetered: bool
    uncertainty: float
    looseness: float

    @property
    def why(self) -> str:
        """By what it is the best of those that fit."""
        kind = "transfer" if self.unmetered else "served"
        watts = self.entry.transfer_error if self.unmetered else self.entry.error
        return f"{kind} error, {watts:.2f} W" if math.isfinite(watts) else f"{kind} error, unknown"


def chosen_by(manifest: Manifest) -> dict[str, float]:
    """The error measures by which a model is chosen: five minutes after it was published.

    Of the next sample, where nothing has been scored after five minutes yet. ``mae`` and the like
    are the worst component's, ``package_mae`` one component's, of ``bias`` the magnitude.
    """
    later = _errors(manifest, CHOSEN_AT)
    return later if "mae" in later else _errors(manifest, "0")


def _errors(manifest: Manifest, horizon: str) -> dict[str, float]:
    found: dict[str, float] = {}
    of_all: dict[str, list[float]] = {}
    for component in manifest.components:
        for measure, value in manifest.errors.get(component, {}).get(horizon, {}).items():
            if value is not None:
                found[f"{component}_{measure}"] = abs(value) if measure == "bias" else value
                of_all.setdefault(measure, []).append(found[f"{component}_{measure}"])
    for measure, values in of_all.items():
        # A model is not better for a component that could not be scored.
        if len(values) == len(manifest.components):
            found[measure] = min(values) if measure in MORE_IS_BETTER else max(values)
    return found
