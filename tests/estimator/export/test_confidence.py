"""Trust comes from errors that were measured, and from how alike the machines are."""

from __future__ import annotations

import msgspec
import pytest

from estimator.artifacts.artifact import Manifest
from estimator.export.confidence import Trust, likeness, trust
from estimator.machine import UNKNOWN_MACHINE, MachineSpec
from tests.estimator.served import MACHINE, plain_entry


def manifest(**mapes: float | None) -> Manifest:
    """Errors in percent by horizon (``h60``) or kind."""
    errors: dict[str, dict[str, float | None]] = {
        name.removeprefix("h"): {"mape": mape, "mae": 2.0} for name, mape in mapes.items()
    }
    return msgspec.structs.replace(plain_entry().manifest, errors={"package": errors})


@pytest.mark.parametrize(
    ("age", "unmetered", "score"),
    [(0, False, 0.98), (70, False, 0.94), (86_400, False, 0.98), (70, True, 0.9)],
)
def test_the_error_is_that_of_the_age_or_of_strangers(
    age: float, unmetered: bool, score: float
) -> None:
    known = manifest(h0=2.0, h60=6.0, transfer=10.0)
    found = trust(known, "package", MACHINE, age, unmetered)
    assert found == pytest.approx((score, 2.0, 1 - score))


def test_without_any_error_nothing_is_known() -> None:
    assert trust(manifest(h0=None), "package", MACHINE, 0, True) == Trust(0.0)
    assert trust(manifest(h0=1.0), "dram", MACHINE, 0, True) == Trust(0.0)


def test_an_estimate_that_is_all_wrong_has_no_trust_and_no_negative_one() -> None:
    assert trust(manifest(h0=250.0), "package", MACHINE, 0, False).score == 0.0


def test_another_machine_is_trusted_less() -> None:
    smaller = msgspec.structs.replace(MACHINE, cores=4)
    other = MachineSpec(processor="elsium", cores=64, chips=2, memory=512, frequency=3000)
    assert likeness(MACHINE, MACHINE) == 1.0
    assert 1.0 > likeness(MACHINE, smaller) > likeness(MACHINE, other)
    assert likeness(MACHINE, UNKNOWN_MACHINE) == 0.0
    assert trust(manifest(h0=0.0), "package", smaller, 0, False).score == likeness(MACHINE, smaller)
