"""The default pool of experts, and those that are to be had by configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from estimator.errors import MisuseError
from estimator.isolation.isolator import Isolator
from estimator.published.priors import Priors
from estimator.regressors.bank import Bank
from estimator.regressors.banks import BankMaker
from estimator.regressors.curves import CurveBank
from estimator.regressors.neighbours import NeighbourBank
from estimator.regressors.ridge import RidgeBank
from estimator.regressors.river_bank import amf_bank, linear_bank
from estimator.regressors.river_path import RiverPathBank, regressor
from estimator.vocabulary import FEATURE_GROUPS
from stream.learning.learner import Pool


def _ridge(features: Sequence[str], components: Sequence[str]) -> Bank:
    return RidgeBank(len(features), len(components))


def _line(features: Sequence[str], components: Sequence[str]) -> Bank:
    return RidgeBank(len(features), len(components), order=1)


def _neighbours(features: Sequence[str], components: Sequence[str]) -> Bank:
    return NeighbourBank(len(features), len(components))


BANKS: Final[Mapping[str, BankMaker]] = {
    "ridge": _ridge,
    "line": _line,
    "neighbours": _neighbours,
    "linear": linear_bank,
    "amf": amf_bank,
    "curves": CurveBank,
}
"""Every bank of experts by the name that settings use."""

DEFAULT_BANKS: Final = ("ridge", "neighbours")
"""What is nearest to what is measured; the ridge alone is quicker to learn: see decision 30."""


def pool(
    banks: Sequence[str] = DEFAULT_BANKS,
    groups: Mapping[str, tuple[str, ...]] = FEATURE_GROUPS,
    isolator: Isolator | None = None,
    priors: Priors | None = None,
) -> Pool:
    """The pool of these banks for these feature groups; ``MisuseError`` for unknown banks.

    Without an isolator there are models of AbsPower only; without priors all start from nothing.
    """
    if not set(banks) - {"curves"}:  # which has no expert
        raise MisuseError("at least one expert is needed")
    return Pool(groups, {name: _maker(name) for name in banks}, isolator, priors)


def _maker(name: str) -> BankMaker:
    if name in BANKS:
        return BANKS[name]
    if "river." not in name:
        known = f"known are {', '.join(BANKS)}, and river.PACKAGE.CLASS(ARGUMENTS)"
        raise MisuseError(f"expert {name!r} is unknown; {known}")
    regressor(name)  # Now, not when the first sample comes.
    return partial(RiverPathBank, name)
