"""The default pool of experts, and those that are to be had by configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from estimator.errors import MisuseError
from estimator.model import BankMaker
from estimator.regressors.bank import Bank
from estimator.regressors.curves import CurveBank
from estimator.regressors.ridge import RidgeBank
from estimator.regressors.river_bank import amf_bank, linear_bank
from estimator.vocabulary import FEATURE_GROUPS
from stream.learner import Pool


def _ridge(features: Sequence[str], components: Sequence[str]) -> Bank:
    return RidgeBank(len(features), len(components))


BANKS: Final[Mapping[str, BankMaker]] = {
    "ridge": _ridge,
    "linear": linear_bank,
    "amf": amf_bank,
    "curves": CurveBank,
}
"""Every bank of experts by the name that settings use."""

DEFAULT_BANKS: Final = ("ridge", "linear")


def pool(
    banks: Sequence[str] = DEFAULT_BANKS,
    groups: Mapping[str, tuple[str, ...]] = FEATURE_GROUPS,
) -> Pool:
    """The pool of these banks for these feature groups; ``MisuseError`` for unknown banks."""
    unknown = [name for name in banks if name not in BANKS]
    if unknown:
        raise MisuseError(f"expert {unknown[0]!r} is unknown; known are {', '.join(BANKS)}")
    if not set(banks) - {"curves"}:  # which has no expert
        raise MisuseError("at least one expert is needed")
    return Pool(groups, {name: BANKS[name] for name in banks})
