"""How DynPower is told apart from AbsPower: the one place where isolators come in."""

from __future__ import annotations

from typing import Final

from estimator.errors import RequestError
from server.training.request import TrainerSpec, listed

ISOLATORS: Final = ("min", "none", "profile", "trainer")


def check_isolation(wanted: TrainerSpec) -> None:
    """``RequestError`` for an isolator or arguments that there are not."""
    if wanted.isolator is not None and wanted.isolator not in ISOLATORS:
        known = ", ".join(ISOLATORS)
        raise RequestError(f"trainer.isolator is {wanted.isolator[:80]!r}: known are {known}")
    _ = listed(wanted.dyn_trainers)
