from __future__ import annotations

import pytest

from estimator.errors import MisuseError
from estimator.learning.model import PowerModel
from estimator.vocabulary import FEATURE_GROUPS
from stream.learning.pools import BANKS, DEFAULT_BANKS, pool


def test_the_default_pool_knows_all_groups_and_no_slow_expert() -> None:
    default = pool()
    assert default.groups == FEATURE_GROUPS
    assert tuple(default.banks) == DEFAULT_BANKS
    assert "amf" not in default.banks


@pytest.mark.parametrize("bank", BANKS)
def test_every_bank_makes_a_model(bank: str) -> None:
    model = PowerModel(["x", "y"], ["package"], pool(["ridge", bank]).banks)
    assert model.experts


def test_unknown_experts_are_misuse() -> None:
    with pytest.raises(MisuseError, match="expert 'rigde' is unknown; known are ridge, "):
        pool(["ridge", "rigde"])
    with pytest.raises(MisuseError, match="at least one expert"):
        pool([])
    with pytest.raises(MisuseError, match="at least one expert"):
        pool(["curves"])
