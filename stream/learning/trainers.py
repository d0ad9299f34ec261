"""kepler-model-server's trainers by name, and the experts that learn here in their place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from estimator.errors import MisuseError
from stream.learning.pools import BANKS

OWN: Final = ("Wattstream", "default")
"""These stand for whatever experts the settings name."""

TRAINERS: Final[Mapping[str, tuple[str, ...]]] = {
    "SGDRegressorTrainer": ("line",),
    "LinearRegressionTrainer": ("line",),
    "PolynomialRegressionTrainer": ("ridge",),
    "KNeighborsRegressorTrainer": ("neighbours",),
    "SVRRegressorTrainer": ("neighbours",),
    "GradientBoostingRegressorTrainer": ("amf",),
    "XgboostFitTrainer": ("amf",),
    "LogisticRegressionTrainer": ("ridge", "curves"),
    "LogarithmicRegressionTrainer": ("ridge", "curves"),
    "ExponentialRegressionTrainer": ("ridge", "curves"),
    "curves": ("ridge", "curves"),
}
"""Trainer to banks of experts: lines for lines, curves of second order for polynomials, remembered
samples for what compares with samples, a forest of adaptive trees for trees. Kepler's curves are
learned beside experts, and are none."""


def experts_of(names: Sequence[str], settings_experts: Sequence[str], key: str) -> tuple[str, ...]:
    """The banks that stand for these trainers, each once; ``key`` is what errors call the names.

    A bank may also be named itself, though not a regressor of river's by its path: names come from
    strangers. ``MisuseError`` lists the names that are known.

    >>> experts_of(["SGDRegressorTrainer", "Wattstream"], ["ridge"], "abs_trainers")
    ('line', 'ridge')
    """
    found: list[str] = []
    for name in names:
        if name in OWN:
            found += settings_experts
        elif name in TRAINERS or name in BANKS:
            found += TRAINERS.get(name, (name,))
        else:
            known = ", ".join(dict.fromkeys((OWN[0], *TRAINERS, *BANKS)))
            raise MisuseError(f"{key} has {name[:80]!r}: known are {known}")
    return tuple(dict.fromkeys(found))
