from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimator.model_key import ModelKey

KEY = ModelKey("xeon-64c-2s-188g-2100m", "rapl-sysfs", "AbsPower", "BPFOnly")


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_a_slug_is_safe_in_a_path(node_type: str, source: str, group: str) -> None:
    slug = ModelKey(node_type, source, "DynPower", group).slug
    assert re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){3}", slug)


@pytest.mark.parametrize(
    "other",
    [
        ModelKey("xeon", "rapl-sysfs", "AbsPower", "BPFOnly"),
        ModelKey("xeon-64c-2s-188g-2100m", "acpi", "AbsPower", "BPFOnly"),
        ModelKey("xeon-64c-2s-188g-2100m", "rapl-sysfs", "DynPower", "BPFOnly"),
        ModelKey("xeon-64c-2s-188g-2100m", "rapl-sysfs", "AbsPower", "Basic"),
    ],
)
def test_keys_that_differ_in_one_thing_are_different_models(other: ModelKey) -> None:
    assert other != KEY
    assert other.slug != KEY.slug
    assert len({KEY, other}) == 2
